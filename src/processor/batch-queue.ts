/**
 * Moves spans from a bounded queue to an exporter, one batch at a time.
 *
 * The pump is in exactly one {@link PumpState}. Whatever ends a state leads back to `#advance`, the only
 * place that picks the next one, so a span in the queue always has a next step: after a success, a failure,
 * a timeout, and an answer that comes twice, late or never. Callbacks carry the state they belong to, and
 * one that no longer is the present state is void.
 */

import { context } from "@opentelemetry/api";
import { failureOf, UNTRACED } from "../otel/export.js";
import type { ReadableSpan, SpanExporter } from "../otel/types.js";
import type { Clock, Timer } from "../platform/clock.js";
import { CrashSafeFileError } from "../platform/errors.js";
import type { ProcessorAccount } from "./processor-stats.js";

/** When and how much to export. */
export interface PumpLimits {
  readonly scheduleDelayMillis: number;
  readonly maxQueueSize: number;
  readonly maxExportBatchSize: number;
  readonly exportTimeoutMillis: number;
}

const untaken = {
  type: "timeout",
  why: "the exporter did not take them before shutdown; give it more time by exportTimeoutMillis",
};

interface Exporting {
  readonly name: "exporting";
  readonly timer: Timer;
  readonly spans: number;
}

type PumpState =
  /** The queue is empty. */
  | { readonly name: "idle"; readonly timer?: never }
  /** Waiting for the batch to fill or for its first span to grow old. */
  | { readonly name: "scheduled"; readonly timer: Timer }
  /** The next batch leaves as soon as the code now running has returned. */
  | { readonly name: "due"; readonly timer?: never }
  /** The next batch waits for the attributes of its resource. */
  | { readonly name: "awaiting resource"; readonly timer: Timer }
  /** `export()` was called and has not answered. */
  | Exporting
  /** Over; nothing is taken any more. */
  | { readonly name: "stopped"; readonly timer?: never };

const IDLE: PumpState = { name: "idle" };

interface QueuedSpan {
  readonly span: ReadableSpan;
  readonly queuedAt: number;
}

/** Someone who waits until the span with number `upTo` has left. */
interface Waiter {
  readonly upTo: number;
  failure: CrashSafeFileError | undefined;
  readonly resolve: (failure: CrashSafeFileError | undefined) => void;
}

/** A resource whose detectors may still be at work. */
interface DetectedResource {
  readonly asyncAttributesPending?: boolean;
  waitForAsyncAttributes?(): Promise<void>;
}

export class ExportPump {
  #state: PumpState = IDLE;
  readonly #queue: QueuedSpan[] = [];
  /** Spans are numbered from 1 in the order they came; those up to here have left the queue. */
  #taken = 0;
  /** Up to this number nothing waits for a batch to fill. */
  #urgent = 0;
  #exported = 0;
  /** In the order of `upTo`. */
  #waiters: Waiter[] = [];
  readonly #awaited = new WeakSet<DetectedResource>();

  constructor(
    private readonly exporter: SpanExporter,
    private readonly limits: PumpLimits,
    private readonly clock: Clock,
    private readonly account: ProcessorAccount,
  ) {}

  get queued(): number {
    return this.#queue.length;
  }

  get exporting(): number {
    return this.#state.name === "exporting" ? this.#state.spans : 0;
  }

  get exported(): number {
    return this.#exported;
  }

  /** Queues a span; `false` if there is no room. Never calls the exporter before it returns. */
  add(span: ReadableSpan): boolean {
    if (this.#state.name === "stopped" || this.#queue.length >= this.limits.maxQueueSize) return false;
    this.#queue.push({ span, queuedAt: this.clock.monotonic() });
    this.#advance();
    return true;
  }

  /** Resolves when every span added before the call has left, with the first failure among them. */
  flush(): Promise<CrashSafeFileError | undefined> {
    if (this.#queue.length === 0 && this.#state.name !== "exporting") return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#hurry();
      this.#waiters.push({ upTo: this.#urgent, failure: undefined, resolve });
      this.#advance();
    });
  }

  /**
   * Hands out batches in this very turn, as long as each is answered before `export()` returns; a second
   * concurrent `export()` is against the specification. What remains follows without delay.
   */
  exportNow(): void {
    this.#hurry();
    while (this.#queue.length > 0 && this.#state.name !== "exporting") this.#export();
  }

  /** Ends the pump. What it still holds is lost, counted and told. */
  stop(): void {
    const held = this.#queue.splice(0).length;
    this.#taken += held;
    const gaveUp = new CrashSafeFileError("EXPORT_TIMEOUT", "the exporter did not answer before shutdown");
    if (this.#state.name === "exporting") this.#settle(this.#state, gaveUp);
    this.#enter({ name: "stopped" });
    this.#release(gaveUp);
    if (held > 0) this.account.drop(held, untaken);
  }

  #hurry(): void {
    this.#urgent = this.#taken + this.#queue.length;
  }

  #enter(state: PumpState): void {
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
    if (this.#urgent > this.#taken || this.#queue.length >= this.limits.maxExportBatchSize || wait <= 0) {
      const due: PumpState = { name: "due" };
      this.#enter(due);
      queueMicrotask(() => this.#begin(due));
    } else if (this.#state.name === "idle") {
      const scheduled: PumpState = {
        name: "scheduled",
        timer: this.clock.after(wait, () => this.#begin(scheduled)),
      };
      this.#enter(scheduled);
    }
  }

  /** Starts on the next batch, at the end of the state `from`. */
  #begin(from: PumpState): void {
    if (this.#state !== from) return;
    const pending = this.#pendingResources();
    if (pending.length === 0) {
      this.#export();
      return;
    }
    // Each resource is waited for once: spans with fewer resource attributes are better than none.
    for (const resource of pending) this.#awaited.add(resource);
    const proceed = () => this.#begin(awaiting);
    const awaiting: PumpState = {
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
    this.#taken += spans;
    const { exportTimeoutMillis } = this.limits;
    const state: Exporting = {
      name: "exporting",
      spans,
      timer: this.clock.after(exportTimeoutMillis, () =>
        this.#settle(
          state,
          new CrashSafeFileError(
            "EXPORT_TIMEOUT",
            `the exporter did not answer in ${exportTimeoutMillis} ms`,
          ),
        ),
      ),
    };
    const threw = (cause: unknown) =>
      this.#settle(state, new CrashSafeFileError("EXPORT_FAILED", "the exporter threw", { cause }));
    this.#enter(state);
    try {
      const returned: unknown = context.with(UNTRACED, () =>
        this.exporter.export(batch, (result) => this.#settle(state, failureOf(result))),
      );
      // An exporter written as an async function throws by rejecting, which would end the process.
      if (returned instanceof Promise) returned.catch(threw);
    } catch (cause) {
      threw(cause);
    }
  }

  #settle(state: Exporting, failure: CrashSafeFileError | undefined): void {
    if (this.#state !== state) return;
    this.#enter(IDLE);
    // Before anything is told: a logger may call back into us.
    this.#release(failure);
    if (failure === undefined) this.#exported += state.spans;
    else this.account.batchFailed(state.spans, failure);
    this.#advance();
  }

  /** A batch has left. Everyone still waiting waited for it: exports are serial and waiters in order. */
  #release(failure: CrashSafeFileError | undefined): void {
    for (const waiter of this.#waiters) waiter.failure ??= failure;
    while (this.#waiters[0] !== undefined && this.#waiters[0].upTo <= this.#taken) {
      const waiter = this.#waiters.shift();
      waiter?.resolve(waiter.failure);
    }
  }
}
