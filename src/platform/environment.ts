/** The one file that reads the environment. Everything else takes it as an argument. */
import { homedir, tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";

/** Variables of the process, as of now. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process. */
export const environment = (): Environment => process.env;

/** A variable's text. An empty one counts as not set (OpenTelemetry specification, "Environment variables"). */
export function variableOf(env: Environment, variable: string): string | undefined {
  return env[variable]?.trim() || undefined;
}

/** The whole number that a text of digits stands for; else the text, which the check of the option refuses. */
export const numberIn = (text: string): unknown => (/^\d+$/.test(text) ? Number(text) : text);

/** Spans that altimate-code's documents keep, unless the environment says otherwise. */
const defaultMaxSpans = 5_000;

/** `ALTIMATE_TRACE_MAX_SPANS`, where it is a positive number. */
export function resolveMaxSpans({ ALTIMATE_TRACE_MAX_SPANS }: Environment): number {
  const given = Number(ALTIMATE_TRACE_MAX_SPANS);
  return Number.isSafeInteger(Math.floor(given)) && given >= 1 ? Math.floor(given) : defaultMaxSpans;
}

/**
 * Where altimate-code keeps its traces: below `XDG_DATA_HOME`, which counts only where it is absolute (XDG Base
 * Directory Specification), else below `~/.local/share`.
 */
export function resolveTracesDir({ XDG_DATA_HOME }: Environment, home: () => string = homedir): string {
  const isGiven = XDG_DATA_HOME !== undefined && isAbsolute(XDG_DATA_HOME);
  return join(isGiven ? XDG_DATA_HOME : join(homeOr(home), ".local", "share"), "altimate-code", "traces");
}

/** A user without an entry in the system's list has no home. */
function homeOr(home: () => string): string {
  try {
    return home();
  } catch {
    return tmpdir();
  }
}
