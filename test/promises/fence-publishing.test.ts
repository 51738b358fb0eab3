/** The crash fence in real processes that end during a publish. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Stage } from "../support/session-stage.js";

const program = fileURLToPath(new URL("../programs/fence-publishing.mjs", import.meta.url));

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

interface End {
  readonly code: number | null;
  readonly signal: string | null;
}

function run(way: string, sends?: NodeJS.Signals): Promise<End> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, stage.dir, way], {
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 30_000,
      killSignal: "SIGKILL",
    });
    child.stdout.once("data", () => sends && child.kill(sends));
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal }));
  });
}

function expectCrashed(error: string): void {
  const { summary, spans } = stage.document("s");
  expect(summary).toMatchObject({ status: "crashed", error });
  expect(spans).toHaveLength(2012);
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(2012);
  expect(spans.filter(({ interrupted, kind }) => interrupted && kind !== "session")).toMatchObject([
    { name: "work", statusMessage: error },
  ]);
  expect(stage.files).toEqual(["s.json"]);
}

describe.skipIf(process.platform === "win32")("P3 a signal during a publish", () => {
  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("P3 %s leaves the crashed document", async (signal) => {
    expect(await run("signal", signal)).toEqual({ code: null, signal });
    expectCrashed(`Received ${signal}`);
  });
});

describe("P3 another end during a publish", () => {
  it("P3 process.exit leaves the crashed document", async () => {
    expect(await run("exit")).toEqual({ code: 3, signal: null });
    expectCrashed("Process exited before trace completed");
  });

  it("P3 an uncaught exception leaves the crashed document", async () => {
    expect(await run("exception")).toEqual({ code: 1, signal: null });
    expectCrashed("Uncaught exception: boom");
  });
});
