/**
 * Every file-system call of a session's life fails once: what was recorded is kept, what was published stays whole,
 * and the host never notices but by what it is told.
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

/** Recovers with owners declared dead; the directory must be settled then. */
async function recover(dir: string, liveness: MortalLiveness, fileSystem: FileSystem = nodeFileSystem) {
  liveness.killAll();
  const report = await recoverDirectory({ fileSystem, liveness, clock: systemClock }, dir);
  expect(report.failures).toEqual([]);
  expect(fs.readdirSync(dir)).toEqual([`${sessionId}.json`]);
}

/** How a life goes, beside its fault. */
interface Life {
  readonly durability: "process" | "each";
  /** Or it goes on, and ends in good order when the fault has passed. */
  readonly isFenced: boolean;
}

/** One life with one fault in it. Returns whether the fault was met. */
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

    // The fault passes, and the process goes on.
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
    await recover(dir, liveness);
    expect([...scenario.document().names].sort()).toEqual([...after.names].sort());

    // Or it dies with the fault, and what it had told is there.
    if (!fs.existsSync(copy)) {
      expect(secured.size).toBe(0);
      return true;
    }
    const isHeld = fs.readdirSync(copy).length > 0;
    if (isHeld) await recover(copy, liveness);
    const found = isHeld ? scenario.document(`${copy}/${sessionId}.json`) : undefined;
    // A fence tries again what waited; without one, a last record that met the fault dies with the process.
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
      it(`P6 ${code} ${times} at the Nth call costs nothing that was recorded`, async () => {
        expect(await failEach({ times, code }, fenced)).toBeGreaterThan(100);
      });
    }

    it(`P6 the Nth write cut short, ${times}, costs nothing that was recorded`, async () => {
      expect(await failEach({ times, code: "ENOSPC", isShort: true }, fenced)).toBeGreaterThan(15);
    });

    it(`P6 EIO ${times} at the Nth call of a life that goes on costs nothing that was recorded`, async () => {
      expect(await failEach({ times, code: "EIO" }, { ...fenced, isFenced: false })).toBeGreaterThan(80);
    });

    it(`P6 EIO ${times} at the Nth call, with every record synced, costs nothing that was recorded`, async () => {
      expect(await failEach({ times, code: "EIO" }, { ...fenced, durability: "each" })).toBeGreaterThan(120);
    });
  }
});
