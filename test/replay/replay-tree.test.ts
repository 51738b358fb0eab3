/** Replayed spans against the spans that a live backend got of the same session. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Context, createTraceState, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { InMemorySpanExporter, type ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ReplayOptions, replayTraces } from "../../src/replay/replay-traces.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { createSessionTracing, type SessionTracing } from "../../src/tracer/session-tracing.js";
import { beginTurn, logTurn } from "../support/logged-turn.js";
import type { PlainSpan } from "../support/otlp-server.js";
import { plainSpan } from "../support/plain-span.js";

let dir: string;
let live: InMemorySpanExporter;
let tracing: SessionTracing;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "replay-"));
  live = new InMemorySpanExporter();
  tracing = createSessionTracing({
    dir,
    exporter: live,
    resource: { attributes: { "service.name": "agent" } },
  });
});
afterEach(async () => {
  await tracing.shutdown();
  rmSync(dir, { recursive: true, force: true });
});

const start = (id = "ses_1"): SessionTracer => {
  const tracer = tracing.tracer(id, { agent: "tester", title: "a title", userId: "u", tags: ["a", "b"] });
  tracer.enrichFromAssistant({ modelID: "m", providerID: "p" });
  return tracer;
};

const isTurn = ({ attributes }: Pick<PlainSpan, "attributes">) =>
  attributes["crash_safe_file.kind"] === "turn";

/** Nanoseconds below the microsecond are not in documents. */
const rounded = (time: bigint) => ((time + 500n) / 1_000n) * 1_000n;

/** What can be compared, by id. The document does not have the end of a turn, only that of its last span. */
const comparable = (spans: readonly PlainSpan[]) =>
  new Map(
    spans.map(({ resource: _, ...span }) => [
      span.spanId,
      {
        ...span,
        attributes: { ...span.attributes },
        start: rounded(span.start),
        end: isTurn(span) ? undefined : rounded(span.end),
      },
    ]),
  );

async function replay(options: ReplayOptions = {}): Promise<PlainSpan[]> {
  const memory = new InMemorySpanExporter();
  const report = await replayTraces(dir, memory, options);
  expect(report).toMatchObject({ failures: [], running: 0 });
  return memory.getFinishedSpans().map(plainSpan);
}

async function sentLive(): Promise<PlainSpan[]> {
  await tracing.forceFlush();
  return live.getFinishedSpans().map(plainSpan);
}

test("P10 a session of turns, tools, errors and attributes is replayed as the backend got it live", async () => {
  const tracer = start();
  // Before the first turn: the document has the metadata of the session's end, for all turns.
  tracer.setSpanAttributes({ "de.project": "p" }, "session");
  tracer.logSpan({
    name: "set-up",
    startTime: Date.now() - 5,
    endTime: Date.now(),
    input: { a: 1 },
    output: "[1]",
  });
  logTurn(tracer, 1);
  tracer.setSpanAttributes({ "de.rows": 3, nested: { a: [1] }, nothing: null, "gen_ai.mine": "x" }, "tool");
  logTurn(tracer, 2);
  const error = { status: "error", input: "text", error: "no such file", time: { start: -5, end: 1e17 } };
  tracer.logToolCall({ tool: "read", callID: "bad", state: error });
  tracer.logToolCall({
    tool: "json",
    callID: "j",
    state: { status: "completed", input: '{"a":1}', output: "{}" },
  });
  tracer.logSpan({
    name: "failed",
    startTime: 1.5,
    endTime: 2.25,
    status: "error",
    attributes: { tags: ["a"] },
  });
  logTurn(tracer, 3);
  await tracer.endTrace();
  const spans = await sentLive();
  expect(spans.length).toBe(17);
  expect(comparable(await replay({ sessions: "ended" }))).toEqual(comparable(spans));
});

test("P10 spans of instrumentations below a turn are replayed below it, with kind, status, events, links and scope", async () => {
  const tracer = start();
  tracer.logUserMessage("question");
  tracer.logStepStart({ id: "1" });
  const foreign = tracing.tracerProvider.getTracer("http client", "1.2.3");
  const request = (name: string, within: Context) => {
    const span = foreign.startSpan(
      name,
      { kind: SpanKind.CLIENT, attributes: { "http.method": "GET" } },
      within,
    );
    span.addEvent("retried", { attempt: 2 }, [1_700_000_000, 123_000]);
    const linked = { traceId: "a".repeat(32), spanId: "b".repeat(16) };
    span.addLink({ context: { ...linked, traceFlags: 1 }, attributes: { n: 1 } });
    const traceState = createTraceState("vendor=1,other=2");
    span.addLink({ context: { ...linked, traceFlags: 0, isRemote: true, traceState } });
    span.setStatus({ code: SpanStatusCode.ERROR, message: "503" });
    foreign.startSpan("DNS", {}, trace.setSpan(within, span)).end();
    const connected = foreign.startSpan("TCP", {}, trace.setSpan(within, span));
    connected.setStatus({ code: SpanStatusCode.OK });
    connected.end();
    span.end();
  };
  request("GET", tracer.context("generation"));
  request("GET of the turn", tracer.context("turn"));
  trace.getSpan(tracer.context("generation"))?.setStatus({ code: SpanStatusCode.OK });
  tracer.logStepFinish({
    id: "1",
    reason: "stop",
    cost: 1,
    tokens: { input: 1, output: 1, reasoning: 0, cache: { read: 0, write: 0 } },
  });
  await tracer.endTrace();
  const spans = await sentLive();
  const memory = new InMemorySpanExporter();
  await replayTraces(dir, memory, { sessions: "ended" });
  const again = memory.getFinishedSpans();
  const identity = { "gen_ai.conversation.id": "ses_1" };
  const expected = comparable(
    spans.map((span) => ({ ...span, attributes: { ...span.attributes, ...identity } })),
  );
  expect(comparable(again.map(plainSpan))).toEqual(expected);
  const [before, after] = [live.getFinishedSpans(), again].map((all) =>
    all.find(({ name }) => name === "GET"),
  );
  expect(after?.events).toEqual(before?.events);
  const plain = (links: ReadableSpan["links"] = []) =>
    links.map(({ context, ...rest }) => ({
      ...{ ...context, traceState: context.traceState?.serialize(), isRemote: context.isRemote ?? false },
      ...{ attributes: {}, droppedAttributesCount: 0, ...rest },
    }));
  expect(plain(after?.links)).toEqual(plain(before?.links));
  expect(after?.links[1]?.context.traceState?.serialize()).toBe("vendor=1,other=2");
  expect(after?.instrumentationScope).toMatchObject({ name: "http client", version: "1.2.3" });
});

test("P10 a fenced session is replayed with its interrupted spans, and its turn has the reason", async () => {
  const tracer = start();
  logTurn(tracer, 1);
  beginTurn(tracer, 2);
  tracer.logToolCall({
    tool: "bash",
    callID: "r",
    state: { status: "running", input: { command: "sleep" } },
  });
  tracing.crash("killed");
  const spans = await replay();
  const interrupted = spans.filter(({ attributes }) => attributes["crash_safe_file.interrupted"] === true);
  expect(interrupted.map(({ name, status }) => [name, status.code, status.message])).toEqual([
    ["chat m", SpanStatusCode.ERROR, "killed"],
    ["execute_tool bash", SpanStatusCode.ERROR, "killed"],
    ["invoke_agent tester", SpanStatusCode.ERROR, "killed"],
  ]);
  expect(comparable(spans)).toEqual(comparable(await sentLive()));
});
