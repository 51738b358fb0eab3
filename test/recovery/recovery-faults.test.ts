/**
 * Every file-system call of a recovery fails once: the dead session's files lose nothing, and the next recovery
 * finishes them, in this process or in a later one.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { type Fault, FaultyFileSystem, faultCodes } from "../support/faulty-file-system.js";
import { MortalLiveness } from "../support/mortal-liveness.js";
import { layOut, recordSession, spansOf } from "../support/recorded-session.js";

vi.setConfig({ testTimeout: 300_000 });

const base = fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir();
const session = await recordSession({ ended: 8, open: 2 });
const ended = session.lines.map(({ span }) => span.spanId);
const running = session.starts.map(({ span }) => span.spanId).filter((id) => !ended.includes(id));
const { open, live, sealed, sealedLive, published } = session;
const taker = session.token.replace(/-[^-]+$/, "-takerrrr-recovery");

/** The states in which a death can leave a session. */
const states: Record<string, (dir: string) => void> = {
  "a killed writer's files": (dir) => layOut(dir, session, { open, live }),
  "a killed writer's files and an older document": (dir) =>
    layOut(dir, session, { open, live, json: published }),
  "a finalized document without its name": (dir) => layOut(dir, session, { open: sealed, live: sealedLive }),
  "a finalized document and an older one": (dir) =>
    layOut(dir, session, { open: sealed, live: sealedLive, json: published }),
  "files that a dead recovery had half taken": (dir) => {
    layOut(dir, { name: session.name, token: taker }, { open });
    layOut(dir, session, { live });
  },
  "files and a document that is no trace": (dir) =>
    layOut(dir, session, { open, live, json: Buffer.from("not a trace") }),
  "a torn record and a torn start": (dir) =>
    layOut(dir, session, {
      open: Buffer.concat([open, Buffer.from(',{"spanId":"dead')]),
      live: Buffer.concat([live, Buffer.from('{"span":{"spa')]),
    }),
};

const liveDocument = (path: string): TraceFile | undefined => {
  const text = fs.existsSync(path) ? fs.readFileSync(path, "utf8") : "";
  return text === "" || text === "not a trace" ? undefined : JSON.parse(text);
};

/** One recovery with one fault, then one without. Returns `false` when the fault was not met. */
async function recoverWith(
  fault: Fault,
  lay: (dir: string) => void,
  isSameProcess: boolean,
): Promise<boolean> {
  const dir = fs.mkdtempSync(join(base, "recovery-faults-"));
  const path = join(dir, `${session.name}.json`);
  const fileSystem = new FaultyFileSystem(fault);
  const liveness = new MortalLiveness();
  try {
    lay(dir);
    let most = 0;
    const violations: string[] = [];
    fileSystem.afterCall = () => {
      try {
        const spans = liveDocument(path)?.spans.length ?? 0;
        if (spans < most) violations.push(`${spans} spans of ${most}`);
        most = Math.max(most, spans);
      } catch (error) {
        violations.push(String(error));
      }
    };
    const ports = { fileSystem, liveness, clock: systemClock };
    try {
      const { failures } = await recoverDirectory(ports, dir);
      for (const { error } of failures) expect((error as { code?: string }).code).toBe(fault.code);
    } catch (error) {
      // Only where the directory itself could not be read.
      expect(error).toMatchObject({ code: fault.code });
    }
    expect(violations).toEqual([]);
    fileSystem.clear();
    if (!isSameProcess) liveness.killAll();

    const again = await recoverDirectory({ ...ports, fileSystem: nodeFileSystem }, dir);
    expect(again).toMatchObject({ failures: [], running: 0 });
    const spans = spansOf(liveDocument(path) as TraceFile);
    expect([...spans.keys()].sort()).toEqual([...ended, ...running].sort());
    for (const line of session.lines) expect(spans.get(line.span.spanId)).toEqual(line.span);
    const left = fs.readdirSync(dir).filter((name) => !name.includes(".damaged."));
    expect(left).toEqual([`${session.name}.json`]);
    return fileSystem.fired > 0;
  } finally {
    fileSystem.closeAll();
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

describe("P6 faults during recovery", () => {
  for (const [state, lay] of Object.entries(states)) {
    for (const isSameProcess of [true, false]) {
      it(`P6 ${state}: the Nth call fails, and ${isSameProcess ? "the same process" : "another process"} finishes`, async () => {
        for (const times of ["once", "forever"] as const) {
          for (const code of isSameProcess ? (["EIO"] as const) : faultCodes) {
            let nth = 1;
            for (; ; nth++) {
              const fault = { nth, times, code };
              try {
                if (!(await recoverWith(fault, lay, isSameProcess))) break;
              } catch (error) {
                throw new Error(`${JSON.stringify(fault)}: ${(error as Error).message}`, { cause: error });
              }
            }
            expect(nth).toBeGreaterThan(20);
          }
        }
      });
    }
  }
});
