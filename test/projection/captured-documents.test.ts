/**
 * The exact spans of the document, and the facts about the session, for each client that `fixtures/capture` recorded.
 * `npx vitest run test/projection/captured-documents.test.ts -u` writes the files, to be read before the commit.
 */
import { expect, test } from "vitest";
import { projectSpan } from "../../src/projection/project-span.js";
import { capturedSpans, captures } from "../support/projection-span.js";

test.each(captures)("P10 %s: the exact document", async (name) => {
  const projected = capturedSpans(name).map(projectSpan);
  const text = `${JSON.stringify(projected, undefined, 1)}\n`;
  await expect(text).toMatchFileSnapshot(`../fixtures/projected/${name}.json`);
});
