/** Jobs of one lane in their order, and lanes that do not wait for one that hangs. */
import { describe, expect, test } from "vitest";
import { WorkQueue } from "../../src/platform/work-queue.js";
import { settled } from "../support/span-processor-stage.js";
import { StillClock } from "../support/still-clock.js";

describe("P13 a work queue", () => {
  test("P5 runs jobs one at a time, in order, also after a failed one", async () => {
    const queue = new WorkQueue(2).lane();
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
    const queue = new WorkQueue(2).lane();
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

describe("P12 P13 lanes of a work queue", () => {
  /** A job that has begun, and ends when the test says so. */
  function jobs() {
    const begun: string[] = [];
    const ends = new Map<string, () => void>();
    const job = (name: string) => () => {
      begun.push(name);
      return new Promise<void>((resolve) => ends.set(name, resolve));
    };
    const end = async (name: string) => {
      ends.get(name)?.();
      await settled();
    };
    return { begun, job, end };
  }

  test("P13 share one order while no job is late", async () => {
    const queue = new WorkQueue(2, new StillClock());
    const [one, other] = [queue.lane(), queue.lane()];
    const { begun, job, end } = jobs();
    void one.run(job("a"));
    void other.run(job("b"));
    void one.runBeside(job("c"));
    void other.runBeside(job("d"));
    void one.run(job("e"));
    void other.runBeside(job("f"));
    await settled();
    expect(begun).toEqual(["a"]);
    await end("a");
    expect(begun).toEqual(["a", "b"]);
    await end("b");
    expect(begun).toEqual(["a", "b", "c", "d"]);
    await end("d");
    // No later job overtakes one that waits for the jobs of all lanes.
    expect(begun).toEqual(["a", "b", "c", "d"]);
    await end("c");
    expect(begun).toEqual(["a", "b", "c", "d", "e"]);
    await end("e");
    expect(begun).toEqual(["a", "b", "c", "d", "e", "f"]);
  });

  test("P12 do not wait for a job of another lane that is late, and its own lane does", async () => {
    const clock = new StillClock();
    const queue = new WorkQueue(2, clock);
    const [stuck, other] = [queue.lane(), queue.lane()];
    const { begun, job, end } = jobs();
    void stuck.run(job("never"));
    void stuck.run(job("behind it"));
    void other.run(job("a"));
    void other.run(job("b"));
    await settled();
    clock.pass(249);
    await settled();
    expect(begun).toEqual(["never"]);
    clock.pass(1);
    await settled();
    expect(begun).toEqual(["never", "a"]);
    await end("a");
    expect(begun).toEqual(["never", "a", "b"]);
    await end("b");
    void other.runBeside(job("c"));
    void other.runBeside(job("d"));
    await settled();
    expect(begun).toEqual(["never", "a", "b", "c", "d"]);
    for (const name of ["c", "d", "never"]) await end(name);
    expect(begun.at(-1)).toBe("behind it");
    await end("behind it");
    expect(clock.pending).toBe(0);
  });
});
