/**
 * Random programs of spans whose sessions are named at some time, run on real files, and the sessions in which each span
 * may be: a small model of which session a span belongs to.
 */
import { propagation, ROOT_CONTEXT, type Span, type Tracer, trace } from "@opentelemetry/api";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import fc from "fast-check";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { setSessionId } from "../../src/otel/session-context.js";
import { provisionalFence, type SpanProcessor } from "../../src/otel/types.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { FaultyFileSystem } from "./faulty-file-system.js";
import { MortalLiveness } from "./mortal-liveness.js";
import { StillClock } from "./still-clock.js";

const sessionIds = ["A", "B"] as const;
type SessionId = (typeof sessionIds)[number];

/** How a span names a session when it starts. */
const namings = ["not", "not", "attribute", "context", "baggage"] as const;

/** One step of a program. Numbers choose among the spans that there are. */
export type Step =
  | {
      readonly do: "start";
      readonly trace: number;
      readonly parent: number | undefined;
      readonly naming: (typeof namings)[number];
      readonly session: SessionId;
    }
  | { readonly do: "name"; readonly span: number; readonly session: SessionId }
  | { readonly do: "end"; readonly span: number }
  | { readonly do: "flush" | "hook" }
  | { readonly do: "pass"; readonly millis: number }
  /** The process ends in this way, and another one goes on with new traces. */
  | { readonly do: "shutdown" | "crash" | "kill" };

const session = fc.constantFrom(...sessionIds);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("start" as const),
      trace: fc.nat(1),
      parent: fc.option(fc.nat(3), { nil: undefined, freq: 4 }),
      naming: fc.constantFrom(...namings),
      session,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("name" as const), span: fc.nat(5), session }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("end" as const), span: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.constant({ do: "flush" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("pass" as const), millis: fc.constantFrom(1_000, 6_000) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "hook" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom("shutdown" as const, "crash" as const, "kill" as const) }),
  },
);

export const programs: fc.Arbitrary<readonly Step[]> = fc.array(step, { minLength: 1, maxLength: 40 });

/** A span of a program. */
export interface ModelSpan {
  readonly name: string;
  readonly trace: ModelTrace;
  readonly parent: ModelSpan | undefined;
  /** The session that the span named when it started. */
  readonly atStart: SessionId | undefined;
  /** The sessions that attributes named later, in order. */
  readonly keys: SessionId[];
  isEnded: boolean;
  readonly span: Span;
}

export interface ModelTrace {
  readonly id: string;
  readonly spans: ModelSpan[];
  /** Under a stock processor, a span that has not ended is not known. */
  readonly isStock: boolean;
  /** The process died without a word: a name that no call of the package has read is not known. */
  isKilled: boolean;
}

/** Runs a program, one process after the other. */
export class ProgramRun {
  /** All traces that have spans. */
  readonly traces: ModelTrace[] = [];
  readonly liveness = new MortalLiveness();
  readonly #dir: string;
  readonly #isStock: boolean;
  #life: Life;
  /** The traces of the present process, and the newest one of each number. */
  #started: ModelTrace[] = [];
  #slots: (ModelTrace | undefined)[] = [];
  #number = 0;

  constructor(dir: string, isStock: boolean) {
    this.#dir = dir;
    this.#isStock = isStock;
    this.#life = new Life(dir, this.liveness, isStock);
  }

  /** The spans whose ends were acknowledged in the present process: the spans of dead ones may be under recovery. */
  get endedSpans(): ModelSpan[] {
    return this.#started.flatMap(({ spans }) => spans).filter(({ isEnded }) => isEnded);
  }

  async step(step: Step): Promise<void> {
    const life = this.#life;
    if (step.do === "start") this.#start(step);
    else if (step.do === "name" || step.do === "end") {
      const open = this.#slots.flatMap((one) => one?.spans ?? []).filter(({ isEnded }) => !isEnded);
      const span = open[step.span % open.length];
      if (span && step.do === "name") {
        span.keys.push(step.session);
        span.span.setAttribute("session.id", step.session);
      } else if (span) {
        span.span.end();
        span.isEnded = true;
      }
    } else if (step.do === "pass") {
      life.clock.pass(step.millis);
      await new Promise((resolve) => setImmediate(resolve));
    } else if (step.do === "flush") await life.flush();
    else if (step.do === "hook") life.exporter[provisionalFence]("SIGTERM", "SIGTERM");
    else await this.#next(step.do);
  }

