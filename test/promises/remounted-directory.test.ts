/**
 * A mount that dies under a session, and comes back: at once, or while nothing is mounted and names lead into the directory
 * below. No span of a process that lives is lost, whichever call is the first on the new mount.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

/** A session with a span on each side of the gap. Returns the names in its document, and whether the mount came back in time. */
async function across(calls: number, openBefore: boolean) {
  const [point, below] = [join(root, `mount-${calls}`), join(root, `below-${calls}`)];
  for (const dir of [point, below]) mkdirSync(dir);
  const fileSystem = new RemountedFileSystem(point, below);
  const dir = join(point, "traces");
  const exporter = new CrashSafeFileSpanExporter({ dir }, { fileSystem });
  const processor = new CrashSafeSpanProcessor(exporter);
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("remounted");
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
  const { spans, summary }: TraceFile = JSON.parse(readFileSync(join(dir, "s.json"), "utf8"));
  const names = spans.filter(({ kind }) => kind !== "session").map(({ name }) => name);
  return { names, summary, cameBack, dropped: exporter.stats().dropped, files: readdirSync(dir) };
}

test.each([false, true])(
  "P1 no span is lost, whichever call finds the new mount first (a span is open: %s)",
  async (open) => {
    const wanted = ["before", "without a mount", "in the gap", "after", ...(open ? ["open"] : [])].sort();
    for (let calls = 0, cameBack = true; cameBack; calls++) {
      const seen = await across(calls, open);
      expect({ calls, names: seen.names.sort(), dropped: seen.dropped }).toEqual({
        calls,
        names: wanted,
        dropped: 0,
      });
      expect(seen.summary.status).toBe("completed");
      cameBack = seen.cameBack;
    }
  },
);
