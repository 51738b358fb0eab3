/** What a full retry queue costs, and what it does not. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Tracer } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { FaultyFileSystem } from "../support/faulty-file-system.js";

let dir: string;
let fileSystem: FaultyFileSystem;
let exporter: CrashSafeFileSpanExporter;
let tracer: Tracer;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "full-queue-"));
  fileSystem = new FaultyFileSystem();
  exporter = new CrashSafeFileSpanExporter({ dir }, { fileSystem });
  // The SDK calls the processors in turn: the second one brings each end again.
  const spanProcessors = [new CrashSafeSpanProcessor(exporter), new CrashSafeSpanProcessor(exporter)];
  tracer = new BasicTracerProvider({ spanProcessors }).getTracer("full-queue");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const large = "x".repeat(9_000_000);
const attributes = { "session.id": "s" };
const names = () => {
  const { spans }: TraceFile = JSON.parse(readFileSync(join(dir, "s.json"), "utf8"));
  return spans.filter(({ kind }) => kind !== "session").map(({ name }) => name);
};

test("P6 a span that found the queue full is recorded when it comes again through a second processor", async () => {
  tracer.startSpan("first", { attributes }).end();
  fileSystem.fail("write", "ENOSPC");
  for (let n = 0; n < 3; n++) tracer.startSpan(`large ${n}`, { attributes: { ...attributes, large } }).end();
  const refused = tracer.startSpan("refused", { attributes });
  refused.setAttribute("large", large);
  refused.end();
  expect(exporter.stats().dropped).toBeGreaterThan(0);
  fileSystem.clear();
  exporter.recordEnd(refused as never);
  await exporter.forceFlush();
  expect(names().filter((name) => name === "refused")).toHaveLength(1);
  await exporter.shutdown();
});

test("P6 starts that found the queue full are counted", async () => {
  tracer.startSpan("first", { attributes }).end();
  fileSystem.fail("write", "ENOSPC");
  const open = [0, 1, 2, 3, 4].map((n) =>
    tracer.startSpan(`open ${n}`, { attributes: { ...attributes, large } }),
  );
  expect(exporter.stats().droppedStarts).toBeGreaterThan(0);
  fileSystem.clear();
  await exporter.forceFlush();
  for (const span of open) span.end();
  await exporter.shutdown();
  expect(names()).toHaveLength(6);
});

test("P6 all sessions of a process keep at most 64 MB in memory, and what was kept is written later", async () => {
  const sessions = Array.from({ length: 100 }, (_, n) => `s${n}`);
  for (const id of sessions) tracer.startSpan("first", { attributes: { "session.id": id } }).end();
  fileSystem.fail("write", "ENOSPC");
  const megabyte = "x".repeat(1_000_000);
  for (const id of sessions)
    tracer
      .startSpan("late", { attributes: { "session.id": id } })
      .setAttribute("large", megabyte)
      .end();
  const { queuedBytes, dropped } = exporter.stats();
  expect(queuedBytes).toBeGreaterThan(60_000_000);
  expect(queuedBytes).toBeLessThan(65_000_000);
  expect(dropped).toBeGreaterThan(30);
  fileSystem.clear();
  await exporter.forceFlush();
  expect(exporter.stats().queuedBytes).toBe(0);
  await exporter.shutdown();
  const documents = sessions.map(
    (id) => JSON.parse(readFileSync(join(dir, `${id}.json`), "utf8")) as TraceFile,
  );
  const late = documents.filter(({ spans }) =>
    spans.some(({ name, interrupted }) => name === "late" && !interrupted),
  );
  // Each of the two processors counts the span that it brings.
  expect(late.length).toBe(100 - dropped / 2);
});
