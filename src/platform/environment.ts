/** The environment variables of the process. Only this file reads them; other files take them as an argument. */
import { homedir, tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process. */
export const environment = (): Environment => process.env;

/** The text of a variable. An empty text counts as not set (OpenTelemetry specification, "Environment variables"). */
export function variableOf(env: Environment, variable: string): string | undefined {
  return env[variable]?.trim() || undefined;
}

/** The whole number that a text of digits stands for; else the text, which the check of the option refuses. */
export const numberIn = (text: string): unknown => (/^\d+$/.test(text) ? Number(text) : text);

/** Number of spans that altimate-code's documents keep by default. */
const defaultMaxSpans = 5_000;

/** `ALTIMATE_TRACE_MAX_SPANS` if it is a positive number, else the default. */
export function resolveMaxSpans({ ALTIMATE_TRACE_MAX_SPANS }: Environment): number {
  const given = Number(ALTIMATE_TRACE_MAX_SPANS);
  return Number.isSafeInteger(Math.floor(given)) && given >= 1 ? Math.floor(given) : defaultMaxSpans;
}

/**
 * The directory of altimate-code's traces: below `XDG_DATA_HOME` if that is an absolute path (XDG Base Directory
 * Specification), else below `~/.local/share`.
 */
export function resolveTracesDir({ XDG_DATA_HOME }: Environment, home: () => string = homedir): string {
  const isGiven = XDG_DATA_HOME !== undefined && isAbsolute(XDG_DATA_HOME);
  return join(isGiven ? XDG_DATA_HOME : join(homeOr(home), ".local", "share"), "altimate-code", "traces");
}

/** The home directory. A user without an entry in the password database has none. */
function homeOr(home: () => string): string {
  try {
    return home();
  } catch {
    return tmpdir();
  }
}
