import { describe, expect, test } from "vitest";
import { projectSpan } from "../../src/projection/project-span.js";
import { spanOf } from "../support/projection-span.js";

/** The exact documents of captured spans: `captured-documents.test.ts`. */
function projected(attributes: Record<string, unknown>) {
  return projectSpan(spanOf({ attributes: { "langfuse.observation.type": "generation", ...attributes } }))
    .span;
}
const usage = (details: unknown) => ({ "langfuse.observation.usage_details": JSON.stringify(details) });

describe("usage of Langfuse", () => {
  test.each([
    ["disjoint parts with a total", { input: 20, cache_read_input_tokens: 100, output: 40, total: 160 }],
    ["disjoint parts without a total", { input: 20, input_cached_tokens: 100, output: 40 }],
    ["parts within the whole", { input: 120, input_cached_tokens: 100, output: 40, total: 160 }],
  ])("%s", (_, details) => {
    const span = projected(usage(details));
    expect(span.tokens).toEqual({
      input: 20,
      output: 40,
      reasoning: 0,
      cacheRead: 100,
      cacheWrite: 0,
      total: 160,
    });
    expect(span.attributes).toEqual({ "langfuse.observation.type": "generation" });
  });

  test("details by other names are in the sums, and stay an attribute", () => {
    const given = usage({ input: 20, input_audio_tokens: 5, output: 40, total: 65 });
    expect(projected(given)).toMatchObject({
      tokens: { input: 25, output: 40, total: 65 },
      attributes: given,
    });
  });

  test("counts by unknown names are no tokens", () => {
    const given = usage({ pages: 3 });
    const span = projected(given);
    expect(span).not.toHaveProperty("tokens");
    expect(span.attributes).toMatchObject(given);
  });

  test("a cost without a total is the sum of its parts, which stay", () => {
    const given = { "langfuse.observation.cost_details": '{"input":0.25,"output":0.5}' };
    expect(projected(given)).toMatchObject({ cost: 0.75, attributes: given });
    expect(projected({ "langfuse.observation.cost_details": '{"total":0.5}' })).toMatchObject({
      cost: 0.5,
      attributes: { "langfuse.observation.type": "generation" },
    });
  });
});

test.each([
  ["ERROR", "error", "slow"],
  ["WARNING", "ok", undefined],
  ["DEFAULT", "ok", undefined],
])("level %s is %s", (level, status, statusMessage) => {
  const message = "langfuse.observation.status_message";
  const span = projected({ "langfuse.observation.level": level, [message]: "slow" });
  expect([span.status, span.statusMessage]).toEqual([status, statusMessage]);
  expect(span.attributes?.[message]).toBe("slow");
});
