/** Sessions in memory, fed by real spans through its processor. */
import { SpanStatusCode, type Tracer } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { beforeEach, describe, expect, test } from "vitest";
import { MemorySessionExporter, MemorySpanProcessor } from "../../src/altimate/memory-recorder.js";
import type { SessionHandle } from "../../src/exporter/session-store.js";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const opening = (id: string) => ({ id, traceId, startTime: 1_000, name: "agent", metadata: { title: "t" } });

let recorder: MemorySessionExporter;
let tracer: Tracer;
let session: SessionHandle;
beforeEach(() => begin(0));

function begin(maxSpans: number): void {
  recorder = new MemorySessionExporter(maxSpans);
  const provider = new BasicTracerProvider({ spanProcessors: [new MemorySpanProcessor(recorder)] });
  tracer = provider.getTracer("test");
  session = recorder.openSession(opening("ses_1"));
}

const tool = (name: string, id = "ses_1") => {
  const attributes = { "session.id": id, "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name };
  return tracer.startSpan(`execute_tool ${name}`, { attributes });
};
const document = async () => (await session.document()) as TraceFile;
const root = ({ spans }: TraceFile) => spans.find(({ kind }) => kind === "session") as TraceSpan;

describe("a running session", () => {
  test("is a whole document: head, ended spans, open spans, the session's own span", async () => {
    tool("ls").end();
    const open = tool("bash");
    const { endedAt, spans, ...rest } = await document();
    expect(rest).toMatchObject({
      version: 2,
      id: "ses_1",
      sessionId: "ses_1",
      traceId,
      startedAt: new Date(1_000).toISOString(),
      metadata: { title: "t" },
      summary: { status: "running", totalToolCalls: 2 },
    });
    expect(Date.parse(endedAt)).toBeGreaterThan(1_000);
    expect(spans.map(({ name, kind, endTime }) => [name, kind, endTime === undefined])).toEqual([
      ["ls", "tool", false],
      ["bash", "tool", true],
      ["agent", "session", true],
    ]);
    expect(spans.map(({ parentSpanId }) => parentSpanId === null)).toEqual([false, false, true]);
    open.end();
  });

  test("shows the present state of open spans", async () => {
    const open = tool("bash");
    open.setAttribute("progress", 7);
    expect((await document()).spans[0]?.attributes).toMatchObject({ progress: 7 });
  });

  test("accepts metadata, and the trace of its first turn before a span has ended", async () => {
    session.update({ name: "named", input: "prompt", metadata: { agent: "a" }, attributes: { x: 1 } });
    session.update({ metadata: { title: "new" }, attributes: { y: 2 } });
    session.setTraceId("f".repeat(32));
    const running = await document();
    expect(running.metadata).toEqual({ title: "new", agent: "a" });
    expect(root(running)).toMatchObject({ name: "named", input: "prompt", attributes: { x: 1, y: 2 } });
    expect(running.traceId).toBe("f".repeat(32));
    tool("ls").end();
    session.setTraceId(traceId);
    expect((await document()).traceId).toBe("f".repeat(32));
  });

  test("returns copies: what a reader changes stays in the copy", async () => {
    tool("ls").end();
    const first = await document();
    first.spans.length = 1;
    (first.spans[0] as TraceSpan).name = "changed";
    first.metadata.title = "changed";
    expect((await document()).spans.map(({ name }) => name)).toEqual(["ls", "agent"]);
    expect((await document()).metadata.title).toBe("t");
  });

  test("has no path, and no history", async () => {
    expect(session.path).toBeUndefined();
    expect(await recorder.resumeSession()).toBeUndefined();
  });

  test("records no span of another session", async () => {
    tool("ls", "ses_2").end();
    tracer.startSpan("untold").end();
    expect((await document()).spans.map(({ name }) => name)).toEqual(["untold", "agent"]);
  });
});

describe("the end", () => {
  test("D11 interrupts open spans", async () => {
    tool("bash");
    await session.end();
    const ended = await document();
    expect(ended.summary.status).toBe("completed");
    expect(ended.spans[0]).toMatchObject({
      name: "bash",
      status: "error",
      statusMessage: expect.stringContaining("the end of the session"),
      interrupted: true,
      endTime: expect.any(Number),
    });
    expect(root(ended)).toMatchObject({ output: "0 generations, 1 tool calls, 0 tokens, $0.0000" });
  });

  test("with an error has status error", async () => {
    await session.end("no more money");
    const ended = await document();
    expect(ended.summary).toMatchObject({ status: "error", error: "no more money" });
    expect(root(ended)).toMatchObject({ status: "error", statusMessage: "no more money" });
  });

  test("is final: neither another end nor later spans change it", async () => {
    await session.end();
    const ended = await document();
    await session.end("late");
    session.endNow("late");
    session.update({ metadata: { title: "late" } });
    tool("late").end();
    expect(await document()).toEqual(ended);
  });

  test("P3 is outranked by a crash; of several crashes the last reason stays", async () => {
    tool("bash");
    await session.end();
    session.crash("first");
    session.crash("second");
    await session.end("late");
    const crashed = await document();
    expect(crashed.summary).toMatchObject({ status: "crashed", error: "second" });
    expect(root(crashed)).toMatchObject({ interrupted: true, statusMessage: "second" });
  });

  test("P3 by a crash marks open spans as interrupted", async () => {
    tool("bash");
    recorder.crash();
    const crashed = await document();
    expect(crashed.summary).toMatchObject({
      status: "crashed",
      error: "Process exited before trace completed",
    });
    expect(crashed.spans[0]).toMatchObject({ name: "bash", status: "error", interrupted: true });
    expect(root(crashed).status).toBe("ok");
  });

  test("frees the session once it is forgotten", async () => {
    for (let n = 0; n < 10; n++) tool("ls").end();
    await session.end();
    recorder.forget();
    expect(recorder.session).toBeUndefined();
    expect((await document()).spans).toHaveLength(1);
    expect(session.summary.totalToolCalls).toBe(10);
    expect(() => tool("late").end()).not.toThrow();
  });
});

describe("the cap", () => {
  test("D7 keeps head and tail, and counts the spans it leaves out", async () => {
    begin(20);
    for (let n = 0; n < 1_000; n++) {
      const span = tool(`t${n % 3}`);
      if (n === 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    }
    const open = tool("open");
    const capped = await document();
    expect(capped.spans).toHaveLength(20);
    expect(capped.summary.totalToolCalls).toBe(1_001);
    expect(capped.summary.topTools?.map(({ count }) => count)).toEqual([334, 333, 333]);
    const marker = capped.spans[6] as TraceSpan;
    expect(marker.parentSpanId).toBe(root(capped).spanId);
    // A thousand, the open span and the session's own, of which 19 stay.
    expect(marker.attributes).toEqual({ elided: 1_002 - 19, totalSpans: 1_002 });
    expect(capped.spans.slice(-2).map(({ name }) => name)).toEqual(["open", "agent"]);
    open.end();
  });
});

test("applies to one session at a time: the next session replaces it", async () => {
  tool("ls").end();
  await session.end();
  const next = recorder.openSession(opening("ses_2"));
  tool("late").end();
  tool("new", "ses_2").end();
  expect((await document()).spans.map(({ name }) => name)).toEqual(["ls", "agent"]);
  expect((await next.document())?.spans.map(({ name }) => name)).toEqual(["new", "agent"]);
});
