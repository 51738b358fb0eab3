/**
 * The span processor: what the SDK calls, and in which order its exporter is called.
 */
import { type Context, context, TraceFlags } from "@opentelemetry/api";
import { Diagnostics, type LossReason } from "../otel/diagnostics.js";
import type { ComponentMetrics } from "../otel/metrics.js";
import { stampSessionId } from "../otel/session-context.js";
import {
  type CrashTarget,
  type LiveSpanExporter,
  type ProvisionalTarget,
  provisionalFence,
  type ReadableSpan,
  type SpanExporter,
  type StartedSpan,
} from "../otel/types.js";
import { UNTRACED, untraced, untracedClock } from "../otel/untraced.js";
import { outcome, type TimeLimit, withTimeout } from "../platform/async.js";
import type { Clock } from "../platform/clock.js";
import { environment } from "../platform/environment.js";
import { CrashSafeFileError, invalidOption, reasonOf } from "../platform/errors.js";
import { flushesAtExit, joinExitFlush, leaveExitFlush } from "../platform/exit-flush.js";
import { Lifecycle } from "../platform/lifecycle.js";
import { isOwnWork } from "../platform/own-work.js";
import { attachmentOf } from "../projection/exact-span.js";
import { BatchQueue } from "./batch-queue.js";
import { ProcessorAccount, processorMetrics, type SpanProcessorStats } from "./processor-stats.js";
import { type CrashSafeSpanProcessorOptions, resolveProcessorOptions } from "./span-processor-options.js";

export type { CrashSafeSpanProcessorOptions } from "./span-processor-options.js";

const diagnostics = new Diagnostics("CrashSafeSpanProcessor");

/** Why spans that end late are dropped. */
const late = {
  crashed: { type: "crashed", why: "after the crash fence; a processor accepts no spans after crash()" },
  ended: { type: "already_shutdown", why: "after shutdown; end spans before it" },
} as const;

/**
 * A span processor for any `SpanExporter` (OpenTelemetry specification, Trace SDK, "Span processor").
 *
 * It calls `export()` serially, follows every batch with the next one, counts and logs each span that is lost, and
 * flushes before the process ends by itself. A {@link LiveSpanExporter} gets each span as the span starts and ends,
 * without a queue. A span without a session gets `session.id` from the context in which it starts (`setSessionId`), else
 * from its parent span.
 *
 * `onStart`, `onEnd` and `crash` never throw.
 */
export class CrashSafeSpanProcessor implements CrashTarget {
  readonly #exporter: SpanExporter & Partial<LiveSpanExporter>;
  readonly #live: LiveSpanExporter | undefined;
  readonly #timeoutMillis: number;
  readonly #clock: Clock;
  readonly #account: ProcessorAccount;
  readonly #queue: BatchQueue;
  readonly #queueFull: LossReason;
  readonly #queueCapacity: number;
  readonly #metrics: ComponentMetrics;
  readonly #lifecycle = new Lifecycle();
  /** Independent of the state: a processor that crashed can be shut down, and one that was shut down can crash. */
  #isShutDown = false;
  /** Spans of our own work, which are recorded nowhere: made with the first one. */
  #ownSpans: WeakSet<object> | undefined;
  #lastFlush: Promise<void> = Promise.resolve();
  /** The shutdown that is under way, or has shut the exporter down. */
  #end: Promise<void> | undefined;

