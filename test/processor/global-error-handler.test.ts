/** The SDK's global error handler: a host that has set one gets each failure, and `diag` has it once. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diag } from "@opentelemetry/api";
import { loggingErrorHandler, setGlobalErrorHandler } from "@opentelemetry/core";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { FaultyFileSystem } from "../support/faulty-file-system.js";
import { endSpans, failure, listenToDiag, ScriptedExporter } from "../support/span-processor-stage.js";

let dir: string;
let logged: string[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "error-handler-"));
  logged = listenToDiag();
});
afterEach(() => {
  setGlobalErrorHandler(loggingErrorHandler());
  diag.disable();
  rmSync(dir, { recursive: true, force: true });
});

/** A host that sets a handler. */
function handled(): Error[] {
  const errors: Error[] = [];
  setGlobalErrorHandler((error) => void errors.push(error as Error));
  return errors;
}

/** A backend refuses a batch. */
async function failToExport(): Promise<void> {
  const exporter = new ScriptedExporter((call) => call.answer(failure("refused")));
  const processor = new CrashSafeSpanProcessor(exporter, { maxExportBatchSize: 1 });
  endSpans(processor, 1);
  await processor.forceFlush().catch(() => {});
  await processor.shutdown().catch(() => {});
}

test("P10 a failed export reaches the handler that the host has set, with its cause", async () => {
  const errors = handled();
  await failToExport();
  expect(errors).toHaveLength(1);
  const [error] = errors as [Error];
  expect(error).toBeInstanceOf(Error);
  expect(error.message).toMatch(/^CrashSafeSpanProcessor: 1 span was not exported/);
  expect(error.cause).toBeInstanceOf(Error);
  expect(logged.filter((line) => line.includes("not exported"))).toHaveLength(1);
});

test("P10 without a handler of the host, the default one logs nothing a second time", async () => {
  await failToExport();
  expect(logged.filter((line) => line.includes("not exported"))).toHaveLength(1);
  expect(logged.filter((line) => line.includes("CrashSafeFileFailure"))).toEqual([]);
});

test.each(["ours", "stock"] as const)(
  "P6 P10 a fault of the disk reaches the handler once (processor: %s)",
  async (by) => {
    const errors = handled();
    const fileSystem = new FaultyFileSystem({ nth: 1, times: "forever", code: "ENOSPC" });
    const exporter = new CrashSafeFileSpanExporter({ dir }, { fileSystem });
    const processor =
      by === "ours" ? new CrashSafeSpanProcessor(exporter) : new SimpleSpanProcessor(exporter);
    const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
    for (let n = 0; n < 5; n++) tracer.startSpan("work", { attributes: { "session.id": "s" } }).end();
    await exporter.forceFlush().catch(() => {});
    expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining("ENOSPC")]);
    fileSystem.clear();
    await exporter.shutdown();
  },
);

test("P6 a handler that throws harms nothing", async () => {
  setGlobalErrorHandler(() => {
    throw new Error("the handler fails");
  });
  await expect(failToExport()).resolves.toBeUndefined();
});
