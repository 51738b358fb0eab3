/** What went wrong, for programs. */
export type CrashSafeErrorCode =
  /** An option has a value that cannot work; thrown by constructors only. */
  | "INVALID_OPTION"
  /** An optional package that an option or a variable asks for is not installed; thrown as `INVALID_OPTION` is. */
  | "MISSING_PACKAGE"
  /** The traces directory or a file in it cannot be written; nothing in memory is lost yet. */
  | "WRITE_FAILED"
  /** Spans were dropped: the queue was full, or the exporter had ended. */
  | "SPANS_DROPPED"
  /** An exporter did not answer in time. */
  | "EXPORT_TIMEOUT"
  /** An exporter answered with a failure, or threw. */
  | "EXPORT_FAILED"
  /** The file is not a trace document and nothing of one could be found in it. */
  | "NOT_A_TRACE"
  /** The file does not exist or cannot be read. */
  | "READ_FAILED";

/** The one error class of this package: `code` for programs, `message` for people, `cause` for the chain. */
export class CrashSafeFileError extends Error {
  override readonly name = "CrashSafeFileError";
  /** What went wrong, in one word. */
  readonly code: CrashSafeErrorCode;

  /** `options.cause` is what led to it. */
  constructor(code: CrashSafeErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** A value that cannot work: `who` takes it, `name` is what the user calls it, an option or a variable. */
export function invalidOption(
  who: string,
  name: string,
  value: unknown,
  allowed: string,
): CrashSafeFileError {
  return new CrashSafeFileError(
    "INVALID_OPTION",
    `${who}: ${name} is ${shownValue(value)}, and must be ${allowed}`,
  );
}

/** A value in an error's message. Never throws. */
export function shownValue(value: unknown): string {
  try {
    return typeof value === "string" ? JSON.stringify(value) : String(value);
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
