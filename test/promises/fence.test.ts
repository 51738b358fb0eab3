/**
 * The crash fence against work in flight: every operation is stopped at each of its asynchronous calls, before and
 * after the call's effect, fenced there, and released.
 */
import { describe, expect, it } from "vitest";
import { type FenceScenario, fenceScenarios } from "../support/fence-scenarios.js";
import type { Moment } from "../support/paused-file-system.js";
import { type Actor, Stage } from "../support/session-stage.js";

/** Lets settled promises run their continuations, for this many links of a chain. */
async function letTick(ticks: number): Promise<void> {
  for (let i = 0; i < ticks; i++) await undefined;
}

interface Point {
  readonly number: number;
  readonly moment: Moment;
  /** Links of the promise chain that the call's result has passed when the fence is called. */
  readonly ticks?: number;
}

/** Returns `false` when the operation makes fewer calls. */
async function fenceAt(scenario: FenceScenario, point: Point): Promise<boolean> {
  const stage = new Stage();
  try {
    return await fenceOn(stage, scenario, point);
  } finally {
    stage.remove();
  }
}

async function fenceOn(stage: Stage, scenario: FenceScenario, { number, moment, ticks }: Point) {
  const before = (await scenario.before?.(stage)) ?? [];
  const actor = stage.actor(scenario.options, scenario.fileSystem && { fileSystem: scenario.fileSystem });
  const earlier = [...before, ...(await scenario.prepare(actor, stage))];
  await actor.fileSystem.idle();
  const standing = stage.bytesIfAny("s");
  actor.fileSystem.mark();
  const hold = actor.fileSystem.holdNumber(number, moment);
  const work = scenario.operation(actor, stage).catch(() => {});
  const over = work.then(() => actor.fileSystem.idle()).then(() => "over");
  if ((await Promise.race([hold.reached, over])) === "over") return false;
  if (ticks !== undefined) {
    hold.release();
    await letTick(ticks);
  }
  const isClosed = scenario.closes !== undefined && stage.bytesIfAny("s") !== standing;
  const expected = { stage, actor, scenario, isClosed };
  // A file whose creation is in flight appears after the fence. The work that created it removes it when it finds
  // the fence.
  const mayAppear = moment === "done" && actor.fileSystem.underway.includes("open");

  actor.exporter.crash("boom");

  const fenced = stage.bytesIfAny("s");
  const linksOn = ticks === undefined ? "" : ` and ${ticks} links on`;
  const at = `call ${number} (${actor.fileSystem.names[number - 1]}) ${moment}${linksOn}`;
  expectCrashed(expected, scenario.grows ? [] : earlier, `${at}, at once`);
  if (!scenario.isRecovered && !mayAppear) expectSettled(expected, `${at}, at once`);

  hold.release();
  await work;
  await actor.fileSystem.idle();
  // Work that was still pending finds nothing to do, and later spans are dropped.
  actor.clock.pass(60_000);
  await actor.fileSystem.idle();
  const { dropped } = actor.exporter.stats();
  const late = actor.start("s");
  actor.running.delete(late.spanContext().spanId);
  late.end();
  expect(actor.exporter.stats().dropped, `${at}: a span after the fence`).toBe(dropped + 1);
  await actor.exporter.shutdown();
  await actor.fileSystem.idle();

  expectCrashed(expected, earlier, `${at}, in the end`);
  if (!scenario.grows) expect(stage.bytes("s"), `${at}: the document has changed`).toBe(fenced);
  expectSettled(expected, `${at}, in the end`);
  return true;
}

interface Expected {
  readonly stage: Stage;
  readonly actor: Actor;
  readonly scenario: FenceScenario;
  /** The session had ended normally, with its open spans, before the fence was called. */
  readonly isClosed: boolean;
}

function expectCrashed(
  { stage, actor, scenario, isClosed }: Expected,
  earlier: readonly string[],
  at: string,
) {
  const { summary, spans } = stage.document("s");
  if (!isClosed || scenario.closes !== "session")
    expect(summary, at).toMatchObject({ status: "crashed", error: "boom" });
  const ids = spans.map(({ spanId }) => spanId);
  expect([...new Set(ids)], `${at}: each span once`).toEqual(ids);
  if (!scenario.isCapped) {
    const wanted = [...earlier, ...actor.ended, ...actor.running.keys()];
    const missing = wanted.filter((spanId) => !ids.includes(spanId));
    expect(missing, `${at}: missing`).toEqual([]);
  }
  for (const span of spans) {
    expect(span.endTime, `${at}: ${span.spanId} is open`).toBeDefined();
    if (actor.ended.includes(span.spanId)) expect(span.interrupted, `${at}: had ended`).toBeUndefined();
    if (actor.running.has(span.spanId) && !isClosed && !scenario.closesEarly) {
      expect(span.interrupted, `${at}: was running`).toBe(true);
    }
  }
}

function expectSettled({ stage, scenario: { leftover } }: Expected, at: string): void {
  const left = stage.files.filter((name) => name !== "s.json" && !leftover?.test(name));
  expect(left, `${at}: left over`).toEqual([]);
}

describe("P3 the crash fence against work in flight", () => {
  const scenarios = fenceScenarios.map((scenario) => [scenario.name, scenario] as const);
  it.each(scenarios)(
    "P3 %s, fenced at each of its calls, keeps the crashed document",
    async (_, scenario) => {
      let points = 0;
      for (const moment of ["issued", "done"] as const) {
        let number = 1;
        while (await fenceAt(scenario, { number, moment })) number++;
        points += number - 1;
      }
      expect(points).toBeGreaterThanOrEqual(8);
    },
  );
});
