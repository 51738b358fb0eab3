/** `postmortem`: what its blocks belong to. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { command, emptyDirectory } from "../support/command-stage.js";
import { agentDocument } from "../support/viewer-sessions.js";

test("P14 of several spans that were running, the input that follows them names its own", async () => {
  const dir = emptyDirectory();
  const document = agentDocument({ id: "ses_1", turns: 3, calls: 6, isCrashed: true });
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(document));
  const { out } = await command(dir, ["postmortem", "ses_1"]);
  expect(out).toMatch(
    / {2}tool grep .*\n {2}model claude-sonnet, for .*\n {2}Input of grep:\n {2}│ \{\n {2}│ {3}"pattern"/,
  );
  const { out: markdown } = await command(dir, ["postmortem", "ses_1", "--md"]);
  expect(markdown).toMatch(/- model claude-sonnet, for .*\n\nInput of grep:\n\n```\n\{\n/);
});
