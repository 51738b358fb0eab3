/**
 * The span processor: what the SDK calls, and in which order its exporter is called.
 */
import { type Context, context, TraceFlags } from "@opentelemetry/api";
import { Diagnostics, type LossReason } from "../otel/diagnostics.js";
import { UNTRACED } from "../otel/export.js";
import type { ComponentMetrics } from "../otel/metrics.js";
import { stampSessionId } from "../otel/session-context.js";
import type {
  CrashTarget,
  LiveSpanExporter,
  ReadableSpan,
  SpanExporter,
  StartedSpan,
} from "../otel/types.js";
import { type Clock, systemClock } from "../platform/clock.js";
import { environment } from "../platform/environment.js";
import { CrashSafeFileError } from "../platform/errors.js";
import { joinExitFlush, leaveExitFlush } from "../platform/exit-flush.js";
import { Lifecycle } from "../platform/lifecycle.js";
import { ExportPump } from "./batch-queue.js";
import { ProcessorAccount, processorMetrics, type SpanProcessorStats } from "./processor-stats.js";
import { type CrashSafeSpanProcessorOptions, resolveProcessorOptions } from "./span-processor-options.js";

export type { CrashSafeSpanProcessorOptions } from "./span-processor-options.js";

const diagnostics = new Diagnostics("CrashSafeSpanProcessor");

/** Why spans are dropped after the end. */
const late = {
  crashed: { type: "crashed", why: "after the crash fence; nothing is taken after crash()" },
  ended: { type: "shutdown", why: "after shutdown; end spans before it" },
} as const;

/**
 * A span processor for any `SpanExporter` (OpenTelemetry specification, Trace SDK, "Span processor").
 *
 * It calls `export()` serially, always follows one batch with the next, counts and reports each span that
 * is lost, and flushes before the process ends by itself. A {@link LiveSpanExporter} is told of each span
 * as it starts and ends, without a queue. Spans without a session get `session.id` from the context they
 * start in (`setSessionId`), else from their parent span.
 *
 * `onStart`, `onEnd` and `crash` never throw.
 */
export class CrashSafeSpanProcessor implements CrashTarget {
  readonly #exporter: SpanExporter & Partial<LiveSpanExporter>;
  readonly #live: LiveSpanExporter | undefined;
  readonly #timeoutMillis: number;
  readonly #clock: Clock;
  readonly #account: ProcessorAccount;
  readonly #pump: ExportPump;
  readonly #queueFull: LossReason;
  readonly #queueCapacity: number;
  readonly #metrics: ComponentMetrics;
  readonly #lifecycle = new Lifecycle();
  /** Independent of the state: a processor that crashed can be shut down, and one that was shut down can crash. */
  #isShutDown = false;
  #lastFlush: Promise<void> = Promise.resolve();
  #end: Promise<void> | undefined;

