/** A server: many sessions at once, few descriptors. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { Stage } from "../support/session-stage.js";
import { ended, worked } from "../support/span-lines.js";

const program = fileURLToPath(new URL("../programs/many-sessions.mjs", import.meta.url));
let directories: string[] = [];
afterEach(() => {
  for (const dir of directories) rmSync(dir, { recursive: true, force: true });
  directories = [];
});

function run(limit: number, sessions: number, spans: number) {
  const dir = mkdtempSync(join(tmpdir(), "many-sessions-"));
  directories.push(dir);
  const script = `ulimit -n ${limit}; exec "$0" "$@"`;
  const args = ["-c", script, process.execPath, program, dir, String(sessions), String(spans)];
  const outcome = JSON.parse(execFileSync("bash", args, { encoding: "utf8" })) as {
    mostDescriptors: number;
    reported: string[];
    recorded: number;
    dropped: number;
    faults: number;
  };
  const traces = readdirSync(dir).map(
    (name) => JSON.parse(readFileSync(join(dir, name), "utf8")) as TraceFile,
  );
  return { outcome, traces };
}

// A thousand sessions need some 3,000 disk syncs, which are slow on a busy disk.
describe.runIf(process.platform === "linux")("many sessions in one process", { timeout: 300_000 }, () => {
  test("P7 P8 a thousand sessions, round-robin, under a limit of 256 descriptors, have whole documents", () => {
    const { outcome, traces } = run(256, 1_000, 5);
    expect(outcome).toMatchObject({ recorded: 5_000, dropped: 0, faults: 0, reported: [] });
    // Three for each of 40 recently used sessions, and those of a Node process with its publishes and closes in
    // flight.
    expect(outcome.mostDescriptors).toBeLessThan(165);
    expect(traces).toHaveLength(1_000);
    for (const trace of traces) {
      expect(worked(trace).map(({ name }) => name)).toEqual([
        "work 0",
        "work 1",
        "work 2",
        "work 3",
        "work 4",
      ]);
      expect(trace.summary.status).toBe("completed");
    }
    console.info(`a thousand sessions: at most ${outcome.mostDescriptors} descriptors`);
  });

  test("P6 P8 a hundred sessions under a limit below the descriptors of recently used sessions lose no span", () => {
    const { outcome, traces } = run(100, 100, 5);
    expect(outcome).toMatchObject({ recorded: 500, dropped: 0 });
    expect(traces).toHaveLength(100);
    for (const trace of traces) expect(ended(trace)).toHaveLength(5);
  });
});

test("P7 idle sessions are finalized, and resume with the next span", async () => {
  const stage = new Stage();
  try {
    const server = stage.actor({ sessionIdleMillis: 60_000 });
    const ids = Array.from({ length: 100 }, (_, i) => `ses_${i}`);
    const silent = ids.slice(0, 90);
    for (const id of ids) server.record(id, 1);
    server.clock.pass(40_000);
    for (const id of ids.slice(90)) server.record(id, 1);
    const waiting = server.start("ses_95");
    server.clock.pass(30_000);
    const owners = () => stage.files.filter((name) => name.endsWith(".open")).length;
    await expect.poll(owners, { timeout: 20_000 }).toBe(10);
    for (const id of silent) expect(stage.document(id).summary.status).toBe("completed");

    server.clock.pass(60_000);
    // A session with an open span is not idle.
    await expect.poll(owners, { timeout: 20_000 }).toBe(1);
    server.end(waiting);
    for (const id of ids) server.record(id, 1);
    await server.processor.forceFlush();
    for (const id of ids) expect(stage.document(id).summary.idle).toBe(true);
    await server.processor.shutdown();
    for (const id of silent) expect(ended(stage.document(id))).toHaveLength(2);
    expect(ended(stage.document("ses_95"))).toHaveLength(4);
    for (const id of ids) expect(stage.document(id).summary.status).toBe("completed");
    expect(stage.files).toHaveLength(100);
  } finally {
    stage.remove();
  }
});
