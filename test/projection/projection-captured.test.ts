/** No attribute of a captured span is lost: each is at the place that is declared for its key. */
import { describe, expect, test } from "vitest";
import type { TraceSpan } from "../../src/format/trace-file.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { projectSpan } from "../../src/projection/project-span.js";
import { hasContent, isAt, type Path, placesOf, twins, valueAt } from "../support/declared-places.js";
import { capturedSpans, captures } from "../support/projection-span.js";

/** The place that has the attribute, or has that of its twin; `undefined` if the attribute is lost. */
function placeOf(span: TraceSpan, attributes: ReadableSpan["attributes"], key: string): Path | undefined {
  const value = attributes[key];
  const place = placesOf(key, span).find((one) => isAt(span, key, value, one));
  if (place) return place.at;
  const { twin = "", isMoved } = twins.find(({ keys }) => keys.test(key)) ?? {};
  if (!(twin in attributes) || (isMoved && twin in (span.attributes ?? {}))) return undefined;
  return placeOf(span, attributes, twin);
}

/** A copy of the span without the member. */
function without(span: TraceSpan, path: Path): TraceSpan {
  const copy = structuredClone(span);
  const owner = valueAt(copy, path.slice(0, -1)) as Record<string, unknown>;
  delete owner[path.at(-1) as string];
  return copy;
}

describe.each(captures)("P10 captured %s", (name) => {
  test("every attribute is at the place of its key", () => {
    for (const span of capturedSpans(name)) {
      const { span: projected } = projectSpan(span);
      const lost = Object.keys(span.attributes).filter(
        (key) => placeOf(projected, span.attributes, key) === undefined,
      );
      expect(lost.map((key) => `${span.name}: ${key}`)).toEqual([]);
    }
  });

  test("without its place, an attribute is found lost", () => {
    let checked = 0;
    for (const span of capturedSpans(name)) {
      const { span: projected } = projectSpan(span);
      for (const [key, value] of Object.entries(span.attributes)) {
        const path = placeOf(projected, span.attributes, key);
        // An empty object is at every place.
        if (path === undefined || !hasContent(value)) continue;
        checked++;
        const found = placeOf(without(projected, path), span.attributes, key);
        expect(found, `${span.name}: ${key} at ${path.join(" > ")}`).toBeUndefined();
      }
    }
    expect(checked).toBeGreaterThan(10);
  });

  test("each attribute of an event and of a link is in the document", () => {
    for (const span of capturedSpans(name)) {
      const text = JSON.stringify(projectSpan(span).span);
      for (const { attributes = {} } of [...span.events, ...span.links])
        for (const [key, value] of Object.entries(attributes))
          expect(text, `${span.name}: ${key}`).toContain(JSON.stringify(value));
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
