/**
 * Options of the file exporter: one place where they are checked and get their defaults.
 */
import type { Durability } from "./durability.js";
import type { Redact } from "./redaction.js";
import type { SessionIdOption } from "./session-router.js";
import { CrashSafeFileError } from "./trace-error.js";

/** Options of {@link CrashSafeFileSpanExporter}. */
export interface CrashSafeFileSpanExporterOptions {
  /** Directory of the trace documents; created (0700) with the first session. */
  readonly dir: string;
  /**
   * What survives a power cut. `process` (default): an intact document, older or newer; nothing recorded is lost
   * when only the process dies. `interval`: all but the last second. `each`: every span, at the price of a disk
   * sync per span.
   */
  readonly durability?: Durability;
  /** Documents kept in `dir`; the oldest beyond it go, never one that is being written. Default 0: all. */
  readonly maxFiles?: number;
  /**
   * Spans kept per document: the first 30 % and the last, with a marker between. After a crash
   * up to twice as many, since neither a fence nor a recovery leaves any out; while several processes write to one
   * session, all of what they write. Totals are exact all the same. Default 0: all.
   */
  readonly maxSpans?: number;
  /** A session without open spans is ended after this long; it resumes when it speaks again. Default 30 minutes. */
  readonly sessionIdleMillis?: number;
  /** Gets every content field before it is written anywhere. Default: none. */
  readonly redact?: Redact;
  /** Names a span's session before its attributes do. */
  readonly sessionId?: SessionIdOption;
}

/** Options with their defaults. */
export interface ResolvedExporterOptions {
  readonly dir: string;
  readonly durability: Durability;
  readonly maxFiles: number;
  readonly maxSpans: number;
  readonly sessionIdleMillis: number;
  readonly redact: Redact | undefined;
  readonly sessionId: SessionIdOption | undefined;
}

const defaults = Object.freeze({
  durability: "process",
  maxFiles: 0,
  maxSpans: 0,
  sessionIdleMillis: 1_800_000,
});

/** Checks options; throws `INVALID_OPTION` naming the option, its value and what is allowed. */
export function resolveExporterOptions(options: CrashSafeFileSpanExporterOptions): ResolvedExporterOptions {
  const given: Partial<CrashSafeFileSpanExporterOptions> = options ?? {};
  if (typeof given.dir !== "string" || given.dir === "" || given.dir.includes("\0")) {
    throw invalid("dir", given.dir, "a path");
  }
  const durability = given.durability ?? defaults.durability;
  if (durability !== "process" && durability !== "interval" && durability !== "each") {
    throw invalid("durability", durability, '"process", "interval" or "each"');
  }
  return {
    dir: given.dir,
    durability,
    maxFiles: wholeNumber("maxFiles", given.maxFiles ?? defaults.maxFiles, 0),
    maxSpans: maxSpansOf(given.maxSpans ?? defaults.maxSpans),
    sessionIdleMillis: wholeNumber(
      "sessionIdleMillis",
      given.sessionIdleMillis ?? defaults.sessionIdleMillis,
      1,
    ),
    redact: functionOrNone("redact", given.redact),
    sessionId: functionOrNone("sessionId", given.sessionId),
  };
}

function maxSpansOf(value: number): number {
  wholeNumber("maxSpans", value, 0);
  // A head, a marker, a tail and the session itself.
  if (value !== 0 && value < 10) throw invalid("maxSpans", value, "0 (no cap) or at least 10");
  return value;
}

function wholeNumber(name: string, value: unknown, least: number): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value;
  throw invalid(name, value, `a whole number of at least ${least}`);
}

function functionOrNone<F>(name: string, value: F | undefined): F | undefined {
  if (value === undefined || typeof value === "function") return value;
  throw invalid(name, value, "a function");
}

function invalid(name: string, value: unknown, allowed: string): CrashSafeFileError {
  let shown: string;
  try {
    shown = typeof value === "string" ? JSON.stringify(value) : String(value);
  } catch {
    shown = typeof value;
  }
  return new CrashSafeFileError(
    "INVALID_OPTION",
    `CrashSafeFileSpanExporter: ${name} is ${shown}, and must be ${allowed}`,
  );
}
