/** Defaults of altimate-code that depend on the environment. */
import { homedir, tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import type { Environment } from "../platform/environment.js";

/** Spans of a document, unless the environment sets another number. */
const defaultMaxSpans = 5_000;

/** `ALTIMATE_TRACE_MAX_SPANS`, if it is a positive number, without its fraction. */
export function resolveMaxSpans({ ALTIMATE_TRACE_MAX_SPANS }: Environment): number {
  const given = Number(ALTIMATE_TRACE_MAX_SPANS);
  return Number.isSafeInteger(Math.floor(given)) && given >= 1 ? Math.floor(given) : defaultMaxSpans;
}

/**
 * The directory of traces: below `XDG_DATA_HOME` if that is absolute (XDG Base Directory Specification), else below
 * `~/.local/share`.
 */
export function resolveTracesDir({ XDG_DATA_HOME }: Environment, home: () => string = homedir): string {
  const isGiven = XDG_DATA_HOME !== undefined && isAbsolute(XDG_DATA_HOME);
  return join(isGiven ? XDG_DATA_HOME : join(homeOr(home), ".local", "share"), "altimate-code", "traces");
}

/** A user without an entry in the user database has no home directory. */
function homeOr(home: () => string): string {
  try {
    return home();
  } catch {
    return tmpdir();
  }
}
