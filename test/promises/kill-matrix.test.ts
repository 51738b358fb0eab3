/**
 * SIGKILL at every step of a writer's life, at random moments and before chosen file-system calls.
 *
 * A failure prints the plans that led to it. `KILL_PLANS='[…]' npx vitest run test/promises/kill-matrix.test.ts`
 * repeats them.
 */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AcknowledgedSessions } from "../support/acknowledged-sessions.mjs";
import { type KillPlan, recoverAndCheck, writeAndKill } from "../support/kill-trial.js";
import { randomOf, runSeed, trials } from "../support/trials.js";

const steps = [
  "before the first span",
  "at the first start",
  "after the first start",
  "after the first end",
  "in a burst",
  "with turns between",
  "while publishing",
  "while publishing again and again",
  "while ending a session",
  "while a session ends and other sessions continue",
  "while shutting down",
  "after shutdown",
  "while resuming what this process ended",
  "during crash()",
  "after crash()",
  "while resuming what was fenced",
  "while the journal is rewritten",
  "with more sessions than descriptors",
  "while recovering",
  "while compacting under a cap",
];
const trialsPerStep = Math.ceil(trials(120, 2_000) / steps.length);
const maxGenerations = 4;

/** A directory as a killed writer, or the recovery after it, left it. */
interface Past {
  readonly dir: string;
  readonly acknowledged: AcknowledgedSessions;
  /** The plans that led here, to repeat them. */
  readonly history: readonly Generation[];
}

/**
 * One generation of the directory: a writer that was killed, and whether its files were recovered before the next
 * writer.
 */
type Generation = KillPlan & { readonly isRecovered: boolean };

let root: string;
beforeAll(() => {
  root = fs.mkdtempSync(join(tmpdir(), "kill-matrix-"));
});
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

let directories = 0;
const newPast = (): Past => ({
  dir: join(root, `${++directories}`),
  acknowledged: new AcknowledgedSessions(),
  history: [],
});

/** Runs one more generation in a directory, and returns the problems found. */
async function live(
  past: Past,
  plan: Generation,
): Promise<{ problems: string[]; looks: number; next: Past }> {
  const { dir, acknowledged } = past;
  const { problems, looks } = await writeAndKill(dir, plan, acknowledged);
  const next: Past = {
    dir: join(root, `${++directories}`),
    acknowledged: acknowledged.copy(),
    history: [...past.history, plan],
  };
  const keep = () => fs.existsSync(dir) && fs.cpSync(dir, next.dir, { recursive: true });
  if (!plan.isRecovered) keep();
  const found = [...problems, ...(await recoverAndCheck(dir, acknowledged))];
  if (plan.isRecovered) {
    keep();
    next.acknowledged.recovered();
  }
  fs.rmSync(dir, { recursive: true, force: true });
  return { problems: found, looks, next };
}

function expectNone(problems: readonly string[], history: readonly Generation[]): void {
  expect(problems, `seed ${runSeed}, KILL_PLANS='${JSON.stringify(history)}'`).toEqual([]);
}

/** Directories of earlier trials, in which later trials continue. */
const pasts: Past[] = [];

const isWatched = (step: string) => step.includes("again and again");

function planOf(step: string, trial: number): Generation {
  const seed = runSeed + 7_919 * steps.indexOf(step) + trial;
  const random = randomOf(seed);
  return {
    step,
    seed,
    // Most steps end within a few dozen calls, some within a few hundred.
    freezeAt: trial % 2 === 0 || isWatched(step) ? 0 : Math.ceil(2 ** (random() * 8)),
    delayMillis: random() ** 2 * 40,
    isRecovered: random() < 0.4,
    ...(isWatched(step) && { afterLooks: 30 + Math.floor(random() * 60) }),
    ...(step.includes("cap") && { maxSpans: 10 + Math.floor(random() * 10) }),
  };
}

async function tryOnce(step: string, trial: number, own: Past[]): Promise<number> {
  const plan = planOf(step, trial);
  const random = randomOf(~plan.seed);
  const past =
    (random() < 0.5 ? own.splice(Math.floor(random() * own.length), 1)[0] : undefined) ?? newPast();
  const { problems, looks, next } = await live(past, plan);
  expectNone(problems, next.history);
  if (next.history.length < maxGenerations) own.push(next);
  return looks;
}

const replay = process.env.KILL_PLANS;

describe.skipIf(process.platform === "win32" || replay !== undefined)("P1 P2 kill matrix", () => {
  let looks = 0;
  it.each(steps)(
    "P1 P2 killed %s: no acknowledged span is lost, and no read finds a torn document",
    async (step) => {
      // Under a cap, the content of a document depends on its history. These directories continue only with steps
      // under a cap.
      const own = step.includes("cap") ? [] : pasts;
      let trial = 0;
      const lane = async () => {
        while (trial < trialsPerStep) looks += await tryOnce(step, trial++, own);
      };
      await Promise.all([lane(), lane()]);
    },
  );

  it("P1 documents were read while they were written", () => {
    expect(looks).toBeGreaterThanOrEqual(30 * trialsPerStep);
  });
});

describe.skipIf(process.platform === "win32" || replay !== undefined)(
  "P1 P2 the kill matrix finds broken writers",
  () => {
    const findIn = async (broken: NonNullable<KillPlan["broken"]>, problem: RegExp) => {
      for (let trial = 0; trial < 40; trial++) {
        const past = newPast();
        const plan = { ...planOf("while publishing", 2 * trial), broken };
        const { problems, next } = await live(past, plan);
        fs.rmSync(next.dir, { recursive: true, force: true });
        if (problems.some((text) => problem.test(text))) return;
      }
      expect.unreachable(`40 kills did not show that it ${problem.source}`);
    };

    it("P2 a writer that acknowledges before it records", () =>
      findIn("records later", /and is interrupted/));
    it("P2 a writer that keeps spans in memory", () => findIn("writes in place", /lost span/));
    it("P1 a writer that overwrites its document in place", () =>
      findIn("writes in place", /does not parse/));
  },
);

if (replay !== undefined) {
  describe("P1 P2 kill matrix, repeated", () => {
    it("P1 P2 the given plans lose nothing", async () => {
      let past = newPast();
      for (const plan of JSON.parse(replay) as Generation[]) {
        const { problems, next } = await live(past, plan);
        expectNone(problems, next.history);
        past = next;
      }
    });
  });
}
