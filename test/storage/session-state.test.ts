/** The state that a writer keeps in memory of its session. */
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ATTR_CRASH_SAFE_FILE_TAGS } from "../../src/otel/semantic-conventions.js";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

const id = "ses_1";

/** Bytes of the session records in the journal. */
function sessionRecordBytes(): number {
  const journal = stage.files.find((name) => name.endsWith(".live")) as string;
  const lines = readFileSync(`${stage.dir}/${journal}`, "utf8").split("\n");
  return lines.filter((line) => line.startsWith('{"session":')).join("\n").length;
}

test("P1 spans that repeat the tags of their session append no session record to the journal", () => {
  const one = stage.actor();
  const record = (tags: string[]) => {
    const span = one.start(id);
    span.setAttribute(ATTR_CRASH_SAFE_FILE_TAGS, tags);
    one.end(span);
  };
  record(["checkout", "nightly"]);
  const bytes = sessionRecordBytes();
  for (let count = 0; count < 10; count++) record(["checkout", "nightly"]);
  expect(sessionRecordBytes()).toBe(bytes);
  record(["nightly", "checkout"]);
  expect(sessionRecordBytes()).toBeGreaterThan(bytes);
});
