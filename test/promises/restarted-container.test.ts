/** A container that restarts on its directory: a process with the same number, in another process namespace. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync, utimesSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { Stage } from "../support/session-stage.js";

const namespace = ["--pid", "--fork", "--mount-proc"];
const canUnshare = spawnSync("unshare", [...namespace, "true"]).status === 0;

let stage: Stage;
let held: number | undefined;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => {
  if (held !== undefined) closeSync(held);
  held = undefined;
  stage.remove();
});

const program = (how: string): string[] => {
  const path = resolve("test/programs/restarted-container.mjs");
  return [...namespace, process.execPath, path, resolve("build"), stage.dir, how];
};

/** One life of the container; returns what it printed. */
function live(how: "end" | "recover"): Record<string, unknown> {
  const { stdout, stderr, status } = spawnSync("unshare", program(how), { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return JSON.parse(stdout);
}

/**
 * A life that ends with an open span. Its namespace is held open: the kernel gives the number of a namespace that is gone to
 * the next one, and with that number the process counts as dead at once.
 */
async function die(): Promise<void> {
  const child = spawn("unshare", program("die"), { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const inside = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
  held = openSync(`/proc/${inside}/ns/pid`, "r");
  const exit = once(child, "exit");
  child.stdin.write("now");
  expect(await exit).toEqual([0, null]);
}

/** Sets the times of the side files back, as if so many seconds had passed. */
function age(seconds: number): void {
  const then = Date.now() / 1_000 - seconds;
  for (const name of readdirSync(stage.dir))
    if (/\.(open|live)$/.test(name)) utimesSync(join(stage.dir, name), then, then);
}

const document = (): TraceFile => JSON.parse(readFileSync(join(stage.dir, "s.json"), "utf8"));

describe.skipIf(!canUnshare)("P2 P12 a restarted container (skipped where unshare is not allowed)", () => {
  test("P2 the process before counts as dead after a third of a minute, and its session as crashed", async () => {
    await die();
    expect(live("recover")).toEqual({ pid: 1, recovered: 0, failures: 0, running: 1 });
    age(21);
    expect(live("recover")).toEqual({ pid: 1, recovered: 1, failures: 0, running: 0 });
    expect(document().summary).toMatchObject({ status: "crashed", detector: "lease expired" });
    expect(stage.files).toEqual(["s.json"]);
  });

  test("P14 an orderly end of the process after it, before that, stays completed", async () => {
    await die();
    expect(live("end")).toEqual({ pid: 1 });
    age(21);
    expect(live("recover")).toMatchObject({ recovered: 1, failures: 0, running: 0 });
    expect(document().summary).toMatchObject({
      status: "completed",
      interrupted: 1,
      detector: "lease expired",
    });
    const spans = document().spans.filter(({ kind }) => kind !== "session");
    expect(spans.map(({ name, interrupted }) => [name, interrupted ?? false])).toEqual([
      ["die 1", false],
      ["end 1", false],
      ["open", true],
    ]);
    expect(stage.files).toEqual(["s.json"]);
  });
});
