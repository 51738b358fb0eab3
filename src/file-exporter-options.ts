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
  /** Documents that were written to last longer ago than this go, but never a live session's. Default 0: none. */
  readonly maxFileAgeMillis?: number;
  /**
   * Bytes that all documents in `dir` may have together; the oldest beyond it go, never one that is being written.
   * The side files of running sessions come on top. Default 0: no limit.
   */
  readonly maxTotalBytes?: number;
  /**
   * Longest text, in bytes of UTF-8, wherever it stands in a span's content. Of a longer one the beginning is kept,
   * and a marker tells how much is missing: `…[123456 bytes cut]`. Default 8,000,000: more than the largest context of
   * a model, or a photo in base64, and recorded within some 50 ms. 0: no limit; else at least 1000.
   */
  readonly maxValueBytes?: number;
  /**
   * Largest record of a span as JSON, in bytes. In a larger one all texts are cut shorter until it fits. Default
   * 16,000,000: half of what waits in memory while a disk takes nothing. 0: no limit; else at least 10,000.
   */
  readonly maxSpanBytes?: number;
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
  readonly maxFileAgeMillis: number;
  readonly maxTotalBytes: number;
  readonly maxValueBytes: number;
  readonly maxSpanBytes: number;
  readonly maxSpans: number;
  readonly sessionIdleMillis: number;
  readonly redact: Redact | undefined;
  readonly sessionId: SessionIdOption | undefined;
}

const defaults = Object.freeze({
  durability: "process",
  maxFiles: 0,
  maxFileAgeMillis: 0,
  maxTotalBytes: 0,
  maxValueBytes: 8_000_000,
  maxSpanBytes: 16_000_000,
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
    maxFileAgeMillis: wholeNumber("maxFileAgeMillis", given.maxFileAgeMillis ?? defaults.maxFileAgeMillis, 0),
    maxTotalBytes: wholeNumber("maxTotalBytes", given.maxTotalBytes ?? defaults.maxTotalBytes, 0),
    maxValueBytes: limit("maxValueBytes", given.maxValueBytes ?? defaults.maxValueBytes, 1_000),
    maxSpanBytes: limit("maxSpanBytes", given.maxSpanBytes ?? defaults.maxSpanBytes, 10_000),
    // A head, a marker, a tail and the session itself.
    maxSpans: limit("maxSpans", given.maxSpans ?? defaults.maxSpans, 10),
    sessionIdleMillis: wholeNumber(
      "sessionIdleMillis",
      given.sessionIdleMillis ?? defaults.sessionIdleMillis,
      1,
    ),
    redact: functionOrNone("redact", given.redact),
    sessionId: functionOrNone("sessionId", given.sessionId),
  };
}

/** A limit of which 0 says that there is none. */
function limit(name: string, value: unknown, least: number): number {
  if (value === 0) return 0;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value;
  throw invalid(name, value, `a whole number of at least ${least}, or 0: no limit`);
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
