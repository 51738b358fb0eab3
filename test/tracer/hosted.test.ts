/** A session that is sent to hosted backends by the SDK's own exporters, and written to its file. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { beginTurn, logTurn } from "../support/logged-turn.js";
import { OtlpServer } from "../support/otlp-server.js";
import { plainSpan } from "../support/plain-span.js";

let dir: string;
const servers: OtlpServer[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hosted-"));
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  rmSync(dir, { recursive: true, force: true });
});

async function startServer(): Promise<OtlpServer> {
  const server = await OtlpServer.start();
  servers.push(server);
  return server;
}
const read = (id: string): TraceFile => JSON.parse(readFileSync(join(dir, `${id}.json`), "utf8"));
const isTurn = ({ name }: { readonly name: string }) => name.startsWith("invoke_agent");

describe("P10 the same session by every exporter", () => {
  test("JSON, protobuf and memory have equal ids, tree, attributes, status and times; the file has the same tree", async () => {
    const [json, protobuf] = [await startServer(), await startServer()];
    const memory = new InMemorySpanExporter();
    memory.shutdown = async () => {};
    const exporters = [
      memory,
      new JsonExporter({ url: json.url }),
      new ProtobufExporter({ url: protobuf.url }),
    ];
    const tracing = createSessionTracing({ dir, exporters });
    const tracer = tracing.tracer("ses_1", { agent: "tester", title: "Ünïcode", tags: ["a", "b"] });
    tracer.enrichFromAssistant({ modelID: "m", providerID: "p" });
    for (const number of [1, 2]) logTurn(tracer, number);
    tracer.logToolCall({
      tool: "fail",
      callID: "f",
      state: { status: "error", input: {}, error: "no such file" },
    });
    tracer.setSpanAttributes({ "de.rows": 3, "de.share": 0.5, "de.cached": true, "de.tables": ["x", "y"] });
    tracer.logSpan({ name: "load", startTime: 1000, endTime: 2000, input: { a: 1 }, output: "b" });
    await tracing.shutdown();

    const spans = memory.getFinishedSpans().map(plainSpan);
    expect(json.spans).toEqual(spans);
    expect(protobuf.spans).toEqual(spans);
    expect(new Set(json.requests)).toEqual(new Set(["application/json"]));
    expect(new Set(protobuf.requests)).toEqual(new Set(["application/x-protobuf"]));
    expect(spans.every(({ attributes }) => attributes["session.id"] === "ses_1")).toBe(true);

    const document = read("ses_1");
    const root = document.spans.find(({ parentSpanId }) => parentSpanId === null)?.spanId;
    const turns = new Set(spans.filter(isTurn).map(({ spanId }) => spanId));
    expect(turns.size).toBe(2);
    const sent = spans
      .filter((span) => !isTurn(span))
      .map(({ spanId, parentSpanId, traceId }) => {
        const parent = parentSpanId === undefined || turns.has(parentSpanId) ? root : parentSpanId;
        return `${traceId} ${parent} ${spanId}`;
      });
    const kept = document.spans
      .filter(({ spanId }) => spanId !== root)
      .map((span) => `${span.traceId ?? document.traceId} ${span.parentSpanId} ${span.spanId}`);
    expect(sent.sort()).toEqual(kept.sort());
    expect(kept).toHaveLength(8);
  });
});

describe("P6 a collector that fails", () => {
  /** Waits with no event but the turn's end for a batch to be sent. */
  const patient = { scheduledDelayMillis: 2 ** 31 - 1 };

  test("that never answers: everything is in the file while it hangs", async () => {
    const server = await startServer();
    server.behaviour = "hang";
    const tracing = createSessionTracing({ dir, exporter: new JsonExporter({ url: server.url }) });
    const tracer = tracing.tracer("ses_1");
    for (const number of [1, 2, 3]) logTurn(tracer, number);
    await server.until(({ requests }) => requests.length > 0);
    for (const number of [4, 5]) logTurn(tracer, number);
    const path = await tracer.endTrace();
    expect(path).toBe(join(dir, "ses_1.json"));
    const { summary } = read("ses_1");
    expect(summary).toMatchObject({ status: "completed", totalGenerations: 5, totalToolCalls: 5 });
    expect(server.spans).toEqual([]);
  });

  test("that never answers: the crash fence holds as without it", async () => {
    const server = await startServer();
    server.behaviour = "hang";
    const tracing = createSessionTracing({ dir, exporter: new JsonExporter({ url: server.url }) });
    const tracer = tracing.tracer("ses_1");
    logTurn(tracer, 1);
    beginTurn(tracer, 2);
    await server.until(({ requests }) => requests.length > 0);
    beginTurn(tracer, 3);
    tracing.crash("why");
    expect(read("ses_1").summary).toMatchObject({ status: "crashed", error: "why", totalToolCalls: 3 });
    expect(server.spans).toEqual([]);
  });

  test("that refuses the connection", async () => {
    const server = await startServer();
    const { url } = server;
    await server.close();
    servers.length = 0;
    const processor = new CrashSafeSpanProcessor(new JsonExporter({ url, timeoutMillis: 1 }));
    const tracing = createSessionTracing({ dir, processors: [processor] });
    logTurn(tracing.tracer("ses_1"), 1);
    // Whether the flush fails depends on which batch was refused when. Lost spans are counted and reported.
    await tracing.shutdown().catch(() => {});
    expect(processor.stats()).toMatchObject({ failed: 4, exported: 0 });
    expect(read("ses_1").summary).toMatchObject({ status: "completed", totalGenerations: 1 });
    expect(tracing.stopped).toBe(true);
  });

  test("that is unavailable and recovers gets everything", async () => {
    const server = await startServer();
    server.behaviour = 503;
    const tracing = createSessionTracing({ dir, exporter: new ProtobufExporter({ url: server.url }) });
    const tracer = tracing.tracer("ses_1");
    logTurn(tracer, 1);
    beginTurn(tracer, 2);
    await server.until(({ requests }) => requests.length > 0);
    server.behaviour = "take";
    await tracing.shutdown();
    expect(server.spans.filter(isTurn)).toHaveLength(2);
    expect(server.spans).toHaveLength(8);
  });

  test("P10 a turn arrives when it ends, without a flush, a timer or an end of the session", async () => {
    const server = await startServer();
    const processor = new CrashSafeSpanProcessor(new JsonExporter({ url: server.url }), patient);
    const tracing = createSessionTracing({ dir, processors: [processor] });
    const tracer = tracing.tracer("ses_1");
    logTurn(tracer, 1);
    beginTurn(tracer, 2);
    await server.until(({ spans }) => spans.some(isTurn));
    expect(server.names.filter((name) => /^(chat|execute_tool look)/.test(name))).toHaveLength(2);
    expect((await readTrace(join(dir, "ses_1.json"))).trace.summary.status).toBe("running");
    tracer.endTurn();
    await server.until(({ spans }) => spans.filter(isTurn).length === 2);
    await tracing.shutdown();
  });
});
