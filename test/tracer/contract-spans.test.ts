/** The contract: `logSpan`. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { hostileArguments } from "../support/hostile-arguments.js";
import { begin, rootOf, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
let tracer: SessionTracer;
beforeEach(() => {
  stage = new SessionTracerStage();
  tracer = stage.start("ses_1");
});
afterEach(() => stage.remove());

const any = <T>(value: unknown): T => value as T;
const spans = async () => spansOf(await stage.flushed(tracer));
describe("logSpan", () => {
  test("adds a span under the session", async () => {
    tracer.logStepStart({ id: "g" });
    tracer.logSpan({
      name: "compile",
      startTime: 100,
      endTime: 350,
      status: "error",
      input: { a: [1, null] },
      output: "text",
      attributes: { n: 1, deep: { a: null } },
    });
    const document = await stage.flushed(tracer);
    expect(spansOf(document)[0]).toStrictEqual({
      spanId: expect.stringMatching(/^[0-9a-f]{16}$/),
      parentSpanId: rootOf(document).spanId,
      name: "compile",
      kind: "span",
      startTime: 100,
      endTime: 350,
      status: "error",
      input: { a: [1, null] },
      output: "text",
      attributes: { n: 1, deep: { a: null } },
      resource: expect.any(String),
    });
  });

  test("needs only a name", async () => {
    tracer.logSpan(any({ name: "bare" }));
    const { spanId: _, parentSpanId: __, ...span } = (await spans())[0] ?? {};
    expect(span).toStrictEqual({
      name: "bare",
      kind: "span",
      startTime: begin,
      endTime: begin,
      status: "ok",
      resource: expect.any(String),
    });
  });

  test.each([
    [300, 100, 300, 100],
    [0, 0, 0, 0],
    [-5, -1, -5, -1],
    [9e15, 8e15, 9e15, 8e15],
    [Number.NaN, Number.POSITIVE_INFINITY, begin, begin],
    ["1", null, begin, begin],
  ])("from %j to %j is written from %j to %j", async (startTime, endTime, from, to) => {
    tracer.logSpan({ name: "a", startTime: any(startTime), endTime: any(endTime) });
    expect((await spans())[0]).toMatchObject({ startTime: from, endTime: to });
  });

  test.each([
    ["ok", "ok"],
    ["error", "error"],
    [undefined, "ok"],
    ["bad", "ok"],
    [null, "ok"],
  ])("has status %2$j for %1$j", async (given, status) => {
    tracer.logSpan({ name: "a", startTime: 1, endTime: 2, status: any(given) });
    expect((await spans())[0]?.status).toBe(status);
  });

  test.each([undefined, null, {}, "text", 7])("%j has no name", async (given) => {
    tracer.logSpan(any(given));
    expect((await spans()).map(({ name }) => name)).toEqual(["unknown"]);
  });

  test("logSpan keeps no reference to the caller's values", async () => {
    const given = {
      name: "a",
      startTime: 1,
      endTime: 2,
      input: { list: [1] },
      output: [1],
      attributes: { deep: { a: 1 } },
    };
    tracer.logSpan(given);
    given.input.list.push(2);
    given.output.push(2);
    given.attributes.deep.a = 2;
    expect((await spans())[0]).toMatchObject({
      input: { list: [1] },
      output: [1],
      attributes: { deep: { a: 1 } },
    });
  });

  test.each(hostileArguments())("D3 logSpan loses only %s", async (_, value) => {
    tracer.logSpan(any(value));
    tracer.logSpan({
      name: any(value),
      startTime: any(value),
      endTime: 7,
      status: any(value),
      input: value,
      output: { good: 1, bad: value },
      attributes: { good: 1, bad: value },
    });
    tracer.logSpan({ name: "last", startTime: 1, endTime: 2, attributes: any(value) });
    const seen = await spans();
    expect(seen).toHaveLength(3);
    expect(seen[1]).toMatchObject({ endTime: 7, output: { good: 1 }, attributes: { good: 1 } });
  });
});
