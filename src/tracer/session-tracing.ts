/**
 * Tracing of many sessions: one provider, its processors, and a tracer for each session.
 */
import type { TracerProvider } from "@opentelemetry/api";
import type { SessionRecorder } from "../exporter/session-recorder.js";
import { TurnIds } from "../otel/ids.js";
import type { CrashTarget, SpanProcessor } from "../otel/types.js";
import { allDone } from "../platform/async.js";
import { type Clock, systemClock } from "../platform/clock.js";
import { environment } from "../platform/environment.js";
import { CrashSafeFileError } from "../platform/errors.js";
import { report } from "../processor/span-loss.js";
import type { SessionTracerPorts, StartTraceOptions } from "./input-types.js";
import { OpenSessions } from "./open-sessions.js";
import { sessionProvider } from "./provider.js";
import { SessionTracer } from "./session-tracer.js";
import { resolveOptions, type SessionTracingOptions, type TracingPlan } from "./session-tracing-options.js";
import { type Flushable, TurnDelivery } from "./turn-delivery.js";

/** Milliseconds that an end may take: for the sessions, and after them for the processors. */
const endMillis = Object.freeze({ sessions: 30_000, processors: 61_000 });

/** A processor as far as we know it. */
type Processor = SpanProcessor & Partial<CrashTarget> & { readonly stopped?: boolean };

/**
 * - `open`: sessions are traced.
 * - `crashed`: fenced.
 * - `ending`, `ended`: `shutdown()` was called; has settled.
 */
type Lifecycle = "open" | "crashed" | "ending" | "ended";

/**
 * Makes the tracers of sessions, and ends them together. Made by {@link createSessionTracing}.
 *
 * It can be given to `installCrashFence`.
 */
export class SessionTracing implements CrashTarget {
  /** Where its spans come from: for `trace.setGlobalTracerProvider`, or for a library that takes one. */
  readonly tracerProvider: TracerProvider;
  readonly #isOwnProvider: boolean;
  readonly #processors: readonly Processor[];
  /** Those behind which documents are kept. */
  readonly #recording: readonly Processor[];
  /** What a flush is asked of. */
  readonly #flushed: readonly Flushable[];
  readonly #ports: SessionTracerPorts;
  readonly #sessions = new OpenSessions<SessionTracer>();
  readonly #clock: Clock;
  #lifecycle: Lifecycle = "open";
  #end: Promise<void> | undefined;

