/** What `verify` finds in the files of a session, and what that makes of the session. */
import { basename } from "node:path";
import type { TraceSpan } from "../format/trace-file.js";
import { CrashSafeFileError, reasonOf } from "../platform/errors.js";
import { errorCode } from "../platform/file-system.js";
import { oneLine } from "../text/display-text.js";
import type { ExitCode } from "./command.js";
import { failureReason } from "./failure-reason.js";
import { timeFaultsOf } from "./impossible-times.js";

/** From good to bad. `unread`: the file system refused a file, so nothing is known of what it holds. */
export const levels = ["whole", "repairable", "unread", "corrupt"] as const;
export type Level = (typeof levels)[number];

/**
 * The exit code of a level. That of an unread file is not 1, for which a script runs `recover`, and not 0, for which it goes
 * on.
 */
export const exitCodes: Readonly<Record<Level, ExitCode>> = {
  whole: 0,
  repairable: 1,
  unread: 2,
  corrupt: 2,
};

/** A place in a file. */
export interface Place {
  /** Name of the file. */
  readonly file: string;
  /** Line from 1, and byte offset of its beginning. */
  readonly line?: number;
  readonly offset?: number;
}

export interface Finding extends Place {
  /** `note`: nothing is wrong with the files. */
  readonly level: Exclude<Level, "whole"> | "note";
  readonly message: string;
}

/** The gravity of a level; a note has none. */
const gravity = (level: Finding["level"] | Level): number => (level === "note" ? 0 : levels.indexOf(level));

/** A session with findings in thousands of lines shows the gravest ones. */
const mostFindings = 20;

/** The findings of one session. */
export class Findings {
  readonly #all: Finding[] = [];
  /** Spans with such times. */
  readonly #mistimed = new Set<string>();

  add(level: Finding["level"], place: Place, message: string): void {
    this.#all.push({ level, ...place, message });
  }

  /** A file could not be read, or holds no trace; the latter is said only where nothing is said of its lines. */
  fail(error: unknown, file: string): void {
    const cause = error instanceof CrashSafeFileError && error.cause !== undefined ? error.cause : error;
    if (errorCode(cause) === undefined || cause instanceof CrashSafeFileError) {
      if (this.#all.length === 0) this.add("corrupt", { file }, oneLine(reasonOf(error)));
      return;
    }
    const { path } = cause as { readonly path?: unknown };
    const refused = typeof path === "string" ? basename(path) : file;
    const message = `cannot be read: ${failureReason(cause)}`;
    const isKnown = this.#all.some(({ level, file: known }) => level === "unread" && known === refused);
    if (!isKnown) this.add("unread", { file: refused }, message);
  }

  /** The times of a span that cannot be. They are said once of a span: of its line, which is read before the session. */
  times(span: TraceSpan, place: Place): void {
    const faults = timeFaultsOf(span);
    if (faults.length === 0) return;
    const key = `${span.traceId ?? ""} ${span.spanId}`;
    if (this.#mistimed.has(key)) return;
    this.#mistimed.add(key);
    for (const { isUnreadable, message } of faults)
      this.add(isUnreadable ? "corrupt" : "note", place, message);
  }

  get count(): number {
    return this.#all.length;
  }

  /** What the findings make of the session. */
  get result(): Level {
    const worst = this.#all.reduce((most, { level }) => Math.max(most, gravity(level)), 0);
    return levels[worst] as Level;
  }

  /** The gravest ones, those of one level in the order of their discovery. */
  get gravest(): Finding[] {
    return [...this.#all].sort((a, b) => gravity(b.level) - gravity(a.level)).slice(0, mostFindings);
  }

  get leftOut(): number {
    return Math.max(0, this.#all.length - mostFindings);
  }
}
