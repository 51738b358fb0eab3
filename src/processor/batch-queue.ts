/**
 * Moves spans from a bounded queue to an exporter, one batch at a time.
 *
 * The queue is in exactly one {@link QueueState}. The end of every state leads back to `#advance`, the only method that
 * chooses the next state, so a span in the queue always has a next step: after a success, a failure, a timeout, and an
 * answer that comes twice, late or never. A callback carries the state that it belongs to, and has no effect when that
 * state is over.
 */

import { failureOf, noAnswer } from "../otel/export.js";
import type { ReadableSpan, SpanExporter } from "../otel/types.js";
import { untraced } from "../otel/untraced.js";
import { type Clock, type Timer, timers } from "../platform/clock.js";
import { CrashSafeFileError } from "../platform/errors.js";
import type { ProcessorAccount } from "./processor-stats.js";

/** When and how much to export. */
export interface BatchLimits {
  readonly scheduleDelayMillis: number;
  readonly maxQueueSize: number;
  readonly maxExportBatchSize: number;
  readonly exportTimeoutMillis: number;
}

const notExported = {
  type: "timeout",
  why: "the exporter did not accept them before the shutdown timed out; raise exportTimeoutMillis",
};

interface Exporting {
  readonly name: "exporting";
  readonly timer: Timer;
  readonly spans: number;
}

type QueueState =
  /** The queue is empty. */
  | { readonly name: "idle"; readonly timer?: never }
  /** Waits until a batch is full or its first span is `scheduleDelayMillis` old. */
  | { readonly name: "scheduled"; readonly timer: Timer }
  /** The next batch is exported as soon as the code that runs now has returned. */
  | { readonly name: "due"; readonly timer?: never }
  /** The next batch waits for the attributes of its resource. */
  | { readonly name: "awaiting resource"; readonly timer: Timer }
  /** `export()` was called and has not answered. */
  | Exporting
  /** The queue has ended and accepts no spans. */
  | { readonly name: "stopped"; readonly timer?: never };

const IDLE: QueueState = { name: "idle" };

interface QueuedSpan {
  readonly span: ReadableSpan;
  readonly queuedAt: number;
}

/** A flush that waits until the span with the number `upTo` has left the queue and its export is over. */
interface Waiter {
  readonly upTo: number;
  failure: CrashSafeFileError | undefined;
  readonly resolve: (failure: CrashSafeFileError | undefined) => void;
}

/** A resource whose detectors may not have finished. */
interface DetectedResource {
  readonly asyncAttributesPending?: boolean;
  waitForAsyncAttributes?(): Promise<void>;
}

export class BatchQueue {
  #state: QueueState = IDLE;
  readonly #queue: QueuedSpan[] = [];
  /** Spans are numbered from 1 in the order of their arrival; those up to this number have left the queue. */
  #removed = 0;
  /** Spans up to this number do not wait until a batch is full. */
  #flushRequested = 0;
  #exported = 0;
  /** In the order of `upTo`. */
  #waiters: Waiter[] = [];
  readonly #awaited = new WeakSet<DetectedResource>();

  constructor(
    private readonly exporter: SpanExporter,
    private readonly limits: BatchLimits,
    private readonly clock: Clock,
    private readonly account: ProcessorAccount,
  ) {}

  /** Spans that wait. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Spans in the call of `export()` that has not answered. */
  get exporting(): number {
    return this.#state.name === "exporting" ? this.#state.spans : 0;
  }

  /** Spans in batches that the exporter answered with success. */
  get exported(): number {
    return this.#exported;
  }

  /** Queues a span; `false` if the queue is full or has ended. Never calls the exporter before it returns. */
  add(span: ReadableSpan): boolean {
    if (this.#state.name === "stopped" || this.#queue.length >= this.limits.maxQueueSize) return false;
    this.#queue.push({ span, queuedAt: this.clock.monotonic() });
    this.#advance();
    return true;
  }

  /** Resolves when the export of every span that was added before the call is over, with their first failure. */
  flush(): Promise<CrashSafeFileError | undefined> {
    if (this.#queue.length === 0 && this.#state.name !== "exporting") return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#requestFlush();
      this.#waiters.push({ upTo: this.#flushRequested, failure: undefined, resolve });
      this.#advance();
    });
  }