  /** @internal */
  constructor(plan: TracingPlan, clock: Clock = systemClock) {
    const turnIds = new TurnIds();
    const { provider, processors } = sessionProvider(plan, turnIds);
    this.tracerProvider = provider;
    this.#clock = clock;
    this.#isOwnProvider = plan.type === "own";
    this.#processors = processors;
    this.#recording = processors.filter((processor) => recorderOf(processor) !== undefined);
    this.#flushed = this.#isOwnProvider || processors.length > 0 ? processors : flushableProvider(provider);
    const recording: readonly Flushable[] = this.#recording;
    const delivery = new TurnDelivery(this.#flushed.filter((target) => !recording.includes(target)));
    this.#ports = {
      tracer: provider.getTracer("opentelemetry-exporter-crash-safe-file"),
      recorders: this.#recording.flatMap((processor) => recorderOf(processor) ?? []),
      onTurnEnd: () => delivery.send(),
      ...(this.#isOwnProvider && { turnIds }),
    };
  }

  /** `true` once {@link shutdown} has ended all documents: process hooks have nothing to fence then. */
  get stopped(): boolean {
    if (this.#lifecycle !== "ended") return false;
    return !this.#isOwnProvider || this.#recording.every(({ stopped }) => stopped !== false);
  }

  /**
   * The tracer of a session: the one that has it open, else a new one, started with `options`. Never throws.
   *
   * @param options - as for `startTrace`; not looked at when the session is open.
   */
  tracer(sessionId: string, options?: StartTraceOptions): SessionTracer {
    const open = this.#sessions.find(sessionId);
    if (open) return open;
    const tracer = this.newTracer();
    tracer.startTrace(sessionId, options);
    return tracer;
  }

  /** How many sessions are open. */
  get openSessions(): number {
    return this.#sessions.all.length;
  }

  /** A tracer without a session: for `startTrace`, or for `rehydrateFromFile`. */
  newTracer(): SessionTracer {
    const tracer: SessionTracer = new SessionTracer({
      ...this.#ports,
      onSessionStart: (id) => this.#sessions.enter(id, tracer),
      onSessionEnd: (id) => this.#sessions.leave(id, tracer),
    });
    return tracer;
  }

  /**
   * The crash fence of all sessions, synchronous: their documents are final, with status `crashed`, when it returns.
   * What other exporters wait with is handed to them; it arrives only if the process lives long enough. Never throws.
   */
  crash(reason?: string): void {
    if (this.#lifecycle === "open") this.#lifecycle = "crashed";
    for (const tracer of this.#sessions.all) guard(() => tracer.flushSync(reason));
    for (const processor of this.#processors) {
      guard(() => {
        if (typeof processor.crash === "function") processor.crash(reason);
        else void outcome(processor.forceFlush());
      });
    }
  }

  /**
   * Resolves when the documents equal memory and exporters have taken all spans that ended before the call.
   * Rejects with the first failure, when all have settled.
   */
  async forceFlush(): Promise<void> {
    await allDone(this.#flushed.map(async (target) => target.forceFlush()));
  }

  /**
   * Ends all sessions, then flushes and shuts down the processors. Those of a host's provider are flushed and go on:
   * they are the host's. Idempotent; takes at most 91 seconds, whatever collectors do.
   *
   * @throws CrashSafeFileError `EXPORT_TIMEOUT`, or the first failure of a processor, when all have settled; the
   * documents are complete nevertheless, unless the failure is theirs. Spans that a backend refused before the call
   * were told through `diag` then.
   */
  shutdown(): Promise<void> {
    this.#end ??= this.#shutDown();
    return this.#end;
  }

  async #shutDown(): Promise<void> {
    this.#lifecycle = "ending";
    const ends = this.#sessions.all.map((tracer) => tracer.endTrace());
    const ended = await outcome(this.#within(endMillis.sessions, "the sessions", Promise.all(ends)));
    const lasts = this.#isOwnProvider
      ? this.#processors.map(async (processor) => processor.shutdown())
      : this.#flushed.map(async (target) => target.forceFlush());
    const last = await outcome(this.#within(endMillis.processors, "the processors", allDone(lasts)));
    this.#lifecycle = "ended";
    const failure = ended ?? last;
    if (failure !== undefined) throw failure;
  }

  async #within(millis: number, what: string, work: Promise<unknown>): Promise<void> {
    let giveUp: (error: CrashSafeFileError) => void;
    const tooLate = new Promise<never>((_, reject) => {
      giveUp = reject;
    });
    const timer = this.#clock.after(millis, () =>
      giveUp(new CrashSafeFileError("EXPORT_TIMEOUT", `${what} did not end in ${millis} ms`)),
    );
    try {
      await Promise.race([work, tooLate]);
    } finally {
      timer.cancel();
    }
  }
}

/**
 * Sets up the tracing of sessions: a provider, a `CrashSafeSpanProcessor` for each exporter, and tracers by session id.
 * Where spans go is for the options to say or, if they name only a directory, for the environment: see
 * {@link SessionTracingOptions}.
 *
 * The provider it builds samples every span, cuts no value, and keeps up to 4096 attributes and 1024 events and links
 * per span, whatever the variables `OTEL_TRACES_SAMPLER`, `OTEL_SPAN_*` and `OTEL_ATTRIBUTE_*` say. It is not made
 * the global one, and no context manager is set: that is for the host to do.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the option or variable and its value; `MISSING_PACKAGE`, naming
 * what is to be installed.
 */
export function createSessionTracing(options: SessionTracingOptions = {}): SessionTracing {
  return new SessionTracing(resolveOptions(options ?? {}, environment()));
}

/** What keeps documents behind a processor, if anything does. */
function recorderOf(processor: SpanProcessor): SessionRecorder | undefined {
  const { exporter } = processor as { readonly exporter?: Partial<SessionRecorder> };
  return typeof exporter?.openSession === "function" ? (exporter as SessionRecorder) : undefined;
}

/** The provider itself, or the one behind the API's global one, if it can be flushed. */
function flushableProvider(provider: TracerProvider): Flushable[] {
  const proxy = provider as { getDelegate?(): unknown };
  const target = (proxy.getDelegate?.() ?? provider) as Partial<Flushable>;
  return typeof target.forceFlush === "function" ? [target as Flushable] : [];
}

function guard(run: () => void): void {
  try {
    run();
  } catch (error) {
    report("error", "the crash fence of a processor threw", error);
  }
}

function outcome(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}
