/**
 * The account of spans that did not arrive: every one is counted, and told through `diag`.
 */
import { diag } from "@opentelemetry/api";
import type { Clock, Timer } from "./clock.js";

const NAME = "CrashSafeSpanProcessor";

/** Counts failures, drops and faults, and reports them without ever throwing into the caller. */
export class SpanLoss {
  #failed = 0;
  #dropped = 0;
  #faults = 0;
  readonly #faultsTold = new Set<string>();
  readonly #untold = new Map<string, number>();
  #window: Timer | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly windowMillis: number,
  ) {}

  /** Spans whose batch failed or timed out, or which a live exporter refused by throwing. */
  get failed(): number {
    return this.#failed;
  }

  /** Spans that never reached the exporter. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Exceptions caught in `onStart`, `onEnd` and `crash`. */
  get faults(): number {
    return this.#faults;
  }

  /** A batch is lost. Retrying is the exporter's business: it alone knows whether a failure may pass. */
  batchFailed(spans: number, error: Error): void {
    this.#failed += spans;
    report("error", `${spans} spans were not exported: ${error.message}`, error.cause);
  }

  /**
   * `spans` are dropped because of `why`. The first of a burst is told at once, since nothing else may
   * happen for long; how many there were is told when the burst's window ends or at {@link tellDrops}.
   */
  drop(spans: number, why: string): void {
    this.#dropped += spans;
    const untold = this.#untold.get(why);
    if (untold !== undefined) {
      this.#untold.set(why, untold + spans);
      return;
    }
    this.#untold.set(why, 0);
    report("warn", `dropped ${count(spans)}: ${why}`);
    this.#window ??= this.clock.after(this.windowMillis, () => this.tellDrops());
  }

  /** Ends the burst: tells what was dropped since the last report. */
  tellDrops(): void {
    this.#window?.cancel();
    this.#window = undefined;
    const untold = [...this.#untold];
    this.#untold.clear();
    for (const [why, spans] of untold) {
      if (spans > 0) report("warn", `dropped ${count(spans)} more: ${why} (${this.#dropped} in all)`);
    }
  }

  /** A hook threw. Told once per kind: the same bad span would otherwise fill the log. */
  fault(where: string, error: unknown, spansLost = 0): void {
    this.#faults++;
    this.#failed += spansLost;
    if (this.#faultsTold.has(where)) return;
    this.#faultsTold.add(where);
    report("error", `${where} threw; further faults of this kind are only counted`, error);
  }
}

/** Tells `diag`. A logger that throws must not break what it reports on. */
export function report(level: "warn" | "error", message: string, cause?: unknown): void {
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