  /** The last process ends in order. */
  end(): Promise<void> {
    return this.#next("shutdown");
  }

  async #next(how: "shutdown" | "crash" | "kill"): Promise<void> {
    for (const one of this.#started) one.isKilled = how === "kill";
    await this.#life.end(how);
    this.#started = [];
    this.#slots = [];
    this.#life = new Life(this.#dir, this.liveness, this.#isStock);
  }

  #start({ trace: slot, parent: chosen, naming, session }: Step & { do: "start" }): void {
    const known = this.#slots[slot];
    const parent = chosen === undefined ? undefined : known?.spans[chosen % known.spans.length];
    let around = ROOT_CONTEXT;
    if (naming === "context") around = setSessionId(around, session);
    if (naming === "baggage")
      around = propagation.setBaggage(
        around,
        propagation.createBaggage({ "session.id": { value: session } }),
      );
    if (parent) around = trace.setSpan(around, parent.span);
    const name = `span ${++this.#number}`;
    const attributes = naming === "attribute" ? { "session.id": session } : {};
    const span = this.#life.tracer.startSpan(name, { attributes }, around);
    const of: ModelTrace = parent?.trace ?? {
      id: span.spanContext().traceId,
      spans: [],
      isStock: this.#isStock,
      isKilled: false,
    };
    if (!parent) {
      this.#slots[slot] = of;
      this.#started.push(of);
      this.traces.push(of);
    }
    // A stock processor passes no context on.
    const isSeen = naming === "attribute" || (naming !== "not" && !this.#isStock);
    const atStart = isSeen ? session : undefined;
    of.spans.push({ name, trace: of, parent, atStart, keys: [], isEnded: false, span });
  }
}

/** One process. */
class Life {
  readonly clock = new StillClock();
  readonly fileSystem = new FaultyFileSystem();
  readonly exporter: CrashSafeFileSpanExporter;
  readonly tracer: Tracer;
  readonly #processor: SpanProcessor;
  readonly #liveness: MortalLiveness;

  constructor(dir: string, liveness: MortalLiveness, isStock: boolean) {
    const { clock, fileSystem } = this;
    this.#liveness = liveness;
    this.exporter = new CrashSafeFileSpanExporter({ dir }, { clock, liveness, fileSystem });
    this.#processor = isStock
      ? new SimpleSpanProcessor(this.exporter)
      : new CrashSafeSpanProcessor(this.exporter);
    this.tracer = new BasicTracerProvider({ spanProcessors: [this.#processor] }).getTracer("test");
  }

  async flush(): Promise<void> {
    await this.#processor.forceFlush();
    await this.exporter.forceFlush();
  }

  async end(how: "shutdown" | "crash" | "kill"): Promise<void> {
    if (how === "shutdown") await this.#processor.shutdown();
    if (how === "crash") {
      this.exporter.crash("fenced");
      await this.exporter.shutdown();
    }
    if (how === "kill") {
      await this.fileSystem.die();
      this.#liveness.killAll();
    }
  }
}

/** The sessions in which a span may be. */
export function allowedSessions(span: ModelSpan): readonly string[] {
  const { trace: of } = span;
  const known = of.spans.filter(({ isEnded }) => isEnded || !of.isStock);
  const named = [...new Set(known.flatMap(({ atStart, keys }) => (atStart ? [atStart, ...keys] : keys)))];
  const read = known.filter(({ atStart, keys, isEnded }) => atStart || (isEnded && keys.length > 0));
  const isUndecided = named.length === 0 || (of.isKilled && read.length === 0);
  const any = isUndecided ? [...named, of.id] : named;
  const own = span.keys.at(-1) ?? span.atStart;
  if (own !== undefined && (span.isEnded || span.keys.length === 0)) return [own];
  if (span.keys.length > 0) return any;
  // A parent that named its session when it started, and no other one since, decides for what is below it.
  for (let above = span.parent; above; above = above.parent) {
    const { atStart, keys } = above;
    if (!known.includes(above) || (atStart === undefined && keys.length === 0)) continue;
    return atStart !== undefined && keys.every((key) => key === atStart) ? [atStart] : any;
  }
  return any;
}
