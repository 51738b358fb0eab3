/** Several exporters on one directory in one process share a session's writer. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { worked } from "../support/span-lines.js";

const sessionId = "ses_shared";
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "shared-directory-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const document = (id = sessionId): TraceFile => JSON.parse(readFileSync(join(dir, `${id}.json`), "utf8"));
const openDocuments = () => readdirSync(dir).filter((name) => name.endsWith(".open"));

function pipeline(path = dir) {
  const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir: path }));
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
  const start = (id = sessionId) => tracer.startSpan("work", { attributes: { "session.id": id } });
  return { processor, start };
}

describe("exporters on one directory", () => {
  test("P7 share the writer of a session", async () => {
    const [first, second] = [pipeline(), pipeline(`${dir}/../${dir.split("/").at(-1)}/`)];
    for (const { start } of [first, second, first, second]) start().end();
    expect(openDocuments()).toHaveLength(1);
    await Promise.all([first.processor.shutdown(), second.processor.shutdown()]);
    expect(worked(document())).toHaveLength(4);
    expect(readdirSync(dir)).toEqual([`${sessionId}.json`]);
  });

  test("P7 write a span that comes through two processors once, and count it once", async () => {
    const processors = [pipeline().processor, pipeline().processor];
    const tracer = new BasicTracerProvider({ spanProcessors: processors }).getTracer("test");
    const attributes = {
      "session.id": sessionId,
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": "ls",
    };
    tracer.startSpan("execute_tool ls", { attributes }).end();
    const open = tracer.startSpan("execute_tool ls", { attributes });
    await processors[0]?.forceFlush();
    expect(worked(document())).toHaveLength(2);
    open.end();
    for (const processor of processors) await processor.shutdown();
    expect(worked(document())).toHaveLength(2);
    expect(document().summary.totalToolCalls).toBe(2);
  });

  test("P7 end without ending the session of another exporter", async () => {
    const [first, second] = [pipeline(), pipeline()];
    const running = second.start();
    first.start().end();
    await first.processor.shutdown();
    expect(document().summary.status).toBe("running");
    expect(worked(document()).map((span) => span.endTime !== undefined)).toEqual([true, false]);
    running.end();
    second.start().end();
    await second.processor.shutdown();
    expect(document().summary.status).toBe("completed");
    expect(worked(document()).filter((span) => span.endTime !== undefined)).toHaveLength(3);
  });

  test("P7 resume the session when they join after the last exporter has left", async () => {
    const first = pipeline();
    first.start().end();
    await first.processor.shutdown();
    const second = pipeline();
    second.start().end();
    await second.processor.shutdown();
    expect(worked(document())).toHaveLength(2);
    expect(document().summary.status).toBe("completed");
  });

  test("P7 share no file for ids that would share a file name", async () => {
    const { processor, start } = pipeline();
    for (const id of ["a/b", "a_b", "a.b", "a:b"]) {
      start(id).end();
      start(id).end();
    }
    await processor.shutdown();
    const traces = readdirSync(dir).map(
      (name) => JSON.parse(readFileSync(join(dir, name), "utf8")) as TraceFile,
    );
    expect(traces.map(({ id }) => id).sort()).toEqual(["a.b", "a/b", "a:b", "a_b"]);
    for (const trace of traces) expect(worked(trace)).toHaveLength(2);
  });
});
