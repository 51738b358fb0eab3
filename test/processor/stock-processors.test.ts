/**
 * The exporter under the SDK's own processors keeps what reaches it, as under the processor of this package.
 *
 * The processor over other exporters has tests of its own: over `InMemorySpanExporter` and a burst of 10,000 in
 * `span-processor.test.ts` and `span-processor-stock.test.ts`, over an exporter that never calls back in
 * `span-processor-lifecycle.test.ts` (P5 "does not answer", "never answers") and `interleavings.test.ts`.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { context, trace } from "@opentelemetry/api";
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  SimpleSpanProcessor,
  type SpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { occurrences, Stage } from "../support/session-stage.js";

let stage: Stage;
let exporter: CrashSafeFileSpanExporter;
beforeEach(() => {
  stage = new Stage();
  exporter = new CrashSafeFileSpanExporter({ dir: stage.dir });
});
afterEach(async () => {
  await exporter.shutdown();
  stage.remove();
});

const stock: readonly [string, () => SpanProcessor][] = [
  ["SimpleSpanProcessor", () => new SimpleSpanProcessor(exporter)],
  ["BatchSpanProcessor", () => new BatchSpanProcessor(exporter)],
];
const providerOver = (processor: SpanProcessor) => new BasicTracerProvider({ spanProcessors: [processor] });
const inSession = { attributes: { "session.id": "s" } };

/** A root with a session id, and children without one. Returns their ids, in order of their ends. */
function runTrace(provider: BasicTracerProvider, children: number): string[] {
  const tracer = provider.getTracer("test");
  const root = tracer.startSpan("root", inSession);
  const within = trace.setSpan(context.active(), root);
  const ids = Array.from({ length: children }, () => {
    const child = tracer.startSpan("child", {}, within);
    child.end();
    return child.spanContext().spanId;
  });
  root.end();
  return [...ids, root.spanContext().spanId];
}

describe.each(stock)("P10 the exporter under %s", (_, processorOver) => {
  it("P10 P5 writes every span to the document when both are flushed", async () => {
    const provider = providerOver(processorOver());
    const tracer = provider.getTracer("test");
    for (let i = 0; i < 300; i++) tracer.startSpan("work", inSession).end();
    await provider.forceFlush();
    await exporter.forceFlush();
    const document = stage.document("s");
    expect(document.summary.idle).toBe(true);
    expect(occurrences(document).size).toBe(300);
    expect(exporter.stats()).toMatchObject({ recorded: 300, dropped: 0, faults: 0 });
    await provider.shutdown();
  });

  it("P10 P5 ends the session with every span when the provider shuts down", async () => {
    const provider = providerOver(processorOver());
    const tracer = provider.getTracer("test");
    for (let i = 0; i < 300; i++) tracer.startSpan("work", inSession).end();
    await provider.forceFlush();
    await provider.shutdown();
    expect(stage.document("s").summary.status).toBe("completed");
    expect(occurrences(stage.document("s")).size).toBe(300);
    expect(stage.files).toEqual(["s.json"]);
  });

  it("P3 fences what has reached it", async () => {
    const provider = providerOver(processorOver());
    const tracer = provider.getTracer("test");
    for (let i = 0; i < 10; i++) tracer.startSpan("work", inSession).end();
    await provider.forceFlush();
    const flushed = exporter.forceFlush();
    exporter.crash("boom");
    const fenced = stage.bytes("s");
    tracer.startSpan("late", inSession).end();
    await flushed;
    await provider.forceFlush().catch(() => {});
    await provider.shutdown();
    expect(stage.bytes("s")).toBe(fenced);
    expect(stage.document("s").summary).toMatchObject({ status: "crashed", error: "boom" });
    expect(occurrences(stage.document("s")).size).toBe(10);
    expect(exporter.stats().dropped).toBe(1);
  });

  it("P7 loses no span when only the root has a session id", async () => {
    const provider = providerOver(processorOver());
    const ids = runTrace(provider, 5);
    await provider.forceFlush();
    await exporter.forceFlush();
    const documents = stage.files.filter((name) => name.endsWith(".json"));
    const found = documents.flatMap((name) => [...occurrences(stage.document(name.slice(0, -5))).keys()]);
    expect(found.sort()).toEqual(ids.sort());
    await provider.shutdown();
  });
});

describe("P10 a session id that only the root has", () => {
  it("P10 applies to its children in the same batch", async () => {
    const provider = providerOver(new BatchSpanProcessor(exporter));
    const ids = runTrace(provider, 5);
    await provider.forceFlush();
    await exporter.forceFlush();
    expect([...occurrences(stage.document("s")).keys()].sort()).toEqual(ids.sort());
    await provider.shutdown();
    expect(stage.files).toEqual(["s.json"]);
  });

  it("P10 applies to its children that SimpleSpanProcessor exports before the root", async () => {
    const provider = providerOver(new SimpleSpanProcessor(exporter));
    const ids = runTrace(provider, 2);
    await provider.forceFlush();
    await provider.shutdown();
    expect([...occurrences(stage.document("s")).keys()].sort()).toEqual(ids.sort());
    expect(stage.files).toEqual(["s.json"]);
  });
});

describe("P2 a process that ends without shutdown", () => {
  const program = fileURLToPath(new URL("../programs/stock-exit.mjs", import.meta.url));
  it.each(["simple", "batch"])("P2 %s: the spans that reached the exporter are recovered", async (which) => {
    const { status } = spawnSync(process.execPath, [program, stage.dir, which], { timeout: 30_000 });
    expect(status).toBe(0);
    const { failures } = await recoverTraces(stage.dir);
    expect(failures).toEqual([]);
    const document = stage.document("s");
    expect(document.summary.status).toBe("completed");
    const found = occurrences(document);
    expect([...found.values()].every((spans) => spans.length === 1 && !spans[0]?.interrupted)).toBe(true);
    expect(found.size).toBe(100);
    expect(stage.files).toEqual(["s.json"]);
  });
});
