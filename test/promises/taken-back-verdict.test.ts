/**
 * The fence of a process hook against work in flight: every operation is stopped at each of its asynchronous calls, and
 * fenced there as by SIGTERM. Then the process lives on, or is killed.
 */
import { describe, expect, it } from "vitest";
import { provisionalFence } from "../../src/otel/types.js";
import { type FenceScenario, fenceScenarios } from "../support/fence-scenarios.js";
import type { Moment } from "../support/paused-file-system.js";
import { type Actor, occurrences, Stage } from "../support/session-stage.js";
import { isTorture } from "../support/trials.js";

interface Run {
  readonly stage: Stage;
  readonly actor: Actor;
  readonly scenario: FenceScenario;
  readonly at: string;
  /** Ids of spans of earlier writers. */
  readonly earlier: readonly string[];
  /** Ids of spans that an orderly end has closed before the hook: their own ends come too late. */
  readonly closed: ReadonlySet<string>;
}

/** What the process does after the hook, and what the document says then. */
interface Life {
  readonly name: string;
  live(run: Run): Promise<unknown> | undefined;
  readonly summary: { readonly status: string; readonly error?: unknown; readonly detector?: unknown };
  /** After a shutdown the exporter accepts no spans. */
  readonly startsSpans?: true;
  /** The process is killed. */
  readonly isKilled?: true;
}

const hook = ({ actor }: Run, event: "SIGTERM" | "exit") =>
  actor.processor[provisionalFence](event === "exit" ? "Process exited" : `Received ${event}`, event);

const endAll = ({ actor }: Run) => {
  for (const span of [...actor.running.values()]) actor.end(span);
};

const endOne = ({ actor }: Run): undefined => {
  const [span] = actor.running.values();
  if (span) actor.end(span);
};

const sigterm = { status: "crashed", error: "Received SIGTERM", detector: "SIGTERM" };

const lives: readonly Life[] = [
  { name: "and nothing follows", live: () => undefined, summary: sigterm },
  {
    name: "and spans end that were running: the verdict stands",
    async live(run) {
      endAll(run);
      await run.actor.exporter.forceFlush();
      hook(run, "exit");
    },
    summary: sigterm,
  },
  {
    name: "and a span starts: the verdict is taken back",
    async live(run) {
      run.actor.record("s", 2);
      endAll(run);
      await run.actor.exporter.shutdown();
    },
    startsSpans: true,
    summary: { status: "completed" },
  },
  {
    name: "and the exporter shuts down: the verdict is taken back",
    async live(run) {
      endAll(run);
      await run.actor.exporter.shutdown();
    },
    summary: { status: "completed" },
  },
  {
    name: "and a span starts, and the process exits: the first detector stays",
    live(run) {
      run.actor.start("s");
      hook(run, "exit");
      return undefined;
    },
    startsSpans: true,
    summary: sigterm,
  },
  {
    name: "and a caller calls the crash fence: that one is final",
    live({ actor }) {
      actor.exporter.crash("boom");
      const late = actor.start("s");
      actor.running.delete(late.spanContext().spanId);
      return undefined;
    },
    summary: { status: "crashed", error: "boom" },
  },
  { name: "and the process is killed", live: endOne, isKilled: true, summary: sigterm },
  {
    name: "and a span starts, and the process is killed",
    live(run) {
      endOne(run);
      run.actor.record("s", 1);
      run.actor.start("s");
      return undefined;
    },
    startsSpans: true,
    isKilled: true,
    summary: { status: "crashed" },
  },
];

