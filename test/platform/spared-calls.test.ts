/** Calls that were refused again and again fail at once in between, and succeed soon after the disk accepts them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SparedCalls } from "../../src/platform/spared-calls.js";
import { FaultyFileSystem } from "../support/faulty-file-system.js";
import { StillClock } from "../support/still-clock.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "spared-calls-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function stage() {
  const below = new FaultyFileSystem();
  let made = 0;
  below.afterCall = () => made++;
  const clock = new StillClock();
  const spared = new SparedCalls(clock);
  const { sync, async: later } = spared.over(below);
  const create = (name: string) => sync.close(sync.open(join(dir, name), "create"));
  const createLater = async (name: string) => later.close(await later.open(join(dir, name), "create"));
  const times = (count: number, name = "a") => {
    const before = made;
    for (let n = 0; n < count; n++) expect(() => create(name)).toThrow(/^ENOSPC/);
    return made - before;
  };
  return { below, clock, spared, create, createLater, times };
}

describe("P13 calls that the disk refuses", () => {
  test("P6 are all made, up to 500 in a row", () => {
    const { below, create, times } = stage();
    below.fail("open", "ENOSPC");
    expect(times(499)).toBe(499);
    below.clear();
    create("a");
    below.fail("open", "ENOSPC");
    expect(times(500, "b")).toBe(500);
  });

  test("P13 are made every 10 ms after that, and the error names no other file", async () => {
    const { below, clock, createLater, times } = stage();
    below.fail("open", "ENOSPC");
    times(500);
    expect(times(1_000, "b")).toBe(1);
    await expect(createLater("c")).rejects.toThrow(/^ENOSPC: [^/]*$/);
    await expect(createLater("c")).rejects.toMatchObject({ code: "ENOSPC" });
    clock.pass(10);
    expect(times(1_000, "b")).toBe(1);
  });

  test("P6 are all made again after the first one that succeeds", async () => {
    const { below, clock, create, createLater, times } = stage();
    below.fail("open", "ENOSPC");
    times(600);
    below.clear();
    expect(() => create("b")).toThrow(/^ENOSPC/);
    clock.pass(10);
    await createLater("b");
    create("c");
    below.fail("open", "ENOSPC");
    expect(times(400, "d")).toBe(400);
  });

  test("P6 are made for a caller that asks", () => {
    const { below, spared, create, times } = stage();
    below.fail("open", "ENOSPC");
    times(600);
    spared.askAgain();
    expect(times(10)).toBe(1);
    below.clear();
    spared.askAgain();
    create("a");
  });

  test("P6 a file that is missing, or there already, is no refusal", () => {
    const { below, create } = stage();
    create("a");
    let made = 0;
    below.afterCall = () => made++;
    for (let n = 0; n < 1_000; n++) expect(() => create("a")).toThrow(/^EEXIST/);
    expect(made).toBe(1_000);
  });
});
