/** Spans that wait in memory when their process ends: the kernel refuses to let a file grow. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const program = fileURLToPath(new URL("../programs/refused-writes.mjs", import.meta.url));

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "lost-at-exit-"));
});
afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

/** The messages of a program whose files hold 64 KB at most, and the number of spans that its memory held. */
function run(way: string, fence = ""): { readonly waiting: number; readonly messages: readonly string[] } {
  const shell = 'ulimit -f 64 && exec "$0" "$@"';
  const { stdout, stderr } = spawnSync("bash", ["-c", shell, process.execPath, program, dir, way, fence], {
    encoding: "utf8",
    timeout: 30_000,
  });
  const waiting = Number(/^(\d+) wait$/m.exec(stdout)?.[1]);
  return {
    waiting,
    messages: `${stdout}${stderr}`.split("\n").filter((line) => /^CrashSafe\w+:/.test(line)),
  };
}

describe.skipIf(process.platform === "win32")("P6 a process that ends while spans wait in memory", () => {
  const ways = [
    ["exit", ""],
    ["exit", "fenced"],
    ["throw", "fenced"],
    ["SIGTERM", "fenced"],
    ["crash", ""],
    ["nothing", "fenced"],
  ] as const;
  test.for(ways)("P6 logs once how many spans are lost, where and why: %s %s", ([way, fence]) => {
    const { waiting, messages } = run(way, fence);
    expect(waiting).toBeGreaterThan(10);
    const lost = messages.filter((message) => message.includes("lost with the process"));
    expect(lost).toHaveLength(1);
    expect(lost[0]).toContain(`${waiting} spans `);
    expect(lost[0]).toContain(dir);
    expect(lost[0]).toContain("EFBIG");
    // And the fault when it began.
    expect(messages.filter((message) => message.includes("kept in memory"))).toHaveLength(1);
  });
});
