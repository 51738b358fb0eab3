/**
 * What went wrong in the exporter: counted always, told through `diag` without filling it.
 */
import { diag } from "@opentelemetry/api";
import { errorCode } from "./file-system.js";

/** Kinds of faults that are told apart; a host has a handful. */
const maxKinds = 100;

export class FaultLog {
  /** Calls that failed. */
  faults = 0;
  /** Spans that were lost. */
  dropped = 0;
  #droppedTold = 0;
  readonly #told = new Set<string>();

  /** The file system, or a span, failed us. Told once per kind. */
  fault(error: unknown, path: string): void {
    this.faults++;
    const kind = errorCode(error) ?? String(error);
    if (this.#told.has(kind) || this.#told.size >= maxKinds) return;
    this.#told.add(kind);
    tell(
      "error",
      `cannot write ${path}: ${describe(error)}. Spans are kept and written when it can be; ${advice(kind)}`,
    );
  }

  /** A span is lost. Told at 1, 2, 4, 8 …: a burst is a few lines, and the count is never far off. */
  drop(why: string): void {
    this.dropped++;
    if (this.dropped < 2 * this.#droppedTold) return;
    this.#droppedTold = this.dropped;
    tell("warn", `dropped a span: ${why} (${this.dropped} so far)`);
  }

  /** Tells how many were dropped in all, where that was not told. */
  tellTotal(): void {
    if (this.dropped === this.#droppedTold) return;
    this.#droppedTold = this.dropped;
    tell("warn", `dropped ${this.dropped} spans in all`);
  }
}

/** An error in words. */
export const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function tell(level: "warn" | "error", message: string): void {
  try {
    diag[level](`CrashSafeFileSpanExporter: ${message}`);
  } catch {
    // A host's logger that throws is no reason to lose a span.
  }
}

function advice(code: string): string {
  if (code === "ENOSPC" || code === "EDQUOT") return "free some space on that disk";
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") return "check who may write there";
  if (code === "EMFILE" || code === "ENFILE") return "raise the limit of open files";
  return "check that directory";
}
