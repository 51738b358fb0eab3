/**
 * Options of the file exporter: one place where they are checked and get their defaults.
 */
import type { MeterProvider } from "@opentelemetry/api";
import { meterProviderOrNone } from "../otel/metrics.js";
import { type Environment, numberIn, variableNameOf, variableOf } from "../platform/environment.js";
import { type CrashSafeFileError, invalidOption } from "../platform/errors.js";
import type { Durability } from "../storage/durability.js";
import type { Redact } from "./content-filter.js";
import { redactSecrets } from "./redact-secrets.js";
import type { SessionIdOption } from "./session-router.js";

/**
 * Options of {@link CrashSafeFileSpanExporter}. Those that are no function are also read from the environment, where
 * the program does not give them: `maxFiles` from `CRASH_SAFE_FILE_MAX_FILES`.
 */
export interface CrashSafeFileSpanExporterOptions {
  /** Directory of the trace documents; created (0700) with the first session. Required, here or as a variable. */
  readonly dir?: string | undefined;
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
   * and a marker tells how much is missing: `…[123456 bytes cut]`. Default 16,000,000: more than the largest context of
   * a model in any script, or a photo in base64, and recorded within some 100 ms. 0: no limit; else at least 1000.
   */
  readonly maxValueBytes?: number;
  /**
   * Largest record of a span as JSON, in bytes. In a larger one all texts are cut shorter until it fits. Default
   * 32,000,000: as much as waits in memory while a disk takes nothing. 0: no limit; else at least 10,000.
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
  /** Gets the metrics of this exporter (semantic conventions, "OTel SDK metrics"). Default: none are recorded. */
  readonly selfObsMeterProvider?: MeterProvider | undefined;
}

/** @internal Options with their defaults. */
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
  readonly selfObsMeterProvider: MeterProvider | undefined;
}

const defaults = Object.freeze({
  durability: "process",
  maxFiles: 0,
  maxFileAgeMillis: 0,
  maxTotalBytes: 0,
  maxValueBytes: 16_000_000,
  maxSpanBytes: 32_000_000,
  maxSpans: 0,
  sessionIdleMillis: 1_800_000,
});

const who = "CrashSafeFileSpanExporter";

const levels: readonly unknown[] = ["process", "interval", "each"] satisfies Durability[];

/**
 * @internal The program's options over the environment's over the defaults.
 *
 * A variable that cannot work is an error as an option is, though the OpenTelemetry specification would have it
 * ignored: these say how much may be lost and how much is kept, and that a typing error in one had no effect would
 * be seen after the power cut that it was set for.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the option or variable, its value and what is allowed.
 */
export function resolveExporterOptions(
  user: CrashSafeFileSpanExporterOptions,
  env: Environment = {},
): ResolvedExporterOptions {
  const options = new Options(user, env);
  return {
    dir: options.path("dir"),
    durability: options.durability("durability"),
    maxFiles: options.wholeNumber("maxFiles", 0),
    maxFileAgeMillis: options.wholeNumber("maxFileAgeMillis", 0),
    maxTotalBytes: options.wholeNumber("maxTotalBytes", 0),
    maxValueBytes: options.limit("maxValueBytes", 1_000),
    maxSpanBytes: options.limit("maxSpanBytes", 10_000),
    // A head, a marker, a tail and the session itself.
    maxSpans: options.limit("maxSpans", 10),
    sessionIdleMillis: options.wholeNumber("sessionIdleMillis", 1),
    redact: options.redact(),
    sessionId: options.functionOrNone("sessionId"),
    selfObsMeterProvider: meterProviderOrNone(who, user?.selfObsMeterProvider),
  };
}

type Name = keyof ResolvedExporterOptions;

/** What is given, and how the one who gave it calls it. */
interface Given {
  readonly name: string;
  readonly value: unknown;
}

/** Takes each option from where it is given first, and checks it. */
class Options {
  readonly #user: Partial<CrashSafeFileSpanExporterOptions>;
  readonly #env: Environment;

  constructor(user: CrashSafeFileSpanExporterOptions, env: Environment) {
    this.#user = user ?? {};
    this.#env = env;
  }

  path(option: "dir"): string {
    const { name, value } = this.#find(option);
    if (typeof value === "string" && value !== "" && !value.includes("\0")) return value;
    const how = value === undefined ? `: pass { ${option} }, or set ${variableNameOf(option)}` : "";
    throw invalid(name, value, `a path${how}`);
  }

  durability(option: "durability"): Durability {
    const { name, value } = this.#find(option);
    if (levels.includes(value)) return value as Durability;
    throw invalid(name, value, '"process", "interval" or "each"');
  }

  wholeNumber(option: Name, least: number): number {
    const { name, value } = this.#find(option);
    if (isWhole(value, least)) return value;
    throw invalid(name, value, `a whole number of at least ${least}`);
  }

  /** A limit of which 0 says that there is none. */
  limit(option: Name, least: number): number {
    const { name, value } = this.#find(option);
    if (value === 0 || isWhole(value, least)) return value;
    throw invalid(name, value, `a whole number of at least ${least}, or 0: no limit`);
  }

  /** The program's function, or the one that a variable names. */
  redact(): Redact | undefined {
    const own = this.functionOrNone("redact");
    if (own) return own;
    const { name, value } = this.#find("redact");
    if (value === undefined) return undefined;
    if (value === "secrets") return redactSecrets();
    throw invalid(name, value, '"secrets"');
  }

  /** No variable can be one. */
  functionOrNone<N extends "redact" | "sessionId">(option: N): CrashSafeFileSpanExporterOptions[N] {
    const value = this.#user[option];
    if (value === undefined || typeof value === "function") return value;
    throw invalid(option, value, "a function");
  }

  #find(option: Name): Given {
    const value: unknown = this.#user[option];
    if (value !== undefined && value !== null) return { name: option, value };
    const variable = variableNameOf(option);
    const text = variableOf(this.#env, variable);
    const standard: unknown = (defaults as Record<string, unknown>)[option];
    if (text === undefined) return { name: option, value: standard };
    return { name: variable, value: typeof standard === "number" ? numberIn(text) : text };
  }
}

const isWhole = (value: unknown, least: number): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= least;

const invalid = (name: string, value: unknown, allowed: string): CrashSafeFileError =>
  invalidOption(who, name, value, allowed);
