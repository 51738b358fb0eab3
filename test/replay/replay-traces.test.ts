/** Sessions whose processes were killed are sent to a backend. */
import { appendFileSync, lstatSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SpanStatusCode } from "@opentelemetry/api";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { encodeHead, encodeSpan, encodeTail } from "../../src/format/document.js";
import { turnSpanId } from "../../src/otel/ids.js";
import { replayTraces } from "../../src/replay/replay-traces.js";
import { OtlpServer, type PlainSpan } from "../support/otlp-server.js";
import { FailingExporter, kill, ReplayStage } from "../support/replay-stage.js";
import { documentOf, rootSpan, startedAt, toolSpan, toolSpans } from "../support/trace-documents.js";

let stage: ReplayStage;
beforeEach(() => {
  stage = new ReplayStage();
});
afterEach(() => stage.remove());

/** Name, and name of the parent. */
const tree = (spans: readonly PlainSpan[]) => {
  const names = new Map(spans.map(({ spanId, name }) => [spanId, name]));
  return spans
    .map(({ name, parentSpanId }) => `${name} < ${parentSpanId && (names.get(parentSpanId) ?? "nobody")}`)
    .sort();
};

const turnTree = [
  "chat m < invoke_agent tester",
  "execute_tool look < chat m",
  "invoke_agent tester < undefined",
  "user-message < invoke_agent tester",
];
const killedTurnTree = [...turnTree, "execute_tool bash < chat m"];