  /** @throws CrashSafeFileError `INVALID_OPTION`. */
  constructor(
    exporter: SpanExporter,
    options: CrashSafeSpanProcessorOptions = {},
    ports: { readonly clock?: Clock } = {},
  ) {
    if (typeof exporter?.export !== "function" || typeof exporter.shutdown !== "function") {
      throw invalidOption(
        "CrashSafeSpanProcessor",
        "exporter",
        exporter,
        "a SpanExporter (export, shutdown)",
      );
    }
    this.#exporter = exporter;
    this.#live = isLive(exporter) ? exporter : undefined;
    const { limits, warnings, meterProvider } = resolveProcessorOptions(
      options,
      this.#live ? {} : environment(),
    );
    for (const warning of warnings) diagnostics.log("warn", warning);
    this.#timeoutMillis = limits.exportTimeoutMillis;
    this.#clock = ports.clock ?? untracedClock;
    this.#account = new ProcessorAccount(diagnostics, this.#clock, limits.scheduledDelayMillis);
    this.#queue = new BatchQueue(exporter, limits, this.#clock, this.#account);
    this.#queueCapacity = this.#live ? 0 : limits.maxQueueSize;
    this.#queueFull = {
      type: "queue_full",
      why: `the queue is full (maxQueueSize ${limits.maxQueueSize}); raise it, or check why the exporter is slow`,
    };
    this.#metrics = processorMetrics(
      meterProvider,
      () => this.stats(),
      (error) => this.#account.fault("selfObsMeterProvider", error),
    );
  }

  /** The exporter of this processor. */
  get exporter(): SpanExporter {
    return this.#exporter;
  }

  /** A snapshot of the counters. */
  stats(): SpanProcessorStats {
    return {
      queued: this.#queue.queued,
      queueCapacity: this.#queueCapacity,
      exporting: this.#queue.exporting,
      exported: this.#queue.exported,
      ...this.#account.counters,
    };
  }

  /**
   * Whether `shutdown()` has shut the exporter down, or the exporter has finished by itself what its failed shutdown had
   * left. The process hooks of `installCrashFence` skip a stopped processor, and still fence a processor whose exporter
   * failed to shut down.
   */
  get stopped(): boolean {
    return this.#isShutDown || (!this.#lifecycle.isOpen && this.#live?.stopped === true);
  }

  /** Sets `session.id` where it is missing, and passes the start to a live exporter. Called by the SDK. */
  onStart(span: StartedSpan, parentContext: Context): void {
    try {
      if (!isSampled(span) || !this.#lifecycle.isOpen) return;
      if (isOwnWork() && this.#leaveOut(span, parentContext)) return;
      this.#guard("session.id", () => stampSessionId(span, parentContext));
      if (this.#live === undefined) return;
      context.with(UNTRACED, this.#live.recordStart, this.#live, span, parentContext);
      this.#joinExitFlush();
    } catch (error) {
      this.#account.fault("onStart", error);
    }
  }

  /** Queues the span, or passes it to a live exporter. Called by the SDK. */
  onEnd(span: ReadableSpan): void {
    try {
      if (!isSampled(span) || this.#ownSpans?.has(span)) return;
      if (!this.#lifecycle.isOpen) {
        this.#account.drop(1, this.#lifecycle.state === "crashed" ? late.crashed : late.ended);
      } else if (this.#live === undefined) {
        if (!this.#queue.add(span)) this.#account.drop(1, this.#queueFull);
      } else {
        context.with(UNTRACED, this.#live.recordEnd, this.#live, span);
        this.#account.recorded();
      }
      this.#joinExitFlush();
    } catch (error) {
      this.#account.fault("onEnd", error, 1);
    }
  }

  /**
   * Exports all spans that ended before the call, batches in flight included, then flushes the exporter. Concurrent calls
   * settle in the order in which they were made. After `shutdown()` the result is that of the shutdown.
   *
   * @throws CrashSafeFileError `EXPORT_FAILED` when a batch or the exporter's `forceFlush` failed; `EXPORT_TIMEOUT` when
   * a batch timed out or the whole flush took longer than `exportTimeoutMillis`
   */
  forceFlush(): Promise<void> {
    if (this.#end === undefined) return this.#flush();
    leaveExitFlush(this);
    this.#account.reportDrops();
    return this.#end;
  }

  /**
   * Accepts no more spans, flushes as {@link forceFlush} does, then shuts the exporter down, also after a failed flush.
   * Calls return one promise until the exporter's shutdown fails; the next call after that shuts the exporter down again.
   * Takes at most twice `exportTimeoutMillis`.
   *
   * @throws CrashSafeFileError as {@link forceFlush}, for the flush or else for the exporter's shutdown
   */
  shutdown(): Promise<void> {
    if (this.#end === undefined) {
      let follow: (work: Promise<void>) => void = () => {};
      // Set before the work begins, so that a logger that calls shutdown() gets this promise.
      this.#end = new Promise((resolve) => {
        follow = resolve;
      });
      follow(this.#shutDown());
    }
    return this.#end;
  }

  /**
   * The crash fence, synchronous. A live exporter ends its documents. Any other exporter gets the waiting batches for as
   * long as it answers within `export()`; the remaining batches follow if the process lives on. Later spans are dropped
   * and counted. Never throws, in any state.
   *
   * @param reason - for people; an exporter may write it to a document
   */
  crash(reason?: string): void {
    this.#lifecycle.crash();
    this.#guard("export", () => this.#queue.exportNow());
    this.#guard("crash", () => context.with(UNTRACED, () => this.#exporter.crash?.(reason)));
    this.#account.reportDrops();
  }

  /** @internal Called by process hooks. The processor accepts later spans. */
  [provisionalFence](reason: string, detector: string | undefined): void {
    const exporter: SpanExporter & Partial<LiveSpanExporter & ProvisionalTarget> = this.#exporter;
    this.#guard("export", () => this.#queue.exportNow());
    this.#guard("crash", () =>
      context.with(UNTRACED, () =>
        typeof exporter[provisionalFence] === "function"
          ? exporter[provisionalFence](reason, detector)
          : exporter.crash?.(reason),
      ),
    );
    this.#account.reportDrops();
  }

  /**
   * Leaves out a span that an instrumentation starts within our own work. What a session tracer logs there is recorded.
   */
  #leaveOut(span: StartedSpan, parentContext: Context): boolean {
    if (attachmentOf(span, parentContext) !== undefined) return false;
    this.#ownSpans ??= new WeakSet();
    this.#ownSpans.add(span);
    return true;
  }

  /** A live exporter that flushes itself before the process ends has all that this processor would flush. */
  #joinExitFlush(): void {
    if (this.#live === undefined || !flushesAtExit(this.#live)) joinExitFlush(this, logExitFlush);
  }

  #flush(isLast = false): Promise<void> {
    leaveExitFlush(this);
    this.#account.reportDrops();
    const previous = this.#lastFlush;
    const exported = this.#queue.flush();
    const flush = withTimeout(async (bounded) => {
      // The previous flush has a time limit of its own, which began earlier: bounded by ours, it could be overtaken.
      await previous;
      const failure = await bounded(exported);
      // The shutdown of a live exporter writes all that it has: a flush before it would copy the document for nothing.
      if (!(isLast && this.#live)) await bounded(this.#call("forceFlush"));
      if (failure !== undefined) throw failure;
    }, this.#limitOf("flush"));
    this.#lastFlush = flush.catch(() => {});
    return flush;
  }

  async #shutDown(): Promise<void> {
    this.#lifecycle.end();
    const flushed = await outcome(this.#flush(true));
    this.#queue.stop();
    const ended = await outcome(
      withTimeout((bounded) => bounded(this.#call("shutdown")), this.#limitOf("shutdown")),
    );
    if (ended === undefined) {
      this.#lifecycle.confirmEnd();
      this.#isShutDown = true;
    }
    this.#account.end();
    this.#metrics.stop();
    leaveExitFlush(this);
    // Last: a logger that calls shutdown() for each message gets this promise, and begins no shutdown of its own.
    if (ended !== undefined) this.#end = undefined;
    const failure = flushed ?? ended;
    if (failure !== undefined) throw failure;
  }

  /** Calls an optional method of the exporter. An exception and a rejection have the same result. */
  async #call(method: "forceFlush" | "shutdown"): Promise<void> {
    try {
      await untraced(() => this.#exporter[method]?.());
    } catch (cause) {
      const why = cause instanceof Error ? reasonOf(cause) : "no reason given";
      throw new CrashSafeFileError("EXPORT_FAILED", `the exporter's ${method} failed: ${why}`, { cause });
    }
  }

  #limitOf(what: string): TimeLimit {
    const millis = this.#timeoutMillis;
    const error = () => new CrashSafeFileError("EXPORT_TIMEOUT", `the ${what} took longer than ${millis} ms`);
    return { millis, error, clock: this.#clock };
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

function isLive(exporter: SpanExporter & Partial<LiveSpanExporter>): exporter is LiveSpanExporter {
  const { recordStart, recordEnd, crash } = exporter;
  return [recordStart, recordEnd, crash].every((method) => typeof method === "function");
}

function isSampled(span: ReadableSpan): boolean {
  return (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0;
}