/** Returns `false` when the operation makes fewer calls. */
async function fenceAt(
  scenario: FenceScenario,
  life: Life,
  number: number,
  moment: Moment,
): Promise<boolean> {
  const stage = new Stage();
  try {
    const before = (await scenario.before?.(stage)) ?? [];
    const actor = stage.actor(scenario.options, scenario.fileSystem && { fileSystem: scenario.fileSystem });
    const earlier = [...before, ...(await scenario.prepare(actor, stage))];
    await actor.fileSystem.idle();
    actor.fileSystem.mark();
    const hold = actor.fileSystem.holdNumber(number, moment);
    const closed = new Set(scenario.closes ? actor.running.keys() : []);
    const work = scenario.operation(actor, stage).catch(() => {});
    const over = work.then(() => actor.fileSystem.idle()).then(() => "over");
    if ((await Promise.race([hold.reached, over])) === "over") return false;
    const at = `call ${number} (${actor.fileSystem.names[number - 1]}) ${moment}`;
    const run = { stage, actor, scenario, at, earlier, closed };

    hook(run, "SIGTERM");

    expectWhole(run, `${at}, at once`);
    const lived = life.live(run);
    hold.release();
    await Promise.all([work, lived]);
    await actor.fileSystem.idle();
    if (life.isKilled) {
      stage.liveness.bury();
      const next = stage.actor();
      next.clock.pass(0);
      await next.fileSystem.idle();
      await next.exporter.shutdown();
    }
    expectSummary(run, life);
    expectWhole(run, `${at}, in the end`);
    expectSettled(run);
    return true;
  } finally {
    stage.remove();
  }
}

function expectSummary({ stage, scenario, at }: Run, { summary, isKilled }: Life): void {
  // The hook came when an orderly end was under way, or a recovery adds a crash of another process later.
  if (scenario.closes || (scenario.grows && summary.status === "completed")) return;
  const found = stage.document("s").summary;
  // The session goes on in the other process, unless that is killed as well. Only a caller's crash ends it for both.
  if (scenario.hasPeer && !isKilled && summary.error !== "boom") expect(found.status, at).not.toBe("crashed");
  else expect(found, at).toMatchObject(summary);
}

/** Every span is in the document once, and a span that has ended is not interrupted. */
function expectWhole({ stage, actor, scenario, earlier, closed }: Run, at: string): void {
  const spans = occurrences(stage.document("s"));
  const wanted = [...(scenario.grows ? [] : earlier), ...actor.ended, ...actor.running.keys()];
  if (!scenario.isCapped) {
    const missing = wanted.filter((spanId) => !spans.has(spanId));
    expect(missing, `${at}: missing`).toEqual([]);
  }
  for (const [spanId, found] of spans) {
    expect(found.length, `${at}: ${spanId}`).toBe(1);
    expect(found[0]?.endTime, `${at}: ${spanId} is open`).toBeDefined();
    if (closed.has(spanId)) continue;
    const isInterrupted = found[0]?.interrupted === true;
    if (wanted.includes(spanId)) expect(isInterrupted, `${at}: ${spanId}`).toBe(actor.running.has(spanId));
  }
}

function expectSettled({ stage, scenario: { leftover }, at }: Run): void {
  const left = stage.files.filter((name) => name !== "s.json" && !leftover?.test(name));
  expect(left, `${at}: left over`).toEqual([]);
}

/**
 * Of how many calls one is taken: the first life is led from each call that is issued, and from every fifth that is done;
 * another life from every eleventh, and no two lives in a row from the same ones. A torture run leads all from each call.
 */
const strideOf = (index: number, moment: Moment): number =>
  isTorture || (index === 0 && moment === "issued") ? 1 : index === 0 ? 5 : 11;

describe.each(lives.map((life, index) => ({ ...life, index })))("P3 a process hook fences $name", (life) => {
  const scenarios = fenceScenarios
    .filter(({ closes }) => closes !== "shutdown" || !life.startsSpans)
    .map((scenario) => [scenario.name, scenario] as const);
  it.each(scenarios)("P3 %s", async (_, scenario) => {
    for (const moment of ["issued", "done"] as const) {
      const stride = strideOf(life.index, moment);
      const first = 1 + (life.index % stride);
      let number = first;
      while (await fenceAt(scenario, life, number, moment)) number += stride;
      // Some operations make fewer calls than that.
      if (number === first) expect(await fenceAt(scenario, life, 1, moment)).toBe(true);
      if (stride === 1) expect(number - first).toBeGreaterThanOrEqual(4);
    }
  });
});