describe("P2 a session whose process was killed", () => {
  test.for([
    ["JSON", JsonExporter],
    ["protobuf", ProtobufExporter],
  ] as const)(
    "reaches a collector by OTLP as %s, whole, and once",
    async ([, Exporter], { onTestFinished }) => {
      const server = await OtlpServer.start();
      onTestFinished(() => server.close());
      await stage.killedSession("ses_1", "1,2");
      const exporter = new Exporter({ url: server.url });
      const resource = { attributes: { "service.name": "agent" } };
      const report = await replayTraces(stage.dir, exporter, { resource });
      expect(report).toMatchObject({
        sessions: [{ id: "ses_1", spans: 9 }],
        failures: [],
        settled: 0,
        running: 0,
      });
      expect(tree(server.spans)).toEqual([...turnTree, ...killedTurnTree].sort());
      expect(new Set(server.spans.map(({ resource: { "service.name": name } }) => name))).toEqual(
        new Set(["agent"]),
      );
      const document = stage.document("ses_1");
      for (const span of document.spans.filter(({ kind }) => kind !== "session")) {
        const sent = server.spans.find(({ spanId }) => spanId === span.spanId);
        expect(sent).toMatchObject({
          traceId: span.traceId ?? document.traceId,
          start: BigInt(Math.round(span.startTime * 1_000)) * 1_000n,
          end: BigInt(Math.round((span.endTime ?? 0) * 1_000)) * 1_000n,
          status: { code: span.status === "error" ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
          attributes: { "session.id": "ses_1", "crash_safe_file.kind": span.kind },
        });
        expect(sent?.attributes["crash_safe_file.interrupted"]).toBe(span.interrupted);
      }
      const again = await replayTraces(stage.dir, exporter, { resource });
      expect(again).toEqual({ sessions: [], failures: [], settled: 1, running: 0 });
      expect(server.spans).toHaveLength(9);
      // The caller can still use the exporter.
      await exporter.shutdown();
    },
  );

  test("has one root for each turn, linked to the previous one, with input and output", async () => {
    await stage.killedSession("ses_1", "1,2");
    const { spans } = await stage.replay();
    const [first, second] = spans.filter(({ name }) => name === "invoke_agent tester");
    const { traceId } = stage.document("ses_1");
    expect(first).toMatchObject({
      traceId,
      spanId: turnSpanId(traceId),
      status: { code: SpanStatusCode.UNSET },
      links: [],
      attributes: {
        "session.id": "ses_1",
        "gen_ai.conversation.id": "ses_1",
        "gen_ai.agent.name": "tester",
        "gen_ai.request.model": "m",
        "crash_safe_file.title": "killed",
        "crash_safe_file.turn.index": 1,
        "gen_ai.input.messages": expect.stringContaining("question 1"),
        "gen_ai.output.messages": expect.stringContaining("answer 1"),
      },
    });
    expect(second).toMatchObject({
      spanId: turnSpanId(second?.traceId ?? ""),
      status: { code: SpanStatusCode.ERROR, message: expect.stringMatching(/^Interrupted/) },
      links: [{ traceId, spanId: first?.spanId }],
      attributes: { "crash_safe_file.turn.index": 2, "crash_safe_file.interrupted": true },
    });
    for (const turn of [first, second]) {
      const inIt = spans.filter(({ traceId: id, spanId }) => id === turn?.traceId && spanId !== turn?.spanId);
      expect(turn?.start).toBe(inIt.find(({ name }) => name === "user-message")?.start);
      const ends = inIt.map(({ end }) => end).sort((a, b) => Number(a - b));
      expect(turn?.end).toBe(ends.at(-1));
    }
  });

  test("that continues and is killed again is sent from its first new span", async () => {
    await stage.killedSession("ses_1", "1,2");
    await stage.replay();
    await stage.killedSession("ses_1", "3,4");
    const { report, spans } = await stage.replay();
    expect(report).toMatchObject({ sessions: [{ id: "ses_1", spans: 9 }], failures: [] });
    expect(tree(spans)).toEqual([...turnTree, ...killedTurnTree].sort());
    const turns = spans.filter(({ name }) => name === "invoke_agent tester");
    expect(turns.map(({ attributes }) => attributes["crash_safe_file.turn.index"])).toEqual([3, 4]);
    expect((await stage.replay()).report).toMatchObject({ sessions: [], settled: 1 });
  });

  test("is left alone while it is live in another process", async () => {
    const writer = await stage.writer("ses_1", "1,2");
    await stage.killedSession("ses_2", "1");
    const { report, spans } = await stage.replay({ sessions: "ended" });
    expect(report).toMatchObject({ sessions: [{ id: "ses_2" }], failures: [], running: 1 });
    expect(new Set(spans.map(({ attributes }) => attributes["session.id"]))).toEqual(new Set(["ses_2"]));
    expect(stage.files).not.toContain("ses_1.json.replayed");
    await kill(writer);
    expect((await stage.replay()).report).toMatchObject({
      sessions: [{ id: "ses_1", spans: 9 }],
      settled: 1,
    });
  });
});

/** A settled document of `count` tool calls, status crashed. */
function crashedDocument(id: string, count: number) {
  const spans = [rootSpan({ name: id }), ...toolSpans(count)];
  const { summary, ...document } = documentOf(id, { spans, traceId: id.padStart(32, "0") });
  return { ...document, summary: { ...summary, status: "crashed" as const } };
}

describe("at least once, and resumable", () => {
  const count = 1_500;

  test.each(["failed", "throws", "rejects", "hangs"] as const)(
    "an export that %s ends its session's replay; the next one continues there; other sessions are sent",
    async (how) => {
      stage.write(crashedDocument("a", count));
      stage.write(crashedDocument("b", 3));
      const exporter = new FailingExporter((batch) => (batch === 2 ? how : undefined));
      const report = await replayTraces(stage.dir, exporter, {
        exportTimeoutMillis: how === "hangs" ? 50 : 30_000,
      });
      const [failure, ...further] = report.failures;
      expect(further).toEqual([]);
      expect(failure).toMatchObject({
        path: join(stage.dir, "a.json"),
        spans: exporter.batches[0],
        error: { name: "CrashSafeFileError", code: how === "hangs" ? "EXPORT_TIMEOUT" : "EXPORT_FAILED" },
      });
      expect(report.sessions).toMatchObject([{ id: "b", spans: 4 }]);
      const rest = await stage.replay();
      expect(rest.report).toMatchObject({ sessions: [{ id: "a" }], failures: [], settled: 1 });
      const ids = [...exporter.ids, ...rest.spans.map(({ spanId }) => spanId)];
      expect(ids).toHaveLength(count + 1 + 4);
      expect(new Set(ids).size).toBe(ids.length);
    },
  );

  test("each batch is flushed before its checkpoint; export() calls are serial; the exporter stays open", async () => {
    stage.write(crashedDocument("a", count));
    const exporter = new FailingExporter(() => undefined);
    await replayTraces(stage.dir, exporter);
    expect(exporter).toMatchObject({ batches: [511, 511, 479], flushes: 3, isShutDown: false });
    const refusing = new FailingExporter(() => undefined);
    refusing.forceFlush = () => Promise.reject(new Error("not flushed"));
    stage.write(crashedDocument("c", 3));
    expect((await replayTraces(stage.dir, refusing)).failures).toMatchObject([{ spans: 0 }]);
    expect((await stage.replay()).report).toMatchObject({ sessions: [{ id: "c", spans: 4 }] });
  });

  test.each(["before", "after"] as const)(
    "a replay that is killed %s its exporter answers continues: all spans arrive, at most one batch twice",
    async (when) => {
      stage.write(crashedDocument("a", count));
      const first = await stage.killedReplay(1, when);
      const second = await stage.killedReplay(1, when);
      const { report, spans } = await stage.replay();
      expect(report).toMatchObject({ sessions: [{ id: "a" }], failures: [] });
      const ids = [...first, ...second, ...spans.map(({ spanId }) => spanId)];
      expect(new Set(ids).size).toBe(count + 1);
      expect(ids.length - new Set(ids).size).toBe(when === "before" ? 0 : 511 + 479);
      expect(stage.files).toEqual(["a.json", "a.json.replayed"]);
    },
  );

  test("a document that was changed before its checkpoint is sent whole", async () => {
    stage.write(crashedDocument("a", 5));
    await stage.replay();
    const spans = [rootSpan(), toolSpan(7), ...toolSpans(5)];
    stage.write({ ...crashedDocument("a", 5), spans, endedAt: new Date(startedAt + 2_000).toISOString() });
    expect((await stage.replay()).spans).toHaveLength(7);
  });

  test("P8 100 MB in 50,000 spans of 1,000 turns need 40 MB of memory for objects", async () => {
    const turns = 1_000;
    const [head, tail, root] = [crashedDocument("a", 0), crashedDocument("a", 0), rootSpan({ name: "a" })];
    const path = join(stage.dir, "a.json");
    writeFileSync(path, encodeHead({ ...head, id: "a" }));
    let size = statSync(path).size;
    for (let turn = 0; turn < turns; turn++) {
      const traceId = (turn + 1).toString(16).padStart(32, "0");
      const lines = Array.from({ length: 50 }, (_, n) => {
        const spanId = (turn * 50 + n + 1).toString(16).padStart(16, "0");
        const kind =
          n === 0 ? ("user-message" as const) : n === 49 ? ("generation" as const) : ("tool" as const);
        const span = toolSpan(n, { spanId, traceId, kind, output: "x".repeat(2_000) });
        return `${turn + n === 0 ? "" : ","}${encodeSpan(span)}\n`;
      }).join("");
      appendFileSync(path, lines);
      size += lines.length;
    }
    const layout = { v: 1 as const };
    appendFileSync(path, encodeTail({ ...tail, layout, spans: [root] }, size, false));
    expect(statSync(path).size).toBeGreaterThan(100_000_000);
    const ids = await stage.smallReplay(40);
    expect(new Set(ids).size).toBe(51 * turns);
    expect(ids).toHaveLength(51 * turns);
  });

  test("P9 the checkpoint is private to its owner", async () => {
    stage.write(crashedDocument("a", 5));
    await stage.replay();
    expect(lstatSync(join(stage.dir, "a.json.replayed")).mode & 0o777).toBe(0o600);
  });
});
