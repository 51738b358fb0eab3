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
  readonly scheduledDelayMillis: number;
  readonly maxQueueSize: number;
  readonly maxExportBatchSize: number;
  readonly exportTimeoutMillis: number;
}

const notExported = {
  type: "timeout",
  why: "the exporter did not accept them before the shutdown timed out; raise exportTimeoutMillis",
};

/** The next batch is full, and is exported as soon as the code that runs now has returned. */
interface Full {
  readonly name: "full";
  readonly batch: readonly ReadableSpan[];
  readonly timer?: never;
}

/** The next batch waits for the attributes of its resource. */
interface AwaitingResource {
  readonly name: "awaiting resource";
  readonly batch: readonly ReadableSpan[];
  readonly timer: Timer;
}

/** `export()` was called and has not answered. */
interface Exporting {
  readonly name: "exporting";
  readonly batch: readonly ReadableSpan[];
  readonly timer: Timer;
}

type QueueState =
  /** The queue is empty. */
  | { readonly name: "idle"; readonly batch?: never; readonly timer?: never }
  /** Waits until a batch is full or its first span is `scheduledDelayMillis` old. */
  | { readonly name: "scheduled"; readonly batch?: never; readonly timer: Timer }
  /** What waits is exported as soon as the code that runs now has returned. */
  | { readonly name: "due"; readonly batch?: never; readonly timer?: never }
  | Full
  | AwaitingResource
  | Exporting
  /** The queue has ended and accepts no spans. */
  | { readonly name: "stopped"; readonly batch?: never; readonly timer?: never };

const IDLE: QueueState = { name: "idle" };

interface QueuedSpan {
  readonly span: ReadableSpan;
  readonly queuedAt: number;
}

