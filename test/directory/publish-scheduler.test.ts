import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultPace, PublishBudget } from "../../src/directory/publish-scheduler.js";

const hourMillis = 3_600_000;

/** A session of an hour, its events `[wait, bytes]` repeated, with copies as the publish scheduler makes them. */
function simulateHour(pattern: readonly (readonly [wait: number, bytes: number])[]) {
  const pace = new PublishBudget(defaultPace, 0);
  let size = 0;
  let copied = 0;
  let due: number | undefined;
  let isUrgent = false;
  let shown = 0;
  let worstWait = 0;
  let now = 0;
  const publishUntil = (end: number) => {
    if (due === undefined || due > end) return;
    copied += size;
    worstWait = Math.max(worstWait, due - shown);
    pace.charge(size, due);
    due = undefined;
  };
  for (let event = 0; now < hourMillis; event++) {
    const [wait, bytes] = pattern[event % pattern.length] as readonly [number, number];
    now += wait;
    publishUntil(now);
    size += bytes;
    if (due === undefined) shown = now;
    if (due === undefined || (!isUrgent && pace.hasGrown(size))) {
      isUrgent = pace.hasGrown(size);
      due = now + pace.delay(size, now);
    }
  }
  if (due !== undefined) now = due;
  publishUntil(now);
  return { size, copied, worstWait, now };
}

describe("pace", () => {
  it("P8 copies of an hour stay within four thirds of the data and the rate times the time", () => {
    const event = fc.tuple(
      fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 100, max: 20_000 })),
      fc.oneof(fc.integer({ min: 100, max: 10_000 }), fc.integer({ min: 100_000, max: 1_000_000 })),
    );
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 20 }), (pattern) => {
        const { size, copied, now } = simulateHour(pattern);
        expect(copied).toBeLessThanOrEqual((4 / 3) * size + (defaultPace.bytesPerSecond * now) / 1000);
      }),
      { numRuns: 100 },
    );
  });

  it("P4 the tail catches up within the size over the rate, at every moment of an hour", () => {
    for (const pattern of [[[100, 500]], [[2_000, 5_000]], [[3, 5_000]], [[60_000, 200_000]]] as const) {
      const { size, worstWait } = simulateHour(pattern);
      expect(worstWait).toBeLessThanOrEqual(20 + (size / defaultPace.bytesPerSecond) * 1000);
    }
  });

  it("P4 the first event after a pause is published within 20 ms, while the budget covers a copy", () => {
    const pace = new PublishBudget(defaultPace, 0);
    expect(pace.delay(1_000, 0)).toBe(20);
    pace.charge(1_000_000, 0);
    expect(pace.delay(1_000_100, 0)).toBe(1_001);
    expect(pace.delay(1_000_100, 1_001)).toBe(20);
    expect(pace.delay(3_999_999, 0)).toBe(2_999);
    expect(pace.delay(4_000_000, 0)).toBe(20);
  });

  it("P8 saves no more budget than its limit, or one document if that is larger", () => {
    const pace = new PublishBudget(defaultPace, 0);
    pace.charge(40_000_000, 0);
    expect(pace.delay(41_000_000, hourMillis)).toBe(20);
    pace.charge(41_000_000, hourMillis);
    // The budget is empty: the next copy is paid from new budget.
    expect(pace.delay(42_000_000, hourMillis)).toBe(42_000);
  });

  it("never returns a negative wait, nor a wait for a clock that does not move", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.nat(), (first, second, at) => {
        const pace = new PublishBudget(defaultPace, at);
        pace.charge(first, at);
        const wait = pace.delay(second, at);
        return wait >= 20 && Number.isFinite(wait);
      }),
    );
  });
});
