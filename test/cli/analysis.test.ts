/** What commands conclude from spans: retries, requests that were not started, turns, circles of parents. */
import { describe, expect, test } from "vitest";
import { analyse, gistOf, spokenIn, valueText } from "../../src/cli/analysis.js";
import { postmortemOf } from "../../src/cli/postmortem.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { documentOf, rootSpan } from "../support/trace-documents.js";

const span = (spanId: string, over: Partial<TraceSpan>): TraceSpan =>
  rootSpan({ spanId, parentSpanId: "root", ...over });
const tool = (id: string, startTime: number, endTime: number, over: Partial<TraceSpan> = {}) =>
  span(id, { kind: "tool", name: "bash", startTime, endTime, ...over });
const failed = { status: "error" as const };
const analysed = (...spans: TraceSpan[]) =>
  analyse(documentOf("ses", { spans: [rootSpan({ startTime: 0 }), ...spans] }));

test("a retry begins after the failure, whatever runs beside it", () => {
  const { retries } = analysed(
    tool("a", 10, 20, failed),
    span("r", { kind: "tool", name: "read", startTime: 12, endTime: 14 }),
    tool("b", 21, 30, failed),
    tool("c", 31, 35),
    tool("d", 40, 50),
  );
  expect(retries).toMatchObject([{ name: "bash", attempts: 3, failed: 2, wastedMillis: 19, isSolved: true }]);
});

test("parallel calls of which one fails are no retries", () => {
  expect(analysed(tool("a", 10, 30, failed), tool("b", 11, 40), tool("c", 12, 20)).retries).toEqual([]);
});

test("a circle of parents, and a parent that is not there, hang under the session span", () => {
  const { nodes, roots } = analysed(
    tool("a", 1, 2, { parentSpanId: "b" }),
    tool("b", 1, 2, { parentSpanId: "c" }),
    tool("c", 1, 2, { parentSpanId: "a" }),
    tool("self", 1, 2, { parentSpanId: "self" }),
    tool("lost", 1, 2, { parentSpanId: "nowhere" }),
  );
  expect(roots.map(({ span }) => span.spanId)).toEqual(["root"]);
  const reached = new Set<string>();
  const stack = [...roots];
  for (let node = stack.pop(); node; node = stack.pop()) {
    expect(reached.has(node.span.spanId)).toBe(false);
    reached.add(node.span.spanId);
    stack.push(...node.children);
  }
  expect(reached.size).toBe(nodes.length + 1);
});

test("a chain of 20,000 spans is no problem", () => {
  const chain = Array.from({ length: 20_000 }, (_, n) =>
    tool(`t${n}`, 1, 2, { parentSpanId: n === 0 ? "root" : `t${n - 1}` }),
  );
  const { nodes } = analysed(...chain.reverse());
  expect(Math.max(...nodes.map(({ depth }) => depth))).toBe(20_000);
});

test("span ids are unique within a trace only: children find the parent of their trace", () => {
  const { nodes } = analysed(
    span("p", { name: "one", traceId: "1" }),
    span("p", { name: "two", traceId: "2" }),
    span("k", { name: "child", traceId: "2", parentSpanId: "p" }),
  );
  expect(nodes.find(({ span }) => span.name === "child")?.parent?.span.name).toBe("two");
});

test("undone: tools that the model asked for and that were not started, without those of subagents", () => {
  const generation = (id: string, over: Partial<TraceSpan>) =>
    span(id, { kind: "generation", name: "chat", ...over });
  const spans = [
    rootSpan({ startTime: 0 }),
    span("u", { kind: "user-message", startTime: 1, endTime: 1, input: "Do it" }),
    generation("g", {
      startTime: 2,
      endTime: 50,
      finishReason: "tool-calls",
      output: "[tool calls: task, write]",
    }),
    span("t", { kind: "tool", name: "task", parentSpanId: "g", startTime: 10, interrupted: true }),
    generation("s", { parentSpanId: "t", startTime: 11, interrupted: true }),
    span("w", { kind: "tool", name: "write", parentSpanId: "s", startTime: 12, interrupted: true }),
  ];
  const document = documentOf("ses", { spans });
  const session = {
    trace: document,
    damage: { tornBytes: 0, corruptLines: 0 },
    found: {
      files: { dir: "/", name: "ses" },
      path: "/ses.json",
      hasDocument: true,
      tokens: [],
      unnamed: [],
      kept: [],
    },
    id: "ses",
    state: "crashed" as const,
    writer: "none" as const,
    owners: [],
    whole: (span: TraceSpan) => span,
  };
  const { undone, open, asked } = postmortemOf(session, analyse(document));
  expect(open.map(({ name }) => name)).toEqual(["write", "model chat", "task"]);
  expect(asked).toBe("Do it");
  expect(undone).toEqual([
    expect.stringContaining("tool write: it had started"),
    "model chat: it had not finished answering",
    expect.stringContaining("tool task: it had started"),
    "tool write: the model asked for it, and it was not started",
    "the answer to the user's message of turn 1",
  ]);
});

