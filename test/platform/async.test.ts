/** Promises in order, together, and within a time. */
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { allSettledOrThrow, outcome, WorkQueue, withTimeout } from "../../src/platform/async.js";
import { HandClock, settled } from "../support/span-processor-stage.js";

const never = new Promise<never>(() => {});
const late = () => new Error("late");

describe("P13 a work queue", () => {
  test("P5 runs jobs one at a time, in order, also after a failed one", async () => {
    const queue = new WorkQueue(2);
    const log: string[] = [];
    const job = (name: string) => async () => {
      log.push(`${name} begins`);
      await settled();
      log.push(`${name} ends`);
      if (name === "b") throw new Error(name);
      return name;
    };
    const results = await Promise.allSettled(["a", "b", "c"].map((name) => queue.run(job(name))));
    expect(log).toEqual(["a", "b", "c"].flatMap((name) => [`${name} begins`, `${name} ends`]));
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  test("P13 runs some jobs beside each other, and every other job alone, in the order in which they were added", async () => {
    const queue = new WorkQueue(2);
    const running = new Set<string>();
    const log: string[] = [];
    const job = (name: string) => async () => {
      running.add(name);
      log.push([...running].join("+"));
      await settled();
      running.delete(name);
      if (name === "b") throw new Error(name);
      return name;
    };
    const results = await Promise.allSettled([
      queue.runBeside(job("a")),
      queue.runBeside(job("b")),
      queue.runBeside(job("c")),
      queue.run(job("D")),
      queue.run(job("E")),
      queue.runBeside(job("f")),
    ]);
    expect(log.every((names) => names.split("+").length <= 2)).toBe(true);
    expect(log).toContain("a+b");
    expect(log.filter((names) => /[DE]/.test(names))).toEqual(["D", "E"]);
    expect(log.map((names) => names.at(-1))).toEqual(["a", "b", "c", "D", "E", "f"]);
    expect(results.map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      ...Array<string>(4).fill("fulfilled"),
    ]);
  });
});

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
