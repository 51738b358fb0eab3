/**
 * Tracing of many sessions: one provider, its processors, and one tracer per session.
 */
import type { TracerProvider } from "@opentelemetry/api";
import type { SessionStore } from "../exporter/session-store.js";
import { Diagnostics } from "../otel/diagnostics.js";
import { TurnIds } from "../otel/ids.js";
import { SESSION_SCOPE } from "../otel/semantic-conventions.js";
import {
  type CrashTarget,
  type ProvisionalTarget,
  provisionalFence,
  type SpanProcessor,
} from "../otel/types.js";
import { untraced, untracedClock } from "../otel/untraced.js";
import { allSettledOrThrow, outcome, withTimeout } from "../platform/async.js";
import type { Clock } from "../platform/clock.js";
import { environment } from "../platform/environment.js";
import { CrashSafeFileError } from "../platform/errors.js";
import type { SessionTracerPorts, StartTraceOptions } from "./input-types.js";
import { LateTracer, sessionProvider } from "./provider.js";
import { SessionTracer } from "./session-tracer.js";
import { resolveOptions, type SessionTracingOptions, type TracingPlan } from "./session-tracing-options.js";
import { sessionIdOf } from "./untrusted-input.js";

const diagnostics = new Diagnostics("SessionTracing");

/** Longest time for the ends of the sessions, and after that for the shutdown of the processors. */
const endMillis = Object.freeze({ sessions: 30_000, processors: 61_000 });

/** The methods and properties of a processor that are used if it has them. */
type Processor = SpanProcessor & Partial<ProvisionalTarget> & { readonly stopped?: boolean };

/**
 * Makes the tracers of sessions, and ends them together. {@link createSessionTracing} makes one;
 * `installCrashFence` takes one.
 */
export class SessionTracing implements CrashTarget {
  readonly #provider: () => TracerProvider;
  readonly #isOwnProvider: boolean;
  readonly #processors: readonly Processor[];
  /** The processors whose exporter records documents. */
  readonly #recording: readonly Processor[];
  /** The processors, or the provider, that a flush calls. */
  readonly #flushed: readonly Flushable[];
  readonly #ports: SessionTracerPorts;
  readonly #sessions = new OpenSessions<SessionTracer>();
  readonly #clock: Clock;
  /** {@link shutdown} has settled. */
  #isShutDown = false;
  /** The shutdown that is under way, or has succeeded. */
  #end: Promise<void> | undefined;

