/** Every command with every option that reads, on a session in every state: what each must answer. */
import { tryOr } from "../../src/platform/errors.js";

/** A session of `everySession` by its name: 0 where its spans can be read, 1 where nothing of it can. */
export const sessionCodes: Readonly<Record<string, 0 | 1>> = {
  ses_finish: 0,
  ses_failed: 0,
  ses_crashd: 0,
  ses_capped: 0,
  ses_newer: 0,
  ses_killed: 0,
  ses_active: 0,
  ses_idle: 0,
  ses_broken: 0,
  ses_cutoff: 0,
  ses_future: 0,
  ses_torn: 0,
  old_tracer: 0,
  ses_empty: 1,
};

export interface CommandRow {
  readonly args: readonly string[];
  readonly code: number;
  /** What stdout holds: JSON in each line, a text for people, or any text. */
  readonly output: "json" | "people" | "text";
}

/** Rows for the sessions of a directory. `live`: sessions that have no end to wait for. */
export function commandRows(dir: string, live: ReadonlySet<string>): CommandRow[] {
  const rows: CommandRow[] = [];
  const add = (output: CommandRow["output"], code: number, ...args: string[]) =>
    rows.push({ args, code, output });
  for (const options of [
    [],
    ["--limit", "0"],
    ["-n", "2"],
    ["--status", "running,idle"],
    ["--status", "completed,error,crashed,damaged", "--limit", "0"],
    ["--since", "365d"],
    ["--since", "2020-01-01"],
    ["--search", "orders"],
    ["--dir", dir],
  ]) {
    add("people", 0, "list", ...options);
    add("json", 0, "list", ...options, "--json");
  }
  for (const [name, code] of Object.entries(sessionCodes)) {
    for (const options of [
      [],
      ["--errors"],
      ["--turn", "1"],
      ["--kind", "tool,generation"],
      ["--min-duration", "1ms"],
      ["--limit", "2"],
      ["--limit", "0"],
    ]) {
      add("people", code, "show", name, ...options);
      add("json", code, "show", name, ...options, "--json");
    }
    add("people", code, "show", `${dir}/${name}.json`);
    add("people", code, "postmortem", name);
    add("json", code, "postmortem", name, "--json");
    for (const options of [["--md"], ["--md", "--no-redact"]])
      add("text", code, "postmortem", name, ...options);
    add("people", code, "stats", name);
    add("json", code, "stats", name, "--json");
    for (const options of [[], ["--no-content"], ["--no-redact"]])
      add("text", code, "share", name, "-o", "-", ...options);
    for (const format of ["otlp", "chrome", "jsonl"]) add("json", code, "export", name, "-f", format);
    add("text", code, "export", name, "-f", "md");
    if (live.has(name)) continue;
    add("people", code, "tail", name, "--exit");
    add("people", code, "tail", name, "--exit", "--lines", "2");
    add("json", code, "tail", name, "--exit", "--json");
  }
  const readable = Object.keys(sessionCodes).filter((name) => sessionCodes[name] === 0);
  add("people", 0, "stats");
  add("people", 0, "stats", "--since", "3650d");
  add("json", 0, "stats", ...readable, "--json");
  add("people", 2, "verify");
  add("json", 2, "verify", "--json");
  for (const options of [[], ["--json"]]) {
    const output = options.length > 0 ? "json" : "people";
    add(output, 0, "recover", "--dry-run", ...options);
    add(output, 0, "prune", "--keep", "1", "--dry-run", ...options);
    add(output, 0, "replay", "--otlp", "http://127.0.0.1:9", "--dry-run", ...options);
    add(output, 0, "replay", "--otlp", "http://127.0.0.1:9", "--sessions", "ended", "--dry-run", ...options);
  }
  return rows;
}

/** A word of the program instead of a fact, or the stack of an exception. */
export const falseWords = /\bundefined\b|\bNaN\b|\[object |\bInfinity\b|Invalid Date|\n {4}at /;

/** One value, or one in each line. */
export function isJson(text: string): boolean {
  const parses = (part: string) => tryOr(() => JSON.parse(part) !== undefined, false);
  return parses(text) || text.split("\n").every((line) => line === "" || parses(line));
}
