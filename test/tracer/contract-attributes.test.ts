/** The contract: `setSpanAttributes`. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { hostileArguments } from "../support/hostile-arguments.js";
import { begin, named, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
let tracer: SessionTracer;
beforeEach(() => {
  stage = new SessionTracerStage();
  tracer = stage.start("ses_1");
});
afterEach(() => stage.remove());

const any = <T>(value: unknown): T => value as T;
const tool = (name: string, status = "completed", callID = name) =>
  tracer.logToolCall({ tool: name, callID, state: { status, time: { start: begin, end: begin } } });
/** Attributes by the span that has them. */
async function attributes(): Promise<Record<string, unknown>> {
  const all = named(await stage.flushed(tracer)).filter((span) => span.attributes);
  return Object.fromEntries(all.map(({ spanId, attributes }) => [spanId, attributes]));
}

describe("setSpanAttributes", () => {
  test("without a target sets the last tool, else the generation, else the session", async () => {
    tracer.setSpanAttributes({ n: 1 });
    tracer.logStepStart({ id: "g" });
    tracer.setSpanAttributes({ n: 2 });
    tool("ls");
    tracer.setSpanAttributes({ n: 3 });
    tool("bash", "running");
    tracer.setSpanAttributes({ n: 4 });
    expect(await attributes()).toEqual({
      ses_1: { n: 1 },
      "generation-g": { n: 2 },
      ls: { n: 3 },
      bash: { n: 4 },
    });
  });

  test.each([null, undefined, "", "turn", 7])("ignores the invalid target %j", async (target) => {
    tool("ls");
    tracer.setSpanAttributes({ n: 1 }, any(target));
    expect(await attributes()).toEqual({ ls: { n: 1 } });
  });

  test("with a target sets the target", async () => {
    tracer.logStepStart({ id: "g" });
    tool("ls");
    tracer.setSpanAttributes({ n: 1 }, "session");
    tracer.setSpanAttributes({ n: 2 }, "generation");
    tracer.setSpanAttributes({ n: 3 }, "tool");
    expect(await attributes()).toEqual({ ses_1: { n: 1 }, "generation-g": { n: 2 }, ls: { n: 3 } });
  });

  test("with an absent target sets nothing", async () => {
    tracer.setSpanAttributes({ n: 1 }, "generation");
    tracer.setSpanAttributes({ n: 1 }, "tool");
    tracer.logStepStart({ id: "g" });
    tracer.setSpanAttributes({ n: 1 }, "tool");
    tracer.logStepFinish({ id: "g" });
    tracer.setSpanAttributes({ n: 1 }, "generation");
    expect(await attributes()).toEqual({});
  });

  test("sets the newest open generation", async () => {
    tracer.logStepStart({ id: "a" });
    tracer.logStepStart({ id: "b" });
    tracer.setSpanAttributes({ n: 1 }, "generation");
    tracer.logStepFinish({ id: "b" });
    tracer.setSpanAttributes({ n: 2 }, "generation");
    expect(await attributes()).toEqual({ "generation-b": { n: 1 }, "generation-a": { n: 2 } });
  });

  test("sets the last logged tool, also after its end", async () => {
    tool("one", "running");
    tool("two");
    tool("one");
    tracer.setSpanAttributes({ n: 1 }, "tool");
    tracer.logStepStart({ id: "g" });
    tracer.logStepFinish({ id: "g" });
    tracer.setSpanAttributes({ m: 2 }, "tool");
    expect(await attributes()).toEqual({ one: { n: 1, m: 2 } });
  });

  test("skips a tool call of a turn that has ended: the next existing target is set, if none is named", async () => {
    tool("ls");
    tracer.endTurn();
    tracer.setSpanAttributes({ n: 1 }, "tool");
    tracer.setSpanAttributes({ n: 2 });
    tracer.logStepStart({ id: "g" });
    tracer.setSpanAttributes({ n: 3 });
    expect(await attributes()).toEqual({ ses_1: { n: 2 }, "generation-g": { n: 3 } });
  });

  test("merges: a later value wins, the rest stays, undefined is skipped, null is kept", async () => {
    for (const target of ["session", "generation", "tool"] as const) {
      if (target === "generation") tracer.logStepStart({ id: "g" });
      if (target === "tool") tool("ls", "running");
      tracer.setSpanAttributes({ a: 1, b: { c: 1 }, d: "x" }, target);
      tracer.setSpanAttributes({ a: 2, b: null, d: undefined }, target);
    }
    tool("ls");
    tracer.setSpanAttributes({ e: 1 }, "tool");
    tracer.logStepFinish({ id: "g" });
    const merged = { a: 2, b: null, d: "x" };
    expect(await attributes()).toEqual({ ses_1: merged, "generation-g": merged, ls: { ...merged, e: 1 } });
  });

  test("makes text of values JSON cannot represent, and null of NaN and Infinity", async () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const values = {
      nan: Number.NaN,
      infinity: Number.NEGATIVE_INFINITY,
      big: 12_345_678_901_234_567_890n,
      symbol: Symbol("s"),
      fn: any<object>(Math.max),
      circular,
      date: new Date(begin),
      nested: { a: [Number.NaN, { b: null }], u: undefined },
      text: "日本🦩\u0000\u2028",
    };
    for (const target of ["session", "tool"] as const) {
      if (target === "tool") tool("ls");
      tracer.setSpanAttributes(values, target);
    }
    const expected = {
      nan: null,
      infinity: null,
      big: "12345678901234567890",
      symbol: "Symbol(s)",
      fn: String(Math.max),
      circular: "[object Object]",
      date: new Date(begin).toISOString(),
      nested: { a: [null, { b: null }] },
      text: "日本🦩\u0000\u2028",
    };
    expect(await attributes()).toEqual({ ses_1: expected, ls: expected });
  });

  test("keeps 200 attributes: a document has no limit of 128", async () => {
    tool("ls");
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`de.key.${n}`, n]));
    tracer.setSpanAttributes(many, "tool");
    expect(await attributes()).toEqual({ ls: many });
  });

  test("keeps reserved keys as attributes of the caller", async () => {
    tool("ls");
    const given = {
      "session.id": "mine",
      "gen_ai.tool.name": "other",
      "crash_safe_file.kind": "turn",
      "": 1,
      "otel.x": 2,
    };
    tracer.setSpanAttributes({ ...given, ...JSON.parse('{"__proto__":{"a":1}}') }, "tool");
    const document = await stage.flushed(tracer);
    expect(spansOf(document)[0]).toMatchObject({ kind: "tool", name: "ls" });
    expect(JSON.stringify(spansOf(document)[0]?.attributes)).toBe(
      JSON.stringify({ ...given, ...JSON.parse('{"__proto__":{"a":1}}') }),
    );
  });

  test("setSpanAttributes keeps no reference to the caller's values", async () => {
    const given = { deep: { a: 1 } };
    tracer.setSpanAttributes(given, "session");
    tool("ls");
    tracer.setSpanAttributes(given, "tool");
    given.deep.a = 2;
    expect(await attributes()).toEqual({ ses_1: { deep: { a: 1 } }, ls: { deep: { a: 1 } } });
  });

  test.each(hostileArguments())("D3 setSpanAttributes loses only %s", async (_, value) => {
    tool("ls");
    for (const target of ["session", "tool"] as const) {
      tracer.setSpanAttributes(any(value), target);
      tracer.setSpanAttributes({ bad: value, good: 1 }, target);
    }
    tracer.setSpanAttributes({ any: 1 }, any(value));
    expect(await attributes()).toMatchObject({ ses_1: { good: 1 }, ls: { good: 1, any: 1 } });
  });
});
