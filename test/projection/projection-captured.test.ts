import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { projectSpan } from "../../src/projection/project-span.js";
import { capturedSpans } from "../support/projection-span.js";

const captures = readdirSync(new URL("../fixtures/spans/", import.meta.url)).map((file) =>
  file.replace(".json", ""),
);

/** Every text and number in a value, including JSON in strings. */
function leaves(value: unknown, into = new Set<unknown>()): Set<unknown> {
  if (typeof value === "object" && value !== null) {
    for (const member of Object.values(value)) leaves(member, into);
    return into;
  }
  into.add(value);
  if (typeof value === "string" && /^["[{]/.test(value)) leaves(JSON.parse(value), into);
  return into;
}

/** Counts are recomputed, and a MIME type only defines how its value is read. */
const isRecomputed = (key: string) => /token|mime_type/.test(key);

describe.each(captures)("captured %s", (name) => {
  test("every value that leaves the attributes is in the fields", () => {
    for (const span of capturedSpans(name)) {
      const { attributes = {}, ...fields } = projectSpan(span).span;
      const projected = leaves(fields);
      let consumed = 0;
      for (const [key, value] of Object.entries(span.attributes)) {
        if (key in attributes) {
          expect(attributes[key], key).toEqual(value);
          continue;
        }
        consumed++;
        if (isRecomputed(key)) continue;
        for (const leaf of leaves(value)) {
          // Text that was JSON is present as a structure.
          if (typeof leaf === "string" && /^["[{]/.test(leaf)) continue;
          expect(projected, `${key} of ${span.name}`).toContain(leaf);
        }
      }
      if (span.instrumentationScope.name.includes("openai")) expect(consumed).toBeGreaterThan(3);
    }
  });

  test("the projection shares nothing with the span and changes nothing in it", () => {
    for (const span of capturedSpans(name)) {
      const before = JSON.stringify(span);
      const { span: projected } = projectSpan(span);
      for (const member of Object.values(projected.attributes ?? {})) {
        if (typeof member === "object" && member !== null)
          expect(Object.values(span.attributes)).not.toContain(member);
      }
      expect(JSON.stringify(span)).toBe(before);
    }
  });
});
