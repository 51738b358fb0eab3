/**
 * The stage of session tracers: the SDK's provider with the file exporter of this package and the SDK's in-memory
 * exporter, in a directory of their own, at a time that changes only when the test moves it.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Tracer } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { vi } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { CrashSafeFileSpanExporterOptions } from "../../src/exporter/file-exporter-options.js";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { TurnIds } from "../../src/otel/ids.js";
import { SESSION_SCOPE } from "../../src/otel/semantic-conventions.js";
import type { FileSystem } from "../../src/platform/file-system.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import type { SessionTracerPorts } from "../../src/tracer/input-types.js";
import { SessionTracer } from "../../src/tracer/session-tracer.js";
import { MortalLiveness } from "./mortal-liveness.js";
import { PausedFileSystem } from "./paused-file-system.js";
import { StillClock } from "./still-clock.js";

/** The start of every stage. */
export const begin = Date.UTC(2026, 0, 2, 3, 4, 5);

export class SessionTracerStage {
  readonly dir = mkdtempSync(join(tmpdir(), "session-tracer-stage-"));
  readonly liveness = new MortalLiveness();

  constructor() {
    vi.useFakeTimers({ toFake: ["Date"], now: begin });
  }

  /** A process with its exporters. It shares only the directory with another. */
  process(options: Partial<CrashSafeFileSpanExporterOptions> = {}, fileSystem?: FileSystem): TracerProcess {
    return new TracerProcess({ dir: this.dir, ...options }, this.liveness, fileSystem);
  }

  /** A tracer of a process of its own, with that session started. */
  start(id: string, options?: Parameters<SessionTracer["startTrace"]>[1]): SessionTracer {
    const tracer = this.process().newTracer();
    tracer.startTrace(id, options);
    return tracer;
  }

  /** Kills every process so far. */
  kill(): void {
    this.liveness.killAll();
  }

  /** Sets the time to this many milliseconds after the start. */
  at(millis: number): void {
    vi.setSystemTime(begin + millis);
  }

  get files(): string[] {
    return existsSync(this.dir) ? readdirSync(this.dir).sort() : [];
  }

  /** The document on the disk. */
  document(id: string): TraceFile {
    return JSON.parse(readFileSync(join(this.dir, `${id}.json`), "utf8"));
  }

  /** The document once the tracer has flushed. */
  async flushed(tracer: SessionTracer): Promise<TraceFile> {
    await tracer.flush();
    return JSON.parse(readFileSync(tracer.getTracePath() as string, "utf8"));
  }

  remove(): void {
    vi.useRealTimers();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export class TracerProcess {
  readonly exporter: CrashSafeFileSpanExporter;
  readonly memory = new InMemorySpanExporter();
  /** A tracer of another instrumentation: its spans are foreign. */
  readonly foreign: Tracer;
  /** Ends of turns, as they were reported. */
  turnEnds = 0;
  readonly #ports: SessionTracerPorts;

  constructor(
    options: CrashSafeFileSpanExporterOptions,
    liveness: MortalLiveness,
    fileSystem: FileSystem = new PausedFileSystem(),
  ) {
    const machine = { clock: new StillClock(), liveness, fileSystem };
    this.exporter = new CrashSafeFileSpanExporter(options, machine);
    const turnIds = new TurnIds();
    const provider = new BasicTracerProvider({
      resource: resourceFromAttributes({ "service.name": "agent" }),
      sampler: new AlwaysOnSampler(),
      idGenerator: turnIds,
      spanProcessors: [new CrashSafeSpanProcessor(this.exporter), new SimpleSpanProcessor(this.memory)],
    });
    this.foreign = provider.getTracer("foreign");
    this.#ports = {
      tracer: provider.getTracer(SESSION_SCOPE),
      recorders: [this.exporter],
      turnIds,
      onTurnEnd: () => {
        this.turnEnds++;
      },
    };
  }

  newTracer(): SessionTracer {
    return new SessionTracer(this.#ports);
  }

  /** A tracer whose spans go to backends only. */
  newRemoteTracer(): SessionTracer {
    return new SessionTracer({ ...this.#ports, recorders: [] });
  }
}

/** The session span. Throws unless there is exactly one. */
export function rootOf({ spans }: TraceFile): TraceSpan {
  const roots = spans.filter(({ kind, parentSpanId }) => kind === "session" || parentSpanId === null);
  if (roots.length !== 1) throw new Error(`${roots.length} session spans`);
  return roots[0] as TraceSpan;
}

/** All spans except the session's own. */
export const spansOf = ({ spans }: TraceFile): TraceSpan[] => spans.filter(({ kind }) => kind !== "session");

/** The spans with a name in the place of each id: of the span it belongs to, and of the turn. */
export function named({ spans, traceId }: TraceFile): TraceSpan[] {
  const names = new Map<string, string>();
  const traces = new Map([[traceId, "turn 1"]]);
  for (const span of spans) {
    const same = [...names.values()].filter((name) => name.split("#")[0] === span.name).length;
    names.set(span.spanId, same === 0 ? span.name : `${span.name}#${same + 1}`);
    if (span.traceId && !traces.has(span.traceId)) traces.set(span.traceId, `turn ${traces.size + 1}`);
  }
  return spans.map((span) => ({
    ...span,
    spanId: names.get(span.spanId) as string,
    parentSpanId: span.parentSpanId === null ? null : (names.get(span.parentSpanId) ?? "nobody"),
    ...(span.traceId && { traceId: traces.get(span.traceId) as string }),
  }));
}
