/** Promises together, and within a time. */
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { allSettledOrThrow, inTurns, outcome, withTimeout } from "../../src/platform/async.js";
import { nextTurn } from "../../src/platform/clock.js";
import { HandClock, settled } from "../support/span-processor-stage.js";

const never = new Promise<never>(() => {});
const late = () => new Error("late");

test("P5 all work settles before the first failure is thrown", async () => {
  let isDone = false;
  const slow = settled().then(() => {
    isDone = true;
  });
  const failures = [Promise.reject(new Error("first")), Promise.reject(new Error("second"))];
  await expect(allSettledOrThrow([...failures, slow])).rejects.toThrow("first");
  expect(isDone).toBe(true);
  await allSettledOrThrow([]);
});

test("P6 an outcome is the error or undefined", async () => {
  expect(await outcome(Promise.resolve(1))).toBeUndefined();
  expect(await outcome(Promise.reject(new Error("no")))).toEqual(new Error("no"));
});

describe("P5 a time limit", () => {
  test("P5 gives the result and stops its timer, also after a failure", async () => {
    const clock = new HandClock();
    expect(await withTimeout(async () => 1, { millis: 10, error: late, clock })).toBe(1);
    const failed = withTimeout(() => Promise.reject(new Error("no")), { millis: 10, error: late, clock });
    await expect(failed).rejects.toThrow("no");
    expect(clock.pending).toBe(0);
  });

  test("P5 ends the step that waits, and begins no further one", async () => {
    const clock = new HandClock();
    const begun: number[] = [];
    const work = withTimeout(
      async (bounded) => {
        for (const step of [1, 2]) {
          begun.push(step);
          await bounded(never);
        }
      },
      { millis: 10, error: late, clock },
    );
    const result = outcome(work);
    await clock.advance(9);
    await clock.advance(1);
    expect(await result).toEqual(new Error("late"));
    expect(begun).toEqual([1]);
    expect(clock.pending).toBe(0);
  });

  test("P5 awaits a promise outside of `bounded` to its end, and rejects nothing unhandled meanwhile", async () => {
    const clock = new HandClock();
    let end: () => void = () => {};
    const unbounded = new Promise<void>((resolve) => {
      end = resolve;
    });
    let isOver = false;
    const result = outcome(
      withTimeout(
        async (bounded) => {
          await unbounded;
          await bounded(never);
        },
        { millis: 10, error: late, clock },
      ),
    ).then((error) => {
      isOver = true;
      return error;
    });
    await clock.advance(20);
    expect(isOver).toBe(false);
    end();
    expect(await result).toEqual(new Error("late"));
  });

  test("P5 without a clock uses a timer that keeps the process alive", () => {
    // A process with nothing else to do ends at once when its last timer is unref'd, and prints nothing.
    const program = `const { withTimeout } = require("./build/platform/async.js");
      withTimeout((bounded) => bounded(new Promise(() => {})), { millis: 50, error: () => new Error("late") })
        .catch(({ message }) => console.log(message));`;
    expect(execFileSync(process.execPath, ["-e", program], { encoding: "utf8" })).toBe("late\n");
  });
});

describe("P13 a loop in several turns", () => {
  test("P13 visits so many items in each turn, the first ones at once", async () => {
    const seen: number[] = [];
    const loop = inTurns([1, 2, 3, 4, 5], 2, (item) => seen.push(item) > 0);
    expect(seen).toEqual([1, 2]);
    await nextTurn();
    expect(seen).toEqual([1, 2, 3, 4]);
    await loop;
    expect(seen).toEqual([1, 2, 3, 4, 5]);
  });

  test("P13 ends where the visitor wants it, and at once where all fits in one turn", async () => {
    const seen: number[] = [];
    await inTurns([1, 2, 3, 4, 5], 2, (item) => seen.push(item) < 3);
    expect(seen).toEqual([1, 2, 3]);
    expect(inTurns([1, 2], 3, () => true)).toBeUndefined();
    expect(inTurns([1, 2], 2, () => false)).toBeUndefined();
  });
});
