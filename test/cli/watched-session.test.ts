/** A session that pages look at: its faults stay its own. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sessionAt } from "../../src/cli/session-catalog.js";
import { WatchedSession, type WatchMessage } from "../../src/cli/watched-session.js";
import { emptyDirectory } from "../support/command-stage.js";
import { documentOf } from "../support/trace-documents.js";

test("P6 a session whose reading fails reports it to its pages, and does not end the server", async () => {
  const dir = emptyDirectory();
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(documentOf("ses_1")));
  const session = new WatchedSession(sessionAt(dir, "ses_1.json"), () => {
    throw new Error("broken");
  });
  // An error that nobody catches fails the test file as it ends a process.
  const message = await new Promise<WatchMessage>((resolve) => session.watch(resolve));
  expect(message).toEqual({ type: "unreadable", reason: "the session cannot be shown: broken" });
});
