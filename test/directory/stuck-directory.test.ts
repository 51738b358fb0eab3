/** A directory whose asynchronous calls do not return, as on a mount that hangs: the others of the process do not notice. */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { ended } from "../support/span-lines.js";

const calls = nodeFileSystem.async;
const { fdatasync } = calls;
let root: string;
/** The paths of the syncs that do not return. */
let held: string[];
let release: () => void;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "stuck-directory-"));
  held = [];
  const free = new Promise<void>((resolve) => {
    release = resolve;
  });
  let isFree = false;
  void free.then(() => {
    isFree = true;
  });
  calls.fdatasync = async (fd) => {
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    if (path.startsWith(`${root}/stuck/`) && !isFree) {
      held.push(path);
      await free;
    }
    return fdatasync(fd);
  };
});
afterEach(() => {
  calls.fdatasync = fdatasync;
  rmSync(root, { recursive: true, force: true });
});

function pipeline(name: string) {
  const exporter = new CrashSafeFileSpanExporter({ dir: `${root}/${name}` });
  const processor = new CrashSafeSpanProcessor(exporter);
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
  const record = (session: string) =>
    tracer.startSpan("work", { attributes: { "session.id": session } }).end();
  const document = (session: string): TraceFile =>
    JSON.parse(readFileSync(`${root}/${name}/${session}.json`, "utf8"));
  return { exporter, processor, record, document };
}

const untilHeld = async (count: number): Promise<void> => {
  while (held.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
};

const needsProc = process.platform === "linux" ? test : test.skip;

needsProc(
  "P6 P13 a directory that hangs holds one publish, and others publish, flush and shut down",
  async () => {
    const [stuck, other] = [pipeline("stuck"), pipeline("other")];
    for (const session of ["a", "b", "c"]) stuck.record(session);
    await untilHeld(1);
    for (const session of ["a", "b", "c"]) other.record(session);
    await other.processor.forceFlush();
    await other.exporter.endSession("a");
    expect(other.document("a").summary.status).toBe("completed");
    await other.processor.shutdown();
    expect(readdirSync(`${root}/other`).sort()).toEqual(["a.json", "b.json", "c.json"]);
    expect(held).toHaveLength(1);
    release();
    await stuck.processor.shutdown();
    expect(readdirSync(`${root}/stuck`).sort()).toEqual(["a.json", "b.json", "c.json"]);
  },
);

needsProc("P6 P13 final documents that hang hold two places, which others get after a moment", async () => {
  const [stuck, other] = [pipeline("stuck"), pipeline("other")];
  const sessions = ["a", "b", "c", "d"];
  for (const session of sessions) stuck.record(session);
  const ends = sessions.map((session) => stuck.exporter.endSession(session));
  await untilHeld(2);
  for (const session of sessions) other.record(session);
  await other.processor.shutdown();
  expect(readdirSync(`${root}/other`)).toHaveLength(sessions.length);
  expect(held).toHaveLength(2);
  release();
  await Promise.all(ends);
  await stuck.processor.shutdown();
  for (const session of sessions) expect(ended(stuck.document(session))).toHaveLength(1);
});
