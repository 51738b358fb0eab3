/**
 * What went wrong in the exporter: counted at once, logged through `diag` once per fault.
 */
import { diag } from "@opentelemetry/api";
import { Bursts } from "../otel/bursts.js";
import { errorTypeOf, LostSpans } from "../otel/lost-spans.js";
import type { Clock } from "../platform/clock.js";
import { errorCode } from "../platform/file-system.js";

/**
 * A fault that is tried again is so well within this, so that one that lasts is told once; one that comes back after
 * it is another.
 */
const faultWindowMillis = 60_000;

/** Of lost spans the first is told at once, and how many followed after this long at first. */
const lossWindowMillis = 1_000;

/** Why an ended span is in no file. */
export type LossReason = keyof typeof losses;

/** What the metrics call it, what happened, and what to do. */
const losses = {
  closed: {
    type: "session_ended",
    why: "its session had ended before it; end spans before their session, or start one to resume it",
  },
  ended: {
    type: "session_ended",
    why: "its session had ended before it; open the session again to go on with it",
  },
  fenced: {
    type: "session_crashed",
    why: "its session was fenced by crash(); nothing is added to it after that, unless it is opened again",
  },
  stopped: {
    type: "exporter_ended",
    why: "the exporter has ended; end spans before shutdown() or crash()",
  },
  nested: {
    type: "nested",
    why: "it was recorded by code that reads spans (a redactor, say) while that code read a span recorded by itself; record no span there, or only once",
  },
  unreadable: { type: "unreadable", why: "it cannot be read; see what makes such spans" },
  full: {
    type: "queue_full",
    why: "the disk takes nothing and the retry queue is full; free some space, or repair the disk",
  },
} as const;

export class FaultLog {
  /** Calls that failed. */
  faults = 0;
  readonly lost = new LostSpans();
  readonly #faults: Bursts;
  readonly #losses: Bursts;
  readonly #log: (log: () => void) => void;

  /** `log` runs what calls the host's logger, at once or when the state that it describes is whole. */
  constructor(clock: Clock, log: (log: () => void) => void = (now) => now()) {
    this.#log = log;
    this.#faults = new Bursts(clock, faultWindowMillis);
    this.#losses = new Bursts(clock, lossWindowMillis);
  }

  /** The file system, or a span, failed us. Told once for as long as it lasts, and when it is over. */
  fault(error: unknown, path: string): void {
    this.faults++;
    const code = errorCode(error);
    this.#faults.add(code ?? errorTypeOf(error), 1, {
      first: () =>
        this.#tell(
          "error",
          code === undefined
            ? `a fault beside ${path}: ${describe(error)}. Spans that it concerned may lack something; more of its ` +
                "kind are only counted. Please report it"
            : `cannot write ${path}: ${describe(error)}. Spans are kept and written when it can be; ${advice(code)}`,
        ),
      over: (total) =>
        this.#tell(
          "info",
          `no more ${code ?? errorTypeOf(error)} for a minute, after ${total} failed calls; it was told of ${path}`,
        ),
    });
  }

  /** The host's meter provider threw. */
  metrics(error: unknown): void {
    this.#faults.add("selfObsMeterProvider", 1, {
      first: () =>
        this.#tell(
          "warn",
          `selfObsMeterProvider threw: ${describe(error)}. Metrics are missing, spans are not; see to it`,
        ),
    });
  }

  /** The flush before a natural exit failed. */
  exitFlush(error: unknown): void {
    this.#faults.add("exit flush", 1, {
      first: () => this.#tell("error", `the flush before exit failed: ${describe(error)}`),
    });
  }

  /** A span is lost. Of a burst the first is told, and then how many. */
  drop(reason: LossReason): void {
    const { type, why } = losses[reason];
    this.lost.add(type, 1);
    this.#losses.add(reason, 1, {
      first: () => this.#tell("warn", `dropped a span: ${why}`),
      more: (spans) => this.#tell("warn", `dropped ${spans} more: ${why} (${this.lost.total} in all)`),
    });
  }

  /** Nothing more is to come: tells how many were dropped, where that was not told. */
  end(): void {
    this.#faults.end();
    this.#losses.end();
  }

  #tell(level: "info" | "warn" | "error", message: string): void {
    this.#log(() => tell(level, message));
  }
}

/** What the metrics call a loss. */
export const lossType = (reason: LossReason): string => losses[reason].type;

/** An error in words. */
export function describe(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return "an error that cannot be read";
  }
}

function tell(level: "info" | "warn" | "error", message: string): void {
  try {
    diag[level](`CrashSafeFileSpanExporter: ${message}`);
  } catch {
    // A host's logger that throws is no reason to lose a span.
  }
}

function advice(code: string): string {
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return "free some space on that disk";
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return "check who may write there";
    case "EMFILE":
    case "ENFILE":
      return "raise the limit of open files";
    case "EFBIG":
      return "raise the limit of a file's size";
    default:
      return "check that directory and its disk";
  }
}
