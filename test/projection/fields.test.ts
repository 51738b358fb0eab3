/** Every field that a dialect may fill reaches the document or the session: a dialect of the test fills one at a time. */
import { expect, test, vi } from "vitest";
import type { Dialect, SpanFields } from "../../src/projection/dialect.js";
import { projectSpan } from "../../src/projection/project-span.js";
import { spanOf } from "../support/projection-span.js";

/** A value of each field. A field without one is a type error. */
const values: { readonly [Name in keyof SpanFields]-?: NonNullable<SpanFields[Name]> } = {
  kind: "text",
  isError: true,
  statusMessage: "the model refused",
  interrupted: true,
  toolName: "bash",
  toolCallId: "call 1",
  toolDurationMs: 5,
  modelId: "m-2025",
  requestedModel: "m",
  providerId: "p",
  variant: "fast",
  finishReason: "stop",
  cost: 0.5,
  inputTokens: 10,
  outputTokens: 20,
  cacheReadTokens: 3,
  cacheWriteTokens: 4,
  reasoningTokens: 5,
  input: "question",
  output: "answer",
  agent: "builder",
  userId: "u-1",
  title: "Fix it",
  tags: ["a"],
  role: "conversation",
};

const given = vi.hoisted(() => ({ fields: {} }));
vi.mock("../../src/projection/dialects.js", () => {
  const dialect: Dialect = {
    name: "test",
    matches: () => true,
    read: (view) => void Object.assign(view.fields, given.fields),
  };
  return { dialects: [dialect] };
});

function projectedWith(filled: SpanFields): string {
  given.fields = filled;
  return JSON.stringify(projectSpan(spanOf()));
}

/** Some fields count for one kind of span only, or together with others. */
const contexts: readonly SpanFields[] = [
  {},
  { kind: "tool" },
  { modelId: "n" },
  { role: "conversation", modelId: "n" },
  { isError: true },
  { input: "question", role: "conversation" },
];

test.each(Object.entries(values))("%s reaches the document or the session", (name, value) => {
  const hasEffect = contexts.some(
    (context) => projectedWith(context) !== projectedWith({ ...context, [name]: value }),
  );
  expect(hasEffect).toBe(true);
});

test("P10 an error and its message are those of the span, whatever its status is", () => {
  given.fields = { isError: true, statusMessage: "the model refused", modelId: "m" };
  expect(projectSpan(spanOf()).span).toMatchObject({
    status: "error",
    statusMessage: "the model refused",
    model: { modelId: "m" },
  });
  expect(projectSpan(spanOf({ status: { code: 2, message: "failed" } })).span).toMatchObject({
    status: "error",
    statusMessage: "the model refused",
  });
});
