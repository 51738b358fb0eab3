/** The one state machine of all lives: every event in every state. */
import { expect, test } from "vitest";
import { Lifecycle, type LifecycleState } from "../../src/platform/lifecycle.js";

type Event = "end" | "confirmEnd" | "crash";

/** The events that lead to a state. */
const ways: Readonly<Record<LifecycleState, readonly Event[]>> = {
  open: [],
  ending: ["end"],
  ended: ["end", "confirmEnd"],
  crashed: ["crash"],
};

const table: readonly (readonly [LifecycleState, Event, LifecycleState])[] = [
  ["open", "end", "ending"],
  ["open", "confirmEnd", "open"],
  ["open", "crash", "crashed"],
  ["ending", "end", "ending"],
  ["ending", "confirmEnd", "ended"],
  ["ending", "crash", "crashed"],
  ["ended", "end", "ended"],
  ["ended", "confirmEnd", "ended"],
  ["ended", "crash", "crashed"],
  ["crashed", "end", "crashed"],
  ["crashed", "confirmEnd", "crashed"],
  ["crashed", "crash", "crashed"],
];

test.each(table)("P3 %s, after %s: %s", (from, event, to) => {
  const life = new Lifecycle();
  for (const way of ways[from]) life[way]();
  expect(life.state).toBe(from);
  expect(life[event]()).toBe(from !== to);
  expect(life.state).toBe(to);
  expect(life.isOpen).toBe(to === "open");
});

test("P3 the table has every event in every state", () => {
  const events: readonly Event[] = ["end", "confirmEnd", "crash"];
  const all = Object.keys(ways).flatMap((state) => events.map((event) => `${state} ${event}`));
  expect(table.map(([from, event]) => `${from} ${event}`).sort()).toEqual(all.sort());
});
