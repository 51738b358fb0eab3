/** Each key that names a session is on a span of the client that sets the key. */
import { expect, test } from "vitest";
import { metadataMembers, sessionIdOf, sessionKeys } from "../../src/otel/session-attributes.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { capturedSpans, captures } from "../support/projection-span.js";

const spans: readonly ReadableSpan[] = captures.flatMap((name) => capturedSpans(name));

/** No client sets this key: the documentation of Langfuse asks programs to set the key. */
const documented = "langfuse.session.id";

test.each(sessionKeys.filter((key) => key !== documented))(
  "a captured span has %s, and names its session",
  (key) => {
    const named = spans.filter(({ attributes }) => attributes[key] !== undefined);
    expect(named.length).toBeGreaterThan(0);
    for (const { attributes } of named) {
      const alone = { attributes: { [key]: attributes[key] } };
      expect(sessionIdOf(alone)).toMatch(/^(session|thread)-\d$/);
    }
  },
);

test.each(metadataMembers)(
  "the metadata of a captured run of LangChain has %s, and names its session",
  (member) => {
    const named = spans
      .map(({ attributes }) => attributes.metadata)
      .filter((metadata) => typeof metadata === "string" && member in JSON.parse(metadata));
    expect(named.length).toBeGreaterThan(0);
    for (const metadata of named) expect(sessionIdOf({ attributes: { metadata } })).toMatch(/^thread-\d$/);
  },
);

test("a project of LangSmith is not a session", () => {
  expect(sessionIdOf({ attributes: { "langsmith.trace.session_id": "project" } })).toBeUndefined();
});
