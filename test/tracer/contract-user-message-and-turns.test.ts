/** The contract: `logUserMessage`, and the turns that it starts, as a document shows them. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { hostileArguments } from "../support/hostile-arguments.js";
import { begin, named, rootOf, SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
let tracer: SessionTracer;
beforeEach(() => {
  stage = new SessionTracerStage();
  tracer = stage.start("ses_1", { prompt: "do it" });
});
afterEach(() => stage.remove());

const message = async () => spansOf(await stage.flushed(tracer))[0];

describe("logUserMessage", () => {
  test("adds an instant under the session", async () => {
    stage.at(250);
    tracer.logUserMessage("hello");
    stage.at(300);
    const document = await stage.flushed(tracer);
    expect(spansOf(document)).toStrictEqual([
      {
        spanId: expect.stringMatching(/^[0-9a-f]{16}$/),
        parentSpanId: rootOf(document).spanId,
        name: "user-message",
        kind: "user-message",
        startTime: begin + 250,
        endTime: begin + 250,
        status: "ok",
        input: "hello",
        resource: expect.any(String),
      },
    ]);
  });

  test.each([0, 1, 3_999, 4_000])("keeps a text of %i characters unchanged", async (length) => {
    const text = "x".repeat(length);
    tracer.logUserMessage(text);
    const span = await message();
    expect(span?.input).toBe(length === 0 ? undefined : text);
    expect(span ?? {}).not.toHaveProperty("attributes");
  });

  test.each([4_001, 1_000_000])(
    "keeps exactly the first 4000 characters of %i, and names how many are cut",
    async (length) => {
      const text = Array.from({ length }, (_, n) => String.fromCharCode(97 + (n % 26))).join("");
      tracer.logUserMessage(text);
      expect(await message()).toMatchObject({
        input: text.slice(0, 4_000),
        attributes: { cut: length - 4_000 },
      });
    },
  );

  test("cuts at 4000 also in the middle of a character", async () => {
    const text = `${"x".repeat(3_999)}🦩🦩`;
    tracer.logUserMessage(text);
    expect(await message()).toMatchObject({ input: text.slice(0, 4_000), attributes: { cut: 3 } });
  });

  test.each(["", undefined, null])("ignores %j, which starts no turn", async (text) => {
    tracer.logUserMessage("one");
    tracer.logUserMessage(text as string);
    tracer.logSpan({ name: "same turn", startTime: 1, endTime: 2 });
    expect(spansOf(await stage.flushed(tracer)).map(({ name, traceId }) => [name, traceId])).toEqual([
      ["user-message", undefined],
      ["same turn", undefined],
    ]);
  });

  test.each([
    [7, "7"],
    [true, "true"],
    [["a", "b"], "a,b"],
    ["日本語 \u0000\u2028 é🦩", "日本語 \u0000\u2028 é🦩"],
  ])("makes text of %j", async (given, input) => {
    tracer.logUserMessage(given as string);
    expect((await message())?.input).toBe(input);
  });

  test.each(hostileArguments())("D3 accepts %s, and options of that kind", async (_, value) => {
    tracer.logUserMessage(value as string, value as object);
    tracer.logUserMessage("kept", { traceparent: value as string, tracestate: value as string });
    expect(spansOf(await stage.flushed(tracer)).at(-1)?.input).toBe("kept");
  });
});

describe("turns", () => {
  test("are no spans; the document has the trace of the first turn, later spans carry their own", async () => {
    const { traceId } = stage.document("ses_1");
    tracer.logUserMessage("one");
    tracer.logStepStart({ id: "g1" });
    tracer.logToolCall({ tool: "ls", callID: "c1", state: { status: "completed", output: "" } });
    tracer.logStepFinish({ id: "g1" });
    tracer.logUserMessage("two");
    tracer.logStepStart({ id: "g2" });
    tracer.logStepFinish({ id: "g2" });
    tracer.logUserMessage("three");
    const document = await stage.flushed(tracer);
    expect(document.traceId).toBe(traceId);
    const seen = named(document).map(({ spanId, parentSpanId, traceId }) => [spanId, parentSpanId, traceId]);
    expect(seen).toEqual([
      ["user-message", "ses_1", undefined],
      ["generation-g1", "ses_1", undefined],
      ["ls", "generation-g1", undefined],
      ["user-message#2", "ses_1", "turn 2"],
      ["generation-g2", "ses_1", "turn 2"],
      ["user-message#3", "ses_1", "turn 3"],
      ["ses_1", null, undefined],
    ]);
  });

  test("the first span starts the first turn, whatever it is", async () => {
    const { traceId } = stage.document("ses_1");
    tracer.logToolCall({ tool: "ls", state: { status: "completed" } });
    tracer.logUserMessage("second");
    const document = await stage.flushed(tracer);
    expect(document.traceId).toBe(traceId);
    expect(named(document).map(({ spanId, traceId }) => [spanId, traceId])).toEqual([
      ["ls", undefined],
      ["user-message", "turn 2"],
      ["ses_1", undefined],
    ]);
  });

  test("end with endTurn; the next span starts another turn", async () => {
    tracer.logUserMessage("one");
    tracer.endTurn();
    tracer.endTurn();
    tracer.logSpan({ name: "a", startTime: 1, endTime: 2 });
    tracer.logSpan({ name: "b", startTime: 1, endTime: 2 });
    expect(named(await stage.flushed(tracer)).map(({ spanId, traceId }) => [spanId, traceId])).toEqual([
      ["user-message", undefined],
      ["a", "turn 2"],
      ["b", "turn 2"],
      ["ses_1", undefined],
    ]);
  });

  test("a generation that outlives its turn keeps its trace, and so do its tools", async () => {
    tracer.logUserMessage("one");
    tracer.logStepStart({ id: "g1", messageID: "m1" });
    tracer.logUserMessage("two");
    tracer.logToolCall({ tool: "ls", messageID: "m1", state: { status: "completed" } });
    tracer.logStepFinish({ id: "g1" });
    expect(
      named(await stage.flushed(tracer)).map(({ spanId, parentSpanId, traceId }) => [
        spanId,
        parentSpanId,
        traceId,
      ]),
    ).toEqual([
      ["user-message", "ses_1", undefined],
      ["user-message#2", "ses_1", "turn 2"],
      ["generation-g1", "ses_1", undefined],
      ["ls", "generation-g1", undefined],
      ["ses_1", null, undefined],
    ]);
  });

  test("each is exported once, when it ends", async () => {
    const process = stage.process();
    const other = process.newTracer();
    other.startTrace("ses_2");
    other.endTurn();
    expect(process.turnEnds).toBe(0);
    other.logUserMessage("one");
    other.logUserMessage("two");
    expect(process.turnEnds).toBe(1);
    other.endTurn();
    other.endTurn();
    expect(process.turnEnds).toBe(2);
    other.logUserMessage("three");
    await other.endTrace();
    other.finalizeSync();
    other.flushSync();
    expect(process.turnEnds).toBe(3);
  });

  const client = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

  test("a client's trace is the document's, where its turn is the first", async () => {
    tracer.logUserMessage("one", { traceparent: client });
    tracer.logUserMessage("two");
    const document = await stage.flushed(tracer);
    expect(document.traceId).toBe("0af7651916cd43dd8448eb211c80319c");
    expect(spansOf(document).map(({ traceId, parentSpanId }) => [traceId, parentSpanId])).toEqual([
      [undefined, rootOf(document).spanId],
      [expect.stringMatching(/^(?!0af7)[0-9a-f]{32}$/), rootOf(document).spanId],
    ]);
  });

  test("a client's trace is its turn's, where the turn is a later one", async () => {
    const { traceId } = stage.document("ses_1");
    tracer.logUserMessage("one");
    tracer.logUserMessage("two", { traceparent: client });
    const document = await stage.flushed(tracer);
    expect(document.traceId).toBe(traceId);
    expect(spansOf(document).map((span) => span.traceId)).toEqual([
      undefined,
      "0af7651916cd43dd8448eb211c80319c",
    ]);
  });

  test("startTrace accepts a client's trace too", async () => {
    const other = stage.start("ses_2", { traceparent: client });
    other.logSpan({ name: "a", startTime: 1, endTime: 2 });
    const document = await stage.flushed(other);
    expect(document.traceId).toBe("0af7651916cd43dd8448eb211c80319c");
    expect(spansOf(document).map((span) => span.traceId)).toEqual([undefined]);
  });

  test.each(["", "00-xyz", "00-00000000000000000000000000000000-b7ad6b7169203331-01", `${client}-more`, 7])(
    "an invalid traceparent (%j) is ignored",
    async (traceparent) => {
      const { traceId } = stage.document("ses_1");
      tracer.logUserMessage("one", { traceparent: traceparent as string });
      expect((await stage.flushed(tracer)).traceId).toBe(traceId);
    },
  );
});