  /** @internal */
  constructor(plan: TracingPlan, clock: Clock = untracedClock) {
    const turnIds = new TurnIds();
    const { provider, processors } = sessionProvider(plan, turnIds);
    this.#provider = provider;
    this.#clock = clock;
    this.#isOwnProvider = plan.type === "own";
    this.#processors = processors;
    this.#recording = processors.filter((processor) => recorderOf(processor) !== undefined);
    this.#flushed = this.#isOwnProvider || processors.length > 0 ? processors : flushableProvider(provider());
    const recording: readonly Flushable[] = this.#recording;
    const delivery = new TurnDelivery(this.#flushed.filter((target) => !recording.includes(target)));
    this.#ports = {
      tracer: new LateTracer(() => provider().getTracer(SESSION_SCOPE)),
      recorders: this.#recording.flatMap((processor) => recorderOf(processor) ?? []),
      onTurnEnd: () => delivery.send(),
      ...(this.#isOwnProvider && { turnIds }),
    };
  }

  /** The provider of all spans: for `trace.setGlobalTracerProvider`, or for a library that takes a provider. */
  get tracerProvider(): TracerProvider {
    return this.#provider();
  }

  /** `true` once {@link shutdown} has ended all documents: the crash fence has nothing to do then. */
  get stopped(): boolean {
    if (!this.#isShutDown) return false;
    return !this.#isOwnProvider || this.#recording.every(({ stopped }) => stopped !== false);
  }

  /**
   * The tracer that has the session open, else a new tracer, with the session started. Never throws.
   *
   * @param options as for `startTrace`; ignored when the session is open
   */
  tracer(sessionId: string, options?: StartTraceOptions): SessionTracer {
    // A host may pass any value: `startTrace` opens a session under the same id.
    const id = sessionIdOf(sessionId);
    const open = this.#sessions.find(id);
    if (open) return open;
    const tracer = this.newTracer();
    tracer.startTrace(id, options);
    return tracer;
  }

  /** Number of open sessions. */
  get openSessions(): number {
    return this.#sessions.all.length;
  }

  /** A new tracer without a session; `startTrace` starts one, `rehydrateFromFile` resumes one. */
  newTracer(): SessionTracer {
    const tracer: SessionTracer = new SessionTracer({
      ...this.#ports,
      onSessionStart: (id) => this.#sessions.add(id, tracer),
      onSessionEnd: (id) => this.#sessions.remove(id, tracer),
    });
    return tracer;
  }

  /**
   * The crash fence of all sessions, synchronous: when it returns, their documents are final, with status `crashed`.
   * Other processors are flushed; their spans arrive only if the process lives long enough. Never throws.
   */
  crash(reason?: string): void {
    for (const tracer of this.#sessions.all) guard(() => tracer.flushSync(reason));
    for (const processor of this.#processors) {
      guard(() => {
        if (typeof processor.crash === "function") processor.crash(reason);
        else void outcome(processor.forceFlush());
      });
    }
  }

  /** @internal Called by process hooks. Sessions go on if the process does. */
  [provisionalFence](reason: string, detector: string | undefined): void {
    for (const processor of this.#processors) {
      guard(() => {
        if (typeof processor[provisionalFence] === "function") processor[provisionalFence](reason, detector);
        else if (typeof processor.crash === "function") processor.crash(reason);
        else void outcome(processor.forceFlush());
      });
    }
  }

  /**
   * Resolves when the documents equal memory and exporters have taken all spans that ended before the call. When a
   * flush fails, rejects with the first failure, after all flushes have settled.
   */
  async forceFlush(): Promise<void> {
    await allSettledOrThrow(this.#flushed.map(async (target) => target.forceFlush()));
  }

  /**
   * Ends all sessions, then shuts down the processors. Processors of the host's provider are only flushed: the host
   * shuts them down. Calls return one promise until it rejects; the next call after that tries again what failed. Takes
   * at most 91 seconds, whatever backends do.
   *
   * @throws CrashSafeFileError `EXPORT_TIMEOUT`, or the first failure of a processor, after all processors have
   * settled. The documents are complete, unless the failure is that of a file exporter. Spans that a backend refused
   * before the call were logged through `diag` then.
   */
  shutdown(): Promise<void> {
    this.#end ??= this.#shutDown().catch((error: unknown) => {
      this.#end = undefined;
      throw error;
    });
    return this.#end;
  }

  async #shutDown(): Promise<void> {
    const ends = this.#sessions.all.map((tracer) => SessionTracer.shutDown(tracer));
    const ended = await outcome(this.#within(endMillis.sessions, "the sessions", Promise.all(ends)));
    const lasts = this.#isOwnProvider
      ? this.#processors.map(async (processor) => processor.shutdown())
      : this.#flushed.map(async (target) => target.forceFlush());
    const last = await outcome(
      this.#within(endMillis.processors, "the processors", allSettledOrThrow(lasts)),
    );
    this.#isShutDown = true;
    const failure = ended ?? last;
    if (failure !== undefined) throw failure;
  }

  #within(millis: number, what: string, work: Promise<unknown>): Promise<unknown> {
    const error = () => new CrashSafeFileError("EXPORT_TIMEOUT", `${what} did not end in ${millis} ms`);
    return withTimeout((bounded) => bounded(work), { millis, error, clock: this.#clock });
  }
}

/** @internal The session tracers that have a session open, by the session's id. */
export class OpenSessions<T> {
  readonly #tracers = new Set<T>();
  readonly #byId = new Map<string, T>();

  /** All tracers with an open session. */
  get all(): T[] {
    return [...this.#tracers];
  }

  /** The tracer that opened the session last. */
  find(id: string): T | undefined {
    return this.#byId.get(id);
  }

  add(id: string, tracer: T): void {
    this.#tracers.add(tracer);
    this.#byId.set(id, tracer);
  }

  /** An older tracer of the session does not remove a newer one. */
  remove(id: string, tracer: T): void {
    this.#tracers.delete(tracer);
    if (this.#byId.get(id) === tracer) this.#byId.delete(id);
  }
}

/** A processor or a provider that sends spans to a backend. */
interface Flushable {
  forceFlush(): Promise<void>;
}

/**
 * @internal Flushes backends when a turn has ended. Callers do not wait: one flush runs at a time, and turns that end
 * during a flush are sent by one more.
 */
export class TurnDelivery {
  readonly #diagnostics = new Diagnostics("SessionTracing");
  #state: "idle" | "flushing" | "flushing, and once more" = "idle";

  constructor(private readonly backends: readonly Flushable[]) {}

  /** Never throws. Returns at once. */
  send(): void {
    if (this.backends.length === 0) return;
    if (this.#state !== "idle") {
      this.#state = "flushing, and once more";
      return;
    }
    this.#state = "flushing";
    void Promise.all(this.backends.map((backend) => this.#flush(backend))).then(() => {
      const again = this.#state === "flushing, and once more";
      this.#state = "idle";
      if (again) this.send();
    });
  }

  async #flush(backend: Flushable): Promise<void> {
    try {
      await untraced(() => backend.forceFlush());
    } catch (error) {
      // Debug only: the processor that lost spans has logged it.
      this.#diagnostics.failure("the flush at the end of a turn failed", error, "debug");
    }
  }
}

/**
 * Sets up the tracing of sessions: a provider, a `CrashSafeSpanProcessor` for each exporter, and tracers by session
 * id. The options decide where spans go; if they name at most a directory, the environment decides. See
 * {@link SessionTracingOptions}.
 *
 * The provider samples every span, cuts no value, and keeps up to 4096 attributes and 1024 events and links per span,
 * with any values of `OTEL_TRACES_SAMPLER`, `OTEL_SPAN_*` and `OTEL_ATTRIBUTE_*`. The function sets neither the global
 * provider nor a context manager: the host does.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the option or variable and its value; `MISSING_PACKAGE`, naming
 * the package to install
 */
export function createSessionTracing(options: SessionTracingOptions = {}): SessionTracing {
  const tracing = lateSessionTracing(options ?? {});
  // Loads the SDK: a missing package is an error here, and not of the first span.
  void tracing.tracerProvider;
  return tracing;
}

/** @internal {@link createSessionTracing} that loads the SDK for the first span. Throws `INVALID_OPTION`. */
export function lateSessionTracing(options: SessionTracingOptions): SessionTracing {
  const plan = resolveOptions(options, environment());
  if (plan.type === "own") for (const warning of plan.warnings) diagnostics.log("warn", warning);
  return new SessionTracing(plan);
}

/** The exporter of a processor, if it records documents. */
function recorderOf(processor: SpanProcessor): SessionStore | undefined {
  const { exporter } = processor as { readonly exporter?: Partial<SessionStore> };
  return typeof exporter?.openSession === "function" ? (exporter as SessionStore) : undefined;
}

/** The provider, or the provider behind the API's global proxy, if it has `forceFlush`. */
function flushableProvider(provider: TracerProvider): Flushable[] {
  const proxy = provider as { getDelegate?(): unknown };
  const target = (proxy.getDelegate?.() ?? provider) as Partial<Flushable>;
  return typeof target.forceFlush === "function" ? [target as Flushable] : [];
}

function guard(run: () => void): void {
  try {
    run();
  } catch (error) {
    diagnostics.log("error", "the crash fence of a processor threw", error);
  }
}
