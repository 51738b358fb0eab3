/** `recover`: completes the documents of dead processes. */
import { recoverTraces } from "../recovery/recover-traces.js";
import { byteCount, oneLine, plural, wrap } from "../text/display-text.js";
import { defineCommand, type Options } from "./command.js";
import { findSessions } from "./session-catalog.js";

const options = { "dry-run": { help: "only report what would be done" } } as const satisfies Options;

/** What a recovery does, for people. */
const actions = {
  rebuilt: "completed from its side files",
  committed: "completed from its log",
  swept: "cleared of leftover side files",
} as const;

export const recoverCommand = defineCommand({
  usage: "",
  about:
    "Completes the documents of dead processes: every recorded span, and what was running as interrupted. Sessions that a living process writes to are left alone. A new exporter on the directory does the same by itself.",
  examples: [
    ["recover --dry-run", "what would be done"],
    ["recover", "do it; safe to repeat, and beside processes that write"],
  ],
  options,
  maxArgs: 0,
  async run({ terminal, dir, json, values }) {
    const { colors } = terminal;
    const dryRun = values["dry-run"];
    // A directory that does not exist is an error for people, and nothing to do for the function.
    findSessions(dir);
    const { sessions, failures, running } = await recoverTraces(dir, { dryRun });
    const failed = failures.map(({ path, error }) => ({
      path,
      error: error instanceof Error ? error.message : String(error),
    }));
    if (json) {
      terminal.printJson("recover/1", { dryRun, sessions, failures: failed, running });
      return failed.length > 0 ? 1 : 0;
    }
    for (const {
      id,
      action,
      status,
      recoveredSpans,
      interrupted,
      tornBytes,
      corruptLines,
      keptAs,
    } of sessions) {
      const facts = [
        `${dryRun ? "would be " : ""}${actions[action]}: ${status}`,
        recoveredSpans > 0 && plural(recoveredSpans, "recovered span"),
        interrupted.length > 0 && `interrupted: ${interrupted.map(oneLine).join(", ")}`,
        tornBytes > 0 && `${byteCount(tornBytes)} torn`,
        corruptLines > 0 && `${plural(corruptLines, "line")} not readable, kept as ${keptAs.join(", ")}`,
      ].filter((fact) => fact !== false);
      const name = oneLine(id);
      const [first = "", ...others] = wrap(`${name}  ${facts.join(" · ")}`, terminal.columns - 4);
      terminal.print(
        first.startsWith(name) ? `${colors.bold(name)}${first.slice(name.length)}` : first,
        ...others.map((line) => `    ${line}`),
      );
    }
    for (const { path, error } of failed)
      terminal.note(`${colors.red("failed:")} ${oneLine(path)}: ${oneLine(error)}`);
    const done = dryRun ? "would be recovered" : "recovered";
    terminal.note(
      colors.dim(
        `${plural(sessions.length, "session")} ${done}, ${running} running, ${failed.length} failed`,
      ),
    );
    return failed.length > 0 ? 1 : 0;
  },
});
