/** A directory with sessions in every state, those of living processes among them. */
import { cpSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { commandDirectory, emptyDirectory } from "./command-stage.js";

/** The directory of all commands, with a session that waits for its user, a torn log, and a document of a later version. */
export async function everySession(): Promise<string> {
  const dir = commandDirectory();
  // Its files come from elsewhere: a tracer recovers the dead sessions of its own directory.
  const other = emptyDirectory();
  const tracing = createSessionTracing({ dir: other });
  onTestFinished(() => tracing.shutdown());
  const tracer = tracing.tracer("ses_idle", { title: "Wait" });
  tracer.logUserMessage("Go on");
  tracer.endTurn();
  await tracer.flush();
  for (const name of readdirSync(other)) cpSync(join(other, name), join(dir, name));
  for (const name of readdirSync(dir).filter((one) => one.startsWith("ses_killed.json."))) {
    const path = join(dir, name);
    const text = readFileSync(path, "utf8").replaceAll("ses_killed", "ses_torn");
    const torn = path.replace("ses_killed", "ses_torn");
    writeFileSync(torn, name.endsWith(".open") ? text.slice(0, -40) : text);
    // A writer of another machine lives as long as its files are new.
    const { mtime } = statSync(path);
    utimesSync(torn, mtime, mtime);
  }
  const document = JSON.parse(
    readFileSync(join(dir, "ses_newer.json"), "utf8").replaceAll("ses_newer", "ses_future"),
  );
  const later = {
    ...document,
    version: 3,
    moods: ["novel"],
    summary: { ...document.summary, status: "novel" },
  };
  writeFileSync(join(dir, "ses_future.json"), JSON.stringify(later));
  return dir;
}

/** The tracer of an old document leaves no files that show whether it still writes. */
export const withoutEnd = new Set(["ses_active", "ses_idle", "old_tracer"]);