  /**
   * Exports batches before it returns, for as long as the exporter answers within `export()`: the specification forbids
   * a second concurrent `export()`. The remaining batches follow without delay.
   */
  exportNow(): void {
    this.#requestFlush();
    while (this.#queue.length > 0 && this.#state.name !== "exporting") this.#export();
  }

  /** Ends the queue. The spans that it still holds are lost, counted and logged. */
  stop(): void {
    const held = this.#queue.splice(0).length;
    this.#removed += held;
    const gaveUp = new CrashSafeFileError("EXPORT_TIMEOUT", "the exporter did not answer before shutdown");
    if (this.#state.name === "exporting") this.#settle(this.#state, gaveUp);
    this.#enter({ name: "stopped" });
    this.#release(gaveUp);
    if (held > 0) this.account.drop(held, notExported);
  }

  #requestFlush(): void {
    this.#flushRequested = this.#removed + this.#queue.length;
  }

  #enter(state: QueueState): void {
    this.#state.timer?.cancel();
    this.#state = state;
  }

  #advance(): void {
    switch (this.#state.name) {
      case "due":
      case "awaiting resource":
      case "exporting":
      case "stopped":
        return;
      case "idle":
      case "scheduled":
        break;
    }
    const first = this.#queue[0];
    if (first === undefined) {
      this.#enter(IDLE);
      return;
    }
    const wait = first.queuedAt + this.limits.scheduleDelayMillis - this.clock.monotonic();
    if (
      this.#flushRequested > this.#removed ||
      this.#queue.length >= this.limits.maxExportBatchSize ||
      wait <= 0
    ) {
      const due: QueueState = { name: "due" };
      this.#enter(due);
      timers.queueMicrotask(() => this.#begin(due));
    } else if (this.#state.name === "idle") {
      const scheduled: QueueState = {
        name: "scheduled",
        timer: this.clock.after(wait, () => this.#begin(scheduled)),
      };
      this.#enter(scheduled);
    }
  }

  /** Begins the next batch, at the end of the state `from`. */
  #begin(from: QueueState): void {
    if (this.#state !== from) return;
    const pending = this.#pendingResources();
    if (pending.length === 0) {
      this.#export();
      return;
    }
    // The queue waits for each resource only once: spans without some resource attributes are better than no spans.
    for (const resource of pending) this.#awaited.add(resource);
    const proceed = () => this.#begin(awaiting);
    const awaiting: QueueState = {
      name: "awaiting resource",
      timer: this.clock.after(this.limits.exportTimeoutMillis, proceed),
    };
    this.#enter(awaiting);
    Promise.all(pending.map(async (resource) => resource.waitForAsyncAttributes?.())).then(proceed, proceed);
  }

  #pendingResources(): DetectedResource[] {
    const pending = new Set<DetectedResource>();
    for (const { span } of this.#queue.slice(0, this.limits.maxExportBatchSize)) {
      const resource = span.resource as DetectedResource | undefined;
      if (resource?.asyncAttributesPending && !this.#awaited.has(resource)) pending.add(resource);
    }
    return [...pending];
  }

  #export(): void {
    const batch = this.#queue.splice(0, this.limits.maxExportBatchSize).map(({ span }) => span);
    const spans = batch.length;
    this.#removed += spans;
    const { exportTimeoutMillis } = this.limits;
    const state: Exporting = {
      name: "exporting",
      spans,
      timer: this.clock.after(exportTimeoutMillis, () => this.#settle(state, noAnswer(exportTimeoutMillis))),
    };
    const threw = (cause: unknown) =>
      this.#settle(state, new CrashSafeFileError("EXPORT_FAILED", "the exporter threw", { cause }));
    this.#enter(state);
    try {
      const returned: unknown = untraced(() =>
        this.exporter.export(batch, (result) => this.#settle(state, failureOf(result))),
      );
      // An `export` that is an async function reports an exception by rejecting. Unhandled, that ends the process.
      if (returned instanceof Promise) returned.catch(threw);
    } catch (cause) {
      threw(cause);
    }
  }

  #settle(state: Exporting, failure: CrashSafeFileError | undefined): void {
    if (this.#state !== state) return;
    this.#enter(IDLE);
    // Before anything is logged: a logger may call this queue.
    this.#release(failure);
    if (failure === undefined) this.#exported += state.spans;
    else this.account.batchFailed(state.spans, failure);
    this.#advance();
  }

  /** An export is over. All waiters waited for it, because exports are serial and waiters are in order. */
  #release(failure: CrashSafeFileError | undefined): void {
    for (const waiter of this.#waiters) waiter.failure ??= failure;
    while (this.#waiters[0] !== undefined && this.#waiters[0].upTo <= this.#removed) {
      const waiter = this.#waiters.shift();
      waiter?.resolve(waiter.failure);
    }
  }
}
