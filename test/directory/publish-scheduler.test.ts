import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultPace, PublishBudget, TokenBucket } from "../../src/directory/publish-scheduler.js";

const hourMillis = 3_600_000;

/**
 * A session of an hour, its events `[wait, bytes]` repeated, with copies as the publish scheduler makes them while events
 * come one after the other (`isBusy`), or pause.
 */
function simulateHour(pattern: readonly (readonly [wait: number, bytes: number])[], isBusy: boolean) {
  const pace = new PublishBudget(defaultPace, 0);
  const { startBytes } = defaultPace;
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
      due = now + pace.delay(size, now, isBusy);
    }
  }
  if (due !== undefined) now = due;
  publishUntil(now);
  return { size, copied, worstWait, now, startBytes };
}

describe("pace", () => {
  it("P8 copies of an hour stay within twice the data, the first tokens and the rate times the time", () => {
    const event = fc.tuple(
      fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 100, max: 20_000 })),
      fc.oneof(fc.integer({ min: 100, max: 10_000 }), fc.integer({ min: 100_000, max: 1_000_000 })),
    );
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 20 }), fc.boolean(), (pattern, isBusy) => {
        const { size, copied, now, startBytes } = simulateHour(pattern, isBusy);
        const paid = startBytes + (defaultPace.bytesPerSecond * now) / 1000;
        expect(copied).toBeLessThanOrEqual(2 * size + paid);
      }),
      { numRuns: 100 },
    );
  });

  it("P4 the tail catches up within the size over the rate, at every moment of an hour", () => {
    for (const pattern of [[[100, 500]], [[2_000, 5_000]], [[3, 5_000]], [[60_000, 200_000]]] as const) {
      const { size, worstWait } = simulateHour(pattern, true);
      expect(worstWait).toBeLessThanOrEqual(20 + (size / defaultPace.bytesPerSecond) * 1000);
    }
  });

  it("P4 the first event after a pause is published within 20 ms, while the budget covers a copy", () => {
    const pace = new PublishBudget({ ...defaultPace, startBytes: 0 }, 0);
    expect(pace.delay(1_000, 0)).toBe(20);
    pace.charge(1_000_000, 0);
    pace.charge(1_000_000, 0);
    // The growth of the document pays for a part of the next copy.
    expect(pace.delay(1_000_000, 0)).toBe(1_000);
    expect(pace.delay(1_000_000, 980)).toBe(20);
    pace.charge(1_000_000, 980);
    expect(pace.delay(1_500_000, 980)).toBe(500);
    expect(pace.delay(2_000_000, 980)).toBe(20);
  });

  it("P4 a new session has 8 MB for copies when its events pause, besides those that its growth pays for", () => {
    const pace = new PublishBudget(defaultPace, 0);
    for (const size of [1_000_000, 2_000_000, 4_000_000]) {
      expect(pace.delay(size, 0, true)).toBe(20);
      pace.charge(size, 0);
    }
    // While events come, a copy leaves enough for the copy when they pause, and for the copy after the next burst.
    expect(pace.delay(7_900_000, 0, true)).toBe(7_900);
    for (const size of [7_900_000, 8_000_000]) {
      expect(pace.delay(size, 0)).toBe(20);
      pace.charge(size, 0);
    }
    expect(pace.delay(8_000_000, 0)).toBe(6_900);
    expect(pace.delay(16_000_000, 0, true)).toBe(20);
  });

  it("P8 all sessions of a process share one more bucket of 32 MB and 4 MB/s, which growth does not use", () => {
    const shared = TokenBucket.ofProcess(0);
    const sessions = Array.from({ length: 9 }, () => new PublishBudget(defaultPace, 0, shared));
    for (const session of sessions) session.charge(6_000_000, 0);
    // Growth has paid for two copies of each.
    for (const session of sessions) session.charge(6_000_000, 0);
    for (const session of sessions.slice(0, 5)) {
      expect(session.delay(6_000_000, 0)).toBe(20);
      session.charge(6_000_000, 0);
    }
    expect(sessions[5]?.delay(6_000_000, 0)).toBe(1_000);
    expect(sessions[5]?.delay(6_000_000, 1_000)).toBe(20);
    expect(sessions[5]?.delay(12_000_000, 0)).toBe(20);
  });

  it("P8 saves no more budget than its limit, or one document if that is larger", () => {
    const pace = new PublishBudget({ ...defaultPace, startBytes: 0 }, 0);
    for (let copies = 0; copies < 3; copies++) pace.charge(40_000_000, 0);
    expect(pace.delay(40_000_000, hourMillis)).toBe(20);
    pace.charge(40_000_000, hourMillis);
    // The budget is empty: the next copy is paid from new budget.
    expect(pace.delay(40_000_000, hourMillis)).toBe(40_000);
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
