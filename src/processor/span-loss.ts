/**
 * The account of spans that did not arrive: every one is counted, and told through `diag`.
 */
import { diag } from "@opentelemetry/api";
import { Bursts } from "../otel/bursts.js";
import { errorTypeOf, LostSpans } from "../otel/lost-spans.js";
import type { Clock } from "../platform/clock.js";
import type { CrashSafeFileError } from "../platform/errors.js";

const NAME = "CrashSafeSpanProcessor";

/** Why a span never reached the exporter: what the metrics call it, what happened, and what to do. */
export interface DropReason {
  readonly type: string;
  readonly why: string;
}

/** Counts failures, drops and faults, and reports them without ever throwing into the caller. */
export class SpanLoss {
  readonly #lost = new LostSpans();
  readonly #bursts: Bursts;
  #failed = 0;
  #faults = 0;
  readonly #faultsTold = new Set<string>();

  constructor(clock: Clock, windowMillis: number) {
    this.#bursts = new Bursts(clock, windowMillis);
  }

  /** Spans whose batch failed or timed out, or which a live exporter refused by throwing. */
  get failed(): number {
    return this.#failed;
  }

  /** Spans that never reached the exporter. */
  get dropped(): number {
    return this.#lost.total - this.#failed;
  }

  /** Both, by why: what the metrics call `error.type`. */
  get lostBy(): Readonly<Record<string, number>> {
    return this.#lost.byType;
  }

  /** Exceptions caught in `onStart`, `onEnd` and `crash`. */
  get faults(): number {
    return this.#faults;
  }

  /**
   * A batch is lost. Retrying is the exporter's business: it alone knows whether a failure may pass. The first of a
   * burst is told at once, as a drop is.
   */
  batchFailed(spans: number, error: CrashSafeFileError): void {
    const type = failureType(error);
    this.#failed += spans;
    this.#lost.add(type, spans);
    const why = `${error.message}. They are not sent again by this processor; see whether the exporter's backend answers`;
    this.#bursts.add(`failed: ${type}`, spans, {
      first: () => report("error", `${count(spans)} were not exported: ${why}`, error.cause),
      more: (more) =>
        report("error", `${count(more)} more were not exported: ${why} (${this.#failed} in all)`),
    });
  }

  /**
   * `spans` are dropped. The first of a burst is told at once, since nothing else may happen for long; how many there
   * were is told when the burst's window ends or at {@link tellDrops}.
   */
  drop(spans: number, { type, why }: DropReason): void {
    this.#lost.add(type, spans);
    this.#bursts.add(`dropped: ${why}`, spans, {
      first: () => report("warn", `dropped ${count(spans)}: ${why}`),
      more: (more) => report("warn", `dropped ${count(more)} more: ${why} (${this.dropped} in all)`),
    });
  }

  /** Tells what was lost since the last report. */
  tellDrops(): void {
    this.#bursts.tell();
  }

  /** The same at the end. */
  end(): void {
    this.#bursts.end();
  }

  /** A hook threw. Told once per kind: the same bad span would otherwise fill the log. */
  fault(where: string, error: unknown, spansLost = 0): void {
    this.#faults++;
    if (spansLost > 0) {
      this.#failed += spansLost;
      this.#lost.add(errorTypeOf(error), spansLost);
    }
    if (this.#faultsTold.has(where)) return;
    this.#faultsTold.add(where);
    report(
      "error",
      `${where} threw; further faults of this kind are only counted (stats().faults). See where it comes from`,
      error,
    );
  }
}

/** Of a failed batch: a timeout, or the exporter's own error. */
function failureType({ code, cause }: CrashSafeFileError): string {
  if (code === "EXPORT_TIMEOUT") return "timeout";
  return cause instanceof Error ? errorTypeOf(cause) : "export_failed";
}

/** Tells of a failure that may come again with every call: the first, and how many there were. */
export function reportFailure(bursts: Bursts, what: string, error: unknown): void {
  bursts.add(`${what}: ${errorTypeOf(error)}`, 1, {
    first: () => report("error", what, error),
    more: (times) => report("error", `${what}, ${times} more times`),
  });
}

/** Tells `diag`. A logger that throws must not break what it reports on. */
export function report(level: "debug" | "warn" | "error", message: string, cause?: unknown): void {
  try {
    const details = cause === undefined ? [] : [cause];
    diag[level](`${NAME}: ${message}`, ...details);
  } catch {
    // There is nobody left to tell.
  }
}

function count(spans: number): string {
  return spans === 1 ? "1 span" : `${spans} spans`;
}
