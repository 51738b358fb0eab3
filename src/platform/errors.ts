/** The reason of a {@link CrashSafeFileError}, for programs. */
export type CrashSafeErrorCode =
  /** An option is invalid or does not exist. Thrown only by the constructor or function that takes the option. */
  | "INVALID_OPTION"
  /** An optional package that an option or a variable needs is not installed. Thrown where `INVALID_OPTION` is. */
  | "MISSING_PACKAGE"
  /** The directory or a file in it cannot be written; recorded spans are kept in memory. */
  | "WRITE_FAILED"
  /** Spans were dropped: the queue was full, or the exporter had ended. */
  | "SPANS_DROPPED"
  /** An exporter did not answer in time. */
  | "EXPORT_TIMEOUT"
  /** An exporter reported a failure or threw. */
  | "EXPORT_FAILED"
  /** The file holds no trace document, and no part of one. */
  | "NOT_A_TRACE"
  /** The file does not exist or cannot be read. */
  | "READ_FAILED";

const errorBrand = Symbol.for("opentelemetry-exporter-crash-safe-file/error/1");

/** Where the page on errors describes a code: the anchor of its heading. */
const linkOf = (code: CrashSafeErrorCode): string => ` (docs/errors.md#${code.toLowerCase()})`;

/**
 * The only error class of this package: `code` for programs, `message` for people, `cause` for the original error. A message
 * ends with the place in the documentation that describes the code.
 */
export class CrashSafeFileError extends Error {
  /** The name of the class, also where a bundler has shortened that. */
  override readonly name = "CrashSafeFileError";
  /** The reason, in one word. */
  readonly code: CrashSafeErrorCode;

  /** `options.cause`: the error that led to this one. */
  constructor(code: CrashSafeErrorCode, message: string, options?: { cause?: unknown }) {
    super(`${message}${linkOf(code)}`, options);
    this.code = code;
    Object.defineProperty(this, errorBrand, { value: true });
  }
}

// Errors of every copy of this package in the process are instances: `import` and `require` give one copy each.
Object.defineProperty(CrashSafeFileError, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    // An error of this class is no instance of a class that a program derives.
    if (this !== CrashSafeFileError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return tryOr(() => typeof value === "object" && value !== null && errorBrand in value, false);
  },
});

/** An invalid value. `component` takes it; `name` is the option or the variable that the user knows. */
export function invalidOption(
  component: string,
  name: string,
  value: unknown,
  allowed: string,
): CrashSafeFileError {
  return new CrashSafeFileError(
    "INVALID_OPTION",
    `${component}: ${name} is ${shownValue(value)}, and must be ${allowed}`,
  );
}

/** A value as text for a message. Never throws. */
export function shownValue(value: unknown): string {
  try {
    if (typeof value === "string" || Array.isArray(value))
      return (JSON.stringify(value) ?? "a list").slice(0, 200);
    if (typeof value === "function") return `a function${value.name ? ` (${value.name})` : ""}`;
    if (typeof value !== "object" || value === null) return String(value);
    // `[object Object]` says nothing.
    return String(value).startsWith("[object ") ? `an object (${value.constructor?.name})` : String(value);
  } catch {
    return typeof value;
  }
}

/** Returns what `run` returns, or `otherwise` if it throws: an object of a caller may be a Proxy, or have getters. */
export function tryOr<T>(run: () => T, otherwise: T): T {
  try {
    return run();
  } catch {
    return otherwise;
  }
}

/** The message of an error. Never throws. */
export function messageOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return "an error that cannot be read";
  }
}

/** The message of an error for the inside of a longer one: without the link of a {@link CrashSafeFileError}. Never throws. */
export const reasonOf = (error: unknown): string =>
  messageOf(error).replace(/ \(docs\/errors\.md#[a-z_]+\)$/, "");

/** The file system refuses to list a directory of traces. */
export const unreadableDirectory = (dir: unknown, cause: unknown): CrashSafeFileError =>
  cause instanceof CrashSafeFileError
    ? cause
    : new CrashSafeFileError(
        "READ_FAILED",
        `cannot read the directory ${shownValue(dir)}: ${reasonOf(cause)}`,
        {
          cause,
        },
      );