describe("what messages say", () => {
  test("is their texts and the tools that they call, in one line", () => {
    const content = [
      { type: "reasoning", content: "hm" },
      { type: "text", content: "I look first." },
      { type: "tool_call", id: "1", name: "read_file", arguments: { path: "a" } },
    ];
    expect(spokenIn([{ role: "assistant", content }])).toBe("I look first. → read_file");
    expect(spokenIn([{ role: "user", content: "Hello" }])).toBe("Hello");
  });

  test("is the value where there is no text in it", () => {
    for (const value of [
      undefined,
      "text",
      5,
      { a: 1 },
      [],
      [null, 1, { content: [null, { type: "text" }] }],
    ])
      expect(spokenIn(value)).toBe(value);
  });
});

test("P13 the turns of a long session are found in one pass over its spans", () => {
  let reads = 0;
  const counting = (span: TraceSpan) =>
    new Proxy(span, {
      get(target, key) {
        if (key === "startTime") reads++;
        return Reflect.get(target, key);
      },
    });
  const readsWith = (turns: number) => {
    const spans = Array.from({ length: 4_000 }, (_, at) =>
      at % (4_000 / turns) === 0
        ? span(`m${at}`, { kind: "user-message", startTime: at, endTime: at })
        : tool(`t${at}`, at, at),
    );
    reads = 0;
    const { nodes, turns: found } = analyse(
      documentOf("ses", { spans: [rootSpan({ startTime: 0 }), ...spans.map(counting)] }),
    );
    expect(found).toHaveLength(turns);
    expect(nodes.map(({ turn }) => turn)).toEqual(spans.map((_, at) => Math.floor(at / (4_000 / turns)) + 1));
    return reads;
  };
  const few = readsWith(10);
  expect(readsWith(1_000)).toBeLessThan(few * 1.1);
});

test("messages are shown as a conversation, and whole where they hold more than texts and calls", () => {
  const answer = [
    {
      role: "assistant",
      content: [
        { type: "text", content: "I run the tests." },
        { type: "tool_call", id: "c1", name: "bash", arguments: { command: "npm test" } },
      ],
    },
  ];
  expect(valueText(answer)).toBe('I run the tests.\n→ bash {"command":"npm test"}');
  expect(gistOf(answer)).toBe("I run the tests. → bash");
  const asked = [
    { role: "system", content: "Be brief." },
    { role: "user", content: [{ type: "text", content: "Why?" }] },
  ];
  expect(valueText(asked)).toBe("system: Be brief.\nuser: Why?");
  const thinking = [{ role: "assistant", content: [{ type: "reasoning", content: "Hm." }] }];
  for (const value of [thinking, [], [1, 2], [null], { a: 1 }])
    expect(valueText(value)).toBe(JSON.stringify(value, null, 2));
  expect(valueText(undefined)).toBe("");
});

test("a turn of another client has the last message of the user in its first span", () => {
  const asked = (text: string) => [
    { role: "user", content: "Before." },
    { role: "assistant", content: "Yes." },
    { role: "user", content: [{ type: "text", content: text }] },
  ];
  const { turns } = analysed(
    span("a", { startTime: 1, endTime: 2, traceId: "t1", input: asked("First.") }),
    span("b", { startTime: 3, endTime: 4, traceId: "t2", input: asked("Second.") }),
    span("c", { startTime: 5, endTime: 6, traceId: "t3", input: { url: "/" } }),
  );
  expect(turns.map(({ message }) => message)).toEqual(["First.", "Second.", undefined]);
});
