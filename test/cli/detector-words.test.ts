/** What commands say detected the end of a session. Stored values are the contract's; the words are the commands'. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { command, emptyDirectory } from "../support/command-stage.js";
import { documentOf } from "../support/trace-documents.js";

async function said(error: string, detector: string) {
  const dir = emptyDirectory();
  const { summary } = documentOf("");
  const ended = { ...summary, status: "crashed" as const, error, detector };
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(documentOf("ses_1", { summary: ended })));
  const show = await command(dir, ["show", "ses_1"], { columns: 120 });
  const postmortem = await command(dir, ["postmortem", "ses_1"], { columns: 120 });
  const json = JSON.parse((await command(dir, ["postmortem", "ses_1", "--json"])).out);
  expect(json.detector).toBe(detector);
  const fact = /^Detected: .*$/m.exec(stripVTControlCharacters(postmortem.out))?.[0];
  return { head: json.evidence as string, fact, shown: show.out + postmortem.out };
}

test.each([
  [
    "Uncaught exception: x is undefined",
    "TypeError",
    "Uncaught TypeError: x is undefined",
    "an uncaught exception",
  ],
  ["Uncaught exception: boom", "Error", "Uncaught Error: boom", "an uncaught exception"],
  ["Uncaught exception: 5", "uncaughtException", "Uncaught exception: 5", "an uncaught exception"],
  ["Received SIGTERM", "SIGTERM", "Received SIGTERM", "the signal SIGTERM"],
  [
    "Process exited before trace completed",
    "exit",
    "Process exited before trace completed",
    "the exit of the process",
  ],
  [
    "Out of budget",
    "RangeError",
    "Out of budget; detected: an uncaught exception (RangeError)",
    "an uncaught exception (RangeError)",
  ],
  ["Out of budget", "SIGHUP", "Out of budget; detected: the signal SIGHUP", "the signal SIGHUP"],
  ["Out of budget", "process gone", "Out of budget; detected: its process was gone", "its process was gone"],
])("P14 of the error %s and the detector %s", async (error, detector, head, fact) => {
  const words = await said(error, detector);
  expect(words.head).toBe(head);
  expect(words.fact).toContain(fact);
  expect(words.shown).not.toMatch(/detected by: |Detector: /);
});
