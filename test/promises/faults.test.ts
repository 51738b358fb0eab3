/**
 * Every file-system call of a session's life fails once: recorded spans are kept, published documents stay whole,
 * and the host sees nothing but the reports.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { systemClock } from "../../src/platform/clock.js";
import { type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { FaultScenario, sessionId } from "../support/fault-scenario.js";
import { type Fault, FaultyFileSystem, faultCodes } from "../support/faulty-file-system.js";
import { MortalLiveness } from "../support/mortal-liveness.js";

vi.setConfig({ testTimeout: 300_000 });

const base = fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir();
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Recovers with owners declared dead. No side file may remain in the directory afterwards. Returns whether a document does:
 * of a session that died before its first record nothing is kept.
 */
async function recover(dir: string, liveness: MortalLiveness, fileSystem: FileSystem = nodeFileSystem) {
  liveness.killAll();
  const report = await recoverDirectory({ fileSystem, liveness, clock: systemClock }, dir);
  expect(report.failures).toEqual([]);
  const left = fs.readdirSync(dir);
  expect([[], [`${sessionId}.json`]]).toContainEqual(left);
  return left.length > 0;
}

/** How a life continues apart from its fault. */
interface Life {
  readonly durability: "process" | "each";
  /** The life continues after the fault has passed, and ends normally. */
  readonly isFenced: boolean;
}

/** One life with one fault. Returns whether the fault was met. */
async function liveWith(fault: Fault, { durability, isFenced }: Life): Promise<boolean> {
  const root = fs.mkdtempSync(join(base, "faults-"));
  const [dir, copy] = [`${root}/traces`, `${root}/copy`];
  const fileSystem = new FaultyFileSystem(fault);
  const liveness = new MortalLiveness();
  try {
    const scenario = new FaultScenario(dir, fileSystem, liveness, { durability });
    await scenario.live(isFenced);
    fileSystem.clear();
    const { accepted, running } = scenario;
    const secured = new Set(scenario.secured);
    if (fs.existsSync(dir)) fs.cpSync(dir, copy, { recursive: true });

    // The fault passes, and the process continues.
    await scenario.retry();
    const after = scenario.document();
    expect([...after.names].sort()).toEqual([...accepted, ...running].sort());
    const status = isFenced ? { status: "crashed", error: "fenced" } : { status: "running" };
    expect(after.trace.summary).toMatchObject(status);
    await scenario.exporter.shutdown();
    expect(scenario.document().trace.summary.status).toBe(isFenced ? "crashed" : "completed");
    expect(scenario.clock.pending).toBe(0);
    for (let turns = 0; turns < 1_000 && fileSystem.descriptors.size > 0; turns++) await turn();
    expect(fileSystem.descriptors, "descriptors left open").toEqual(new Set());
    expect(await recover(dir, liveness)).toBe(true);
    expect([...scenario.document().names].sort()).toEqual([...after.names].sort());

    // The process dies with the fault, and every acknowledged span is on disk.
    if (!fs.existsSync(copy)) {
      expect(secured.size).toBe(0);
      return true;
    }
    const isHeld = fs.readdirSync(copy).length > 0 && (await recover(copy, liveness));
    const found = isHeld ? scenario.document(`${copy}/${sessionId}.json`) : undefined;
    // A crash fence retries what waited. Without a fence, a last record that met the fault dies with the process.
    const isOver = fault.times === "once" && isFenced;
    const want = isOver ? accepted : secured;
    for (const name of want) expect(found?.names, "after a death").toContain(name);
    if (isOver) expect(found?.trace.summary.status).toBe("crashed");
    return fileSystem.fired > 0;
  } finally {
    fileSystem.closeAll();
    fs.rmSync(root, { recursive: true, force: true });
  }
}

async function failEach(template: Omit<Fault, "nth">, life: Life): Promise<number> {
  for (let nth = 1; ; nth++) {
    const fault = { ...template, nth };
    try {
      if (!(await liveWith(fault, life))) return nth - 1;
    } catch (error) {
      throw new Error(`${JSON.stringify(fault)}: ${(error as Error).message}`, { cause: error });
    }
  }
}

const fenced: Life = { durability: "process", isFenced: true };

describe("P6 faults", () => {
  for (const times of ["once", "forever"] as const) {
    for (const code of faultCodes) {
      it(`P6 ${code} ${times} at the Nth call loses no recorded span`, async () => {
        expect(await failEach({ times, code }, fenced)).toBeGreaterThan(100);
      });
    }

    it(`P6 the Nth write cut short, ${times}, loses no recorded span`, async () => {
      expect(await failEach({ times, code: "ENOSPC", isShort: true }, fenced)).toBeGreaterThan(15);
    });

    it(`P6 EIO ${times} at the Nth call of a life that continues loses no recorded span`, async () => {
      expect(await failEach({ times, code: "EIO" }, { ...fenced, isFenced: false })).toBeGreaterThan(80);
    });

    it(`P6 EIO ${times} at the Nth call, with every record synced, loses no recorded span`, async () => {
      expect(await failEach({ times, code: "EIO" }, { ...fenced, durability: "each" })).toBeGreaterThan(120);
    });
  }
});
