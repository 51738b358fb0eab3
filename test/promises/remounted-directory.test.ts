/**
 * A mount that dies under a session, and comes back: at once, or while nothing is mounted and names lead into the directory
 * below. No span of a process that lives is lost, whichever call is the first on the new mount.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { RemountedFileSystem } from "../support/remounted-file-system.js";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "remounted-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function mounted(calls: number) {
  const [point, below] = [join(root, `mount-${calls}`), join(root, `below-${calls}`)];
  for (const dir of [point, below]) mkdirSync(dir);
  const fileSystem = new RemountedFileSystem(point, below);
  const dir = join(point, "traces");
  const exporter = new CrashSafeFileSpanExporter({ dir }, { fileSystem });
  const processor = new CrashSafeSpanProcessor(exporter);
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("remounted");
  return { fileSystem, below, dir, exporter, processor, tracer };
}

/** Names of the spans of a document. */
function namesIn(path: string): string[] {
  const { spans }: TraceFile = JSON.parse(readFileSync(path, "utf8"));
  return spans
    .filter(({ kind }) => kind !== "session")
    .map(({ name }) => name)
    .sort();
}

/** A session with a span on each side of the gap. Returns the names in its document, and whether the mount came back in time. */
async function across(calls: number, openBefore: boolean) {
  const { fileSystem, dir, exporter, processor, tracer } = mounted(calls);
  const start = (name: string) => tracer.startSpan(name, { attributes: { "session.id": "s" } });
  start("before").end();
  await processor.forceFlush();
  const open = openBefore ? start("open") : undefined;
  fileSystem.die();
  start("without a mount").end();
  await expect(processor.forceFlush()).rejects.toThrow(/ENOTCONN/);
  fileSystem.remountAfter(calls);
  start("in the gap").end();
  await processor.forceFlush().catch(() => {});
  const cameBack = fileSystem.isMounted;
  fileSystem.remountAfter(0);
  start("after").end();
  open?.end();
  await processor.shutdown();
  const { summary }: TraceFile = JSON.parse(readFileSync(join(dir, "s.json"), "utf8"));
  return {
    names: namesIn(join(dir, "s.json")),
    status: summary.status,
    cameBack,
    dropped: exporter.stats().dropped,
  };
}

test.each([false, true])(
  "P1 no span is lost, whichever call finds the new mount first (a span is open: %s)",
  async (open) => {
    const wanted = ["before", "without a mount", "in the gap", "after", ...(open ? ["open"] : [])].sort();
    for (let calls = 0, cameBack = true; cameBack; calls++) {
      const seen = await across(calls, open);
      expect({ calls, names: seen.names, dropped: seen.dropped }).toEqual({
        calls,
        names: wanted,
        dropped: 0,
      });
      expect(seen.status).toBe("completed");
      cameBack = seen.cameBack;
    }
  },
);

test("P1 spans without a session are in the document of their trace, whichever call finds the new mount first", async () => {
  for (let calls = 0, cameBack = true; cameBack; calls++) {
    const { fileSystem, dir, exporter, processor, tracer } = mounted(calls);
    const request = tracer.startSpan("request");
    const inRequest = trace.setSpan(ROOT_CONTEXT, request);
    tracer.startSpan("before", {}, inRequest).end();
    await processor.forceFlush();
    fileSystem.die();
    tracer.startSpan("without a mount", {}, inRequest).end();
    fileSystem.remountAfter(calls);
    tracer.startSpan("in the gap", {}, inRequest).end();
    await processor.forceFlush().catch(() => {});
    cameBack = fileSystem.isMounted;
    fileSystem.remountAfter(0);
    tracer.startSpan("after", {}, inRequest).end();
    request.end();
    await processor.shutdown();
    const name = readdirSync(dir).find((file) => file.endsWith(".json"));
    const names = namesIn(join(dir, name ?? "none.json"));
    const wanted = ["after", "before", "in the gap", "request", "without a mount"];
    expect({ calls, names, dropped: exporter.stats().dropped }).toEqual({ calls, names: wanted, dropped: 0 });
  }
});

test("P1 a mount that stays away costs what it held: later spans have a document in the directory below", async () => {
  const { fileSystem, below, processor, tracer } = mounted(Number.POSITIVE_INFINITY);
  const start = (name: string, id: string) => tracer.startSpan(name, { attributes: { "session.id": id } });
  for (const id of ["a", "b"]) start("before", id).end();
  // An open span of a trace without a session is in the log of such spans.
  const request = tracer.startSpan("request");
  await processor.forceFlush();
  fileSystem.die();
  start("without a mount", "a").end();
  fileSystem.remountAfter(Number.POSITIVE_INFINITY);
  start("after", "b").end();
  tracer.startSpan("in the request", {}, trace.setSpan(ROOT_CONTEXT, request)).end();
  expect(readdirSync(join(below, "traces")).filter((name) => name.startsWith("unnamed"))).toHaveLength(1);
  request.end();
  await processor.shutdown();
  expect(namesIn(join(below, "traces", "a.json"))).toEqual(["without a mount"]);
  expect(namesIn(join(below, "traces", "b.json"))).toEqual(["after"]);
});