  /** @throws CrashSafeFileError `INVALID_OPTION`. */
  constructor(
    exporter: SpanExporter,
    options: CrashSafeSpanProcessorOptions = {},
    ports: { readonly clock?: Clock } = {},
  ) {
    if (typeof exporter?.export !== "function" || typeof exporter.shutdown !== "function") {
      throw new CrashSafeFileError("INVALID_OPTION", "exporter must be a SpanExporter (export, shutdown)");
    }
    this.#exporter = exporter;
    this.#live = isLive(exporter) ? exporter : undefined;
    const { limits, ignored, meterProvider } = resolveProcessorOptions(
      options,
      this.#live ? {} : environment(),
    );
    for (const variable of ignored) diagnostics.log("warn", variable);
    this.#timeoutMillis = limits.exportTimeoutMillis;
    this.#clock = ports.clock ?? systemClock;
    this.#account = new ProcessorAccount(diagnostics, this.#clock, limits.scheduleDelayMillis);
    this.#pump = new ExportPump(exporter, limits, this.#clock, this.#account);
    this.#queueCapacity = this.#live ? 0 : limits.maxQueueSize;
    this.#queueFull = {
      type: "queue_full",
      why: `the queue is full (maxQueueSize ${limits.maxQueueSize}); raise it, or see why the exporter is slow`,
    };
    this.#metrics = processorMetrics(
      meterProvider,
      () => this.stats(),
      (error) => this.#account.fault("selfObsMeterProvider", error),
    );
  }

  /** What this processor exports to. */
  get exporter(): SpanExporter {
    return this.#exporter;
  }

  /** A snapshot of the counters. */
  stats(): SpanProcessorStats {
    return {
      queued: this.#pump.queued,
      queueCapacity: this.#queueCapacity,
      exporting: this.#pump.exporting,
      exported: this.#pump.exported,
      ...this.#account.counters,
    };
  }

  /**
   * Whether `shutdown()` has succeeded. The process hooks of `installCrashFence` leave a stopped processor
   * alone; one whose exporter failed to shut down they still fence.
   */
  get stopped(): boolean {
    return this.#isShutDown;
  }

  /** Stamps `session.id` where it is missing and tells a live exporter. Called by the SDK. */
  onStart(span: StartedSpan, parentContext: Context): void {
    try {
      if (!isSampled(span) || !this.#lifecycle.isOpen) return;
      this.#guard("session.id", () => stampSessionId(span, parentContext));
      if (this.#live === undefined) return;
      joinExitFlush(this, logExitFlush);
      context.with(UNTRACED, this.#live.recordStart, this.#live, span, parentContext);
    } catch (error) {
      this.#account.fault("onStart", error);
    }
  }

  /** Queues the span, or hands it to a live exporter. Called by the SDK. */
  onEnd(span: ReadableSpan): void {
    try {
      if (!isSampled(span)) return;
      joinExitFlush(this, logExitFlush);
      if (!this.#lifecycle.isOpen) {
        this.#account.drop(1, this.#lifecycle.state === "crashed" ? late.crashed : late.ended);
      } else if (this.#live === undefined) {
        if (!this.#pump.add(span)) this.#account.drop(1, this.#queueFull);
      } else {
        context.with(UNTRACED, this.#live.recordEnd, this.#live, span);
        this.#account.recorded();
      }
    } catch (error) {
      this.#account.fault("onEnd", error, 1);
    }
  }

  /**
   * Exports everything ended before the call, batches in flight included, then has the exporter flush.
   * Concurrent calls settle in the order they were made. After `shutdown()`, the outcome of the shutdown.
   *
   * @throws CrashSafeFileError `EXPORT_FAILED` when a batch or the exporter's `forceFlush` failed;
   * `EXPORT_TIMEOUT` when a batch timed out or all this took longer than `exportTimeoutMillis`.
   */
  forceFlush(): Promise<void> {
    if (this.#end === undefined) return this.#flush();
    leaveExitFlush(this);
    this.#account.reportDrops();
    return this.#end;
  }

  /**
   * Takes no more spans, flushes as {@link forceFlush} does, then shuts the exporter down, also when the
   * flush failed. Repeated calls return the same promise. Takes at most twice `exportTimeoutMillis`.
   *
   * @throws CrashSafeFileError as {@link forceFlush}, for the flush or else for the exporter's shutdown.
   */
  shutdown(): Promise<void> {
    if (this.#end === undefined) {
      let follow: (work: Promise<void>) => void = () => {};
      // Before the work begins: a logger that calls this again gets the same promise.
      this.#end = new Promise((resolve) => {
        follow = resolve;
      });
      follow(this.#shutDown());
    }
    return this.#end;
  }

  /**
   * The crash fence, synchronous: a live exporter seals what it has; to any other, waiting batches are
   * handed as far as it answers at once, and the rest follow if the process lives on. Later spans are
   * dropped and counted. Never throws, in whatever state.
   *
   * @param reason - why, for people; an exporter may write it down.
   */
  crash(reason?: string): void {
    this.#lifecycle.crash();
    this.#guard("export", () => this.#pump.exportNow());
    this.#guard("crash", () => context.with(UNTRACED, () => this.#exporter.crash?.(reason)));
    this.#account.reportDrops();
  }

  #flush(isLast = false): Promise<void> {
    leaveExitFlush(this);
    this.#account.reportDrops();
    const previous = this.#lastFlush;
    const exported = this.#pump.flush();
    const flush = this.#within("flush", async (step) => {
      // Bounded by its own time, which began earlier; racing it with ours could overtake it.
      await previous;
      const failure = await step(exported);
      // The shutdown of a live exporter writes all it has: a flush before it would copy the document for nothing.
      if (!(isLast && this.#live)) await step(this.#call("forceFlush"));
      if (failure !== undefined) throw failure;
    });
    this.#lastFlush = flush.catch(() => {});
    return flush;
  }

  async #shutDown(): Promise<void> {
    this.#lifecycle.end();
    const flushed = await outcome(this.#flush(true));
    this.#pump.stop();
    const ended = await outcome(this.#within("shutdown", (step) => step(this.#call("shutdown"))));
    if (ended === undefined) {
      this.#lifecycle.confirmEnd();
      this.#isShutDown = true;
    }
    this.#account.end();
    this.#metrics.stop();
    leaveExitFlush(this);
    const failure = flushed ?? ended;
    if (failure !== undefined) throw failure;
  }

  /** Calls a method of the exporter, if it has it, whether it answers, rejects or throws. */
  async #call(method: "forceFlush" | "shutdown"): Promise<void> {
    try {
      await context.with(UNTRACED, () => this.#exporter[method]?.());
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : "no reason given";
      throw new CrashSafeFileError("EXPORT_FAILED", `the exporter's ${method} failed: ${why}`, { cause });
    }
  }

  /** Runs `work`, whose every step is given up when the time for the whole is over. */
  async #within(what: string, work: (step: Step) => Promise<void>): Promise<void> {
    const message = `the ${what} took longer than ${this.#timeoutMillis} ms`;
    let giveUp: (error: CrashSafeFileError) => void;
    const tooLate = new Promise<never>((_, reject) => {
      giveUp = reject;
    });
    tooLate.catch(() => {}); // Never an unhandled rejection, also when no step is waiting for it.
    const timer = this.#clock.after(this.#timeoutMillis, () =>
      giveUp(new CrashSafeFileError("EXPORT_TIMEOUT", message)),
    );
    try {
      await work((pending) => Promise.race([pending, tooLate]));
    } finally {
      timer.cancel();
    }
  }

  #guard(where: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#account.fault(where, error);
    }
  }
}

const logExitFlush = (error: unknown): void =>
  diagnostics.log("error", "the flush before exit failed", error);

type Step = <T>(pending: Promise<T>) => Promise<T>;

function isLive(exporter: SpanExporter & Partial<LiveSpanExporter>): exporter is LiveSpanExporter {
  const { recordStart, recordEnd, crash } = exporter;
  return [recordStart, recordEnd, crash].every((method) => typeof method === "function");
}

function isSampled(span: ReadableSpan): boolean {
  return (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0;
}

function outcome(pending: Promise<void>): Promise<unknown> {
  return pending.then(
    () => undefined,
    (error: unknown) => error,
  );
}