/** A flush that waits until the span with the number `upTo` is in a batch, and the export of the batch is over. */
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
  /** Spans are numbered from 1 in the order of their arrival; those up to this number are or were in a batch. */
  #taken = 0;
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

  /** Spans that are in no batch yet. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Spans in the batch that is about to be exported, or whose `export()` has not answered. */
  get exporting(): number {
    return this.#state.batch?.length ?? 0;
  }

  /** Spans in batches that the exporter answered with success. */
  get exported(): number {
    return this.#exported;
  }

  /**
   * Queues a span; `false` if the queue is full or has ended. Never calls the exporter before it returns: a full batch
   * leaves the queue at once and is exported afterwards, so that a burst without a pause keeps the queue and one batch.
   */
  add(span: ReadableSpan): boolean {
    if (this.#state.name === "stopped" || this.#queue.length >= this.limits.maxQueueSize) return false;
    this.#queue.push({ span, queuedAt: this.clock.monotonic() });
    this.#advance();
    return true;
  }

  /** Resolves when the export of every span that was added before the call is over, with their first failure. */
  flush(): Promise<CrashSafeFileError | undefined> {
    if (this.#queue.length === 0 && this.exporting === 0) return Promise.resolve(undefined);
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
    while (this.#state.name !== "exporting" && this.#queue.length + this.exporting > 0)
      this.#export(this.#takeBatch());
  }

  /** Ends the queue. The spans that it still holds are lost, counted and logged. */
  stop(): void {
    const isCalled = this.#state.name === "exporting";
    const held = this.#queue.length + (isCalled ? 0 : this.exporting);
    this.#taken += this.#queue.splice(0).length;
    const gaveUp = new CrashSafeFileError("EXPORT_TIMEOUT", "the exporter did not answer before shutdown");
    if (this.#state.name === "exporting") this.#settle(this.#state, gaveUp);
    this.#enter({ name: "stopped" });
    this.#release(gaveUp);
    if (held > 0) this.account.drop(held, notExported);
  }

  #requestFlush(): void {
    this.#flushRequested = this.#taken + this.#queue.length;
  }

  #enter(state: QueueState): void {
    this.#state.timer?.cancel();
    this.#state = state;
  }

  #advance(): void {
    switch (this.#state.name) {
      case "full":
      case "awaiting resource":
      case "exporting":
      case "stopped":
        return;
      case "due":
      case "idle":
      case "scheduled":
        break;
    }
    const first = this.#queue[0];
    if (first === undefined) {
      this.#enter(IDLE);
      return;
    }
    if (this.#queue.length >= this.limits.maxExportBatchSize) {
      this.#enterSoon({ name: "full", batch: this.#takeBatch() });
      return;
    }
    if (this.#state.name === "due") return;
    const wait = first.queuedAt + this.limits.scheduledDelayMillis - this.clock.monotonic();
    if (this.#flushRequested > this.#taken || wait <= 0) this.#enterSoon({ name: "due" });
    else if (this.#state.name === "idle") {
      const scheduled: QueueState = {
        name: "scheduled",
        timer: this.clock.after(wait, () => this.#begin(scheduled)),
      };
      this.#enter(scheduled);
    }
  }

  /** Enters a state that lasts until the code that runs now has returned. */
  #enterSoon(state: QueueState): void {
    this.#enter(state);
    timers.queueMicrotask(() => this.#begin(state));
  }

  /** Begins the next batch, at the end of the state `from`. */
  #begin(from: QueueState): void {
    if (this.#state === from) this.#exportUnlessPending(this.#takeBatch());
  }

  /** The batch that has left the queue already, else a new one. The caller enters the state that holds it. */
  #takeBatch(): readonly ReadableSpan[] {
    if (this.#state.batch) return this.#state.batch;
    const batch = this.#queue.splice(0, this.limits.maxExportBatchSize).map(({ span }) => span);
    this.#taken += batch.length;
    return batch;
  }

  #exportUnlessPending(batch: readonly ReadableSpan[]): void {
    const pending = this.#pendingResources(batch);
    if (pending.length === 0) {
      this.#export(batch);
      return;
    }
    // The queue waits for each resource only once: spans without some resource attributes are better than no spans.
    for (const resource of pending) this.#awaited.add(resource);
    const proceed = () => this.#begin(awaiting);
    const awaiting: AwaitingResource = {
      name: "awaiting resource",
      batch,
      timer: this.clock.after(this.limits.exportTimeoutMillis, proceed),
    };
    this.#enter(awaiting);
    Promise.all(pending.map(async (resource) => resource.waitForAsyncAttributes?.())).then(proceed, proceed);
  }

  #pendingResources(batch: readonly ReadableSpan[]): DetectedResource[] {
    const pending = new Set<DetectedResource>();
    for (const span of batch) {
      const resource = span.resource as DetectedResource | undefined;
      if (resource?.asyncAttributesPending && !this.#awaited.has(resource)) pending.add(resource);
    }
    return [...pending];
  }

  #export(batch: readonly ReadableSpan[]): void {
    const { exportTimeoutMillis } = this.limits;
    const state: Exporting = {
      name: "exporting",
      batch,
      timer: this.clock.after(exportTimeoutMillis, () => this.#settle(state, noAnswer(exportTimeoutMillis))),
    };
    const threw = (cause: unknown) =>
      this.#settle(state, new CrashSafeFileError("EXPORT_FAILED", "the exporter threw", { cause }));
    this.#enter(state);
    try {
      // A copy: an exporter may change the array that it is given.
      const returned: unknown = untraced(() =>
        this.exporter.export([...batch], (result) => this.#settle(state, failureOf(result))),
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
    if (failure === undefined) this.#exported += state.batch.length;
    else this.account.batchFailed(state.batch.length, failure);
    this.#advance();
  }

  /** An export is over. All waiters waited for it, because exports are serial and waiters are in order. */
  #release(failure: CrashSafeFileError | undefined): void {
    for (const waiter of this.#waiters) waiter.failure ??= failure;
    while (this.#waiters[0] !== undefined && this.#waiters[0].upTo <= this.#taken) {
      const waiter = this.#waiters.shift();
      waiter?.resolve(waiter.failure);
    }
  }
}
