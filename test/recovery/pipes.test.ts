/**
 * Named pipes in the places of the library's files: they have no writer, so an open for reading would block for
 * ever.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { replayTraces } from "../../src/replay/replay-traces.js";
import { spanOf } from "../support/projection-span.js";
import { layOut, recordSession } from "../support/recorded-session.js";

const session = await recordSession();
let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "pipes-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

const path = () => join(dir, `${session.name}.json`);
const plant = (suffix: string) => execFileSync("mkfifo", [`${path()}${suffix}`]);
const idsOf = () =>
  JSON.parse(fs.readFileSync(path(), "utf8")).spans.map(({ spanId }: { spanId: string }) => spanId);

// In the thread pool the test would time out. On this thread it would hang the whole run, so the tests have this
// order.
describe.skipIf(process.platform === "win32")("P6 a named pipe", () => {
  it("in the place of a document is read as no document, and recovery replaces it", async () => {
    plant("");
    await expect(readTrace(path())).rejects.toMatchObject({ code: "NOT_A_TRACE" });
    expect((await listTraces(dir)).traces).toEqual([]);
    layOut(dir, session, { open: session.open, live: session.live });
    expect((await recoverTraces(dir)).failures).toEqual([]);
    expect(idsOf()).toEqual(expect.arrayContaining(session.lines.map(({ span }) => span.spanId)));
  });

  it("in the place of a side file blocks neither reading nor recovery", async () => {
    layOut(dir, session, { open: session.open });
    plant(`.${session.token}.live`);
    expect((await readTrace(path())).trace.spans.length).toBeGreaterThan(session.lines.length);
    expect((await recoverTraces(dir)).failures).toEqual([]);
    expect(fs.readdirSync(dir)).toEqual([`${session.name}.json`]);
  });

  it("in the place of a replay checkpoint counts as none", async () => {
    layOut(dir, session, { open: session.open, live: session.live });
    await recoverTraces(dir);
    plant(".replayed");
    const exporter = {
      export: (_: unknown, done: (r: { code: number }) => void) => done({ code: 0 }),
      async shutdown() {},
    };
    expect((await replayTraces(dir, exporter)).failures).toEqual([]);
    expect(fs.statSync(`${path()}.replayed`).isFile()).toBe(true);
  });

  it("in the place of a document is replaced by the session that resumes there", async () => {
    plant("");
    const exporter = new CrashSafeFileSpanExporter({ dir });
    exporter.recordEnd(spanOf({ attributes: { "session.id": session.id } }));
    await exporter.shutdown();
    expect(idsOf()).toHaveLength(2);
  });
});
