/**
 * Several processes write to one session while some are killed, some are stopped, and some report live peer writers
 * as dead.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { DocumentWatch } from "../support/document-watch.js";
import { randomOf, runSeed, trials } from "../support/trials.js";
import { type Acknowledged, TwinProcess } from "../support/twin-process.js";

const dir = mkdtempSync(join(tmpdir(), "twins-"));
const sessionId = "ses_twins";
const processes = 5;
const lines = trials(5_000, 50_000);
/** Two runs at least: the second resumes what the first ended. */
const perRun = Math.min(2_500, lines / 2);

let twins: TwinProcess[] = [];
afterEach(async () => {
  for (const twin of twins) twin.kill();
  await Promise.all(twins.map((twin) => twin.gone));
  twins = [];
  rmSync(dir, { recursive: true, force: true });
});

/** Kills, stops and continues processes as acknowledged lines arrive, until there are enough lines. */
async function torment(acknowledged: Acknowledged, seed: number, lies: number): Promise<void> {
  const random = randomOf(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const target = acknowledged.ended.size + perRun;
  let next = acknowledged.ended.size + 50;
  let enough = () => {};
  const done = new Promise<void>((resolve) => {
    enough = resolve;
  });
  let running: TwinProcess[] = [];
  const begin = () => {
    const options = { dir, sessionId, seed: Math.floor(random() * 0x7fff_ffff), lies };
    const twin = new TwinProcess(options, acknowledged, onAcknowledged);
    twins.push(twin);
    running.push(twin);
    // A process that breaks ends the run: its errors fail the test below.
    void twin.gone.then(() => twin.errors === "" || enough());
  };
  const act = () => {
    const stopped = running.filter((twin) => twin.isStopped);
    const awake = running.filter((twin) => !twin.isStopped);
    const chance = random();
    if (chance < 0.35) {
      const victim = pick(running.length - stopped.length > 2 ? running : stopped);
      // Without another process that has the session, the session would end here, and begin again.
      if (!running.some((twin) => twin !== victim && twin.hasJoined)) return;
      victim.kill();
      running = running.filter((twin) => twin !== victim);
      begin();
    } else if (chance < 0.7 && awake.length > 2) {
      pick(awake).stop();
    } else if (stopped.length > 0) {
      pick(stopped).resume();
    }
  };
  function onAcknowledged() {
    if (acknowledged.ended.size < next) return;
    next += 10 + Math.floor(random() * 80);
    act();
    if (acknowledged.ended.size >= target) {
      next = Number.POSITIVE_INFINITY;
      enough();
    }
  }
  for (let i = 0; i < processes; i++) begin();
  await done;
  for (const twin of running) if (twin.errors === "" && twin.isStopped) twin.resume();
  await Promise.all(running.map(({ joined }) => joined));
  for (const twin of running) if (twin.errors === "") twin.end();
  await Promise.all(twins.map((twin) => twin.gone));
  for (const twin of twins) expect(twin.errors).toBe("");
  expect(running.every((twin) => twin.sentBye)).toBe(true);
}

async function settle(): Promise<void> {
  for (let round = 0; ; round++) {
    const { sessions, failures, running } = await recoverTraces(dir);
    expect(failures).toEqual([]);
    expect(running).toBe(0);
    if (sessions.length === 0) return;
    expect(round).toBeLessThan(5);
  }
}

test(`P7 five processes on one session, killed, stopped and wrongly reported as dead, keep every span (seed ${runSeed})`, async () => {
  const acknowledged: Acknowledged = { started: new Set(), ended: new Set() };
  const watch = new DocumentWatch(join(dir, `${sessionId}.json`));
  for (let run = 0; run * perRun < lines; run++) {
    // Every other run makes no wrong report, to see the correct case alone.
    await torment(acknowledged, runSeed + run, run % 2 === 0 ? 0.2 : 0);
    await settle();
    twins = [];
  }
  await watch.end();

  const trace = JSON.parse(readFileSync(join(dir, `${sessionId}.json`), "utf8")) as TraceFile;
  const ended = new Set(trace.spans.filter((span) => !span.interrupted).map(({ spanId }) => spanId));
  const all = new Set(trace.spans.map(({ spanId }) => spanId));
  const lost = [...acknowledged.ended].filter((spanId) => !ended.has(spanId));
  const lostStarts = [...acknowledged.started].filter((spanId) => !all.has(spanId));
  expect({
    acknowledged: acknowledged.ended.size >= lines,
    lost: lost.length,
    lostStarts: lostStarts.length,
    twice: trace.spans.length - all.size,
    open: trace.spans.filter((span) => span.endTime === undefined).length,
    invalid: watch.invalid,
    statuses: watch.statuses,
    status: trace.summary.status,
    files: readdirSync(dir),
  }).toEqual({
    acknowledged: true,
    lost: 0,
    lostStarts: 0,
    twice: 0,
    open: 0,
    invalid: [],
    // While a process writes, the session is held. The second run resumes the session that the first run ended.
    statuses: Array.from({ length: Math.ceil(lines / perRun) }, () => ["held", "completed"]).flat(),
    status: "completed",
    files: [`${sessionId}.json`],
  });
  console.info(`twins: ${acknowledged.ended.size} lines, ${watch.looks} looks`);
}, 300_000);
