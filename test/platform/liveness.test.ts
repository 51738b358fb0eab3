import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, it, vi } from "vitest";
import { type FileCalls, nodeFileSystem } from "../../src/platform/file-system.js";
import { isOrphaned, type Liveness, SystemLiveness, type Verdict } from "../../src/platform/liveness.js";

const liveness = new SystemLiveness(nodeFileSystem.sync);
const base36 = (number: number) => number.toString(36);

/** The fields of a token of this thread, for tests that change one of them. */
function parts(): [pid: string, thread: string, started: string, scope: string, random: string] {
  return liveness.newToken().split("-") as ReturnType<typeof parts>;
}

/** The token of a single-threaded process: its main thread has the process's number. */
function tokenOf(pid: number): string {
  const stat = nodeFileSystem.sync.readText(`/proc/${pid}/task/${pid}/stat`);
  const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  const [, , , scope, random] = parts();
  return [base36(pid), base36(pid), base36(Number(started)), scope, random].join("-");
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

const noProc: FileCalls = {
  ...nodeFileSystem.sync,
  readlink: () => {
    throw Object.assign(new Error("no /proc"), { code: "ENOENT" });
  },
};

describe.runIf(process.platform === "linux")("P2 P7 owners", () => {
  it("P7 this thread is alive, and its tokens differ", () => {
    const tokens = new Set(Array.from({ length: 100 }, () => liveness.newToken()));
    expect(tokens.size).toBe(100);
    for (const token of tokens) expect(liveness.verdict(token)).toBe("alive");
  });

  it("P2 a child is alive until it is killed", async () => {
    const child = spawn("sleep", ["60"]);
    const token = tokenOf(child.pid as number);
    expect(liveness.verdict(token)).toBe("alive");
    await kill(child);
    expect(liveness.verdict(token)).toBe("dead");
  });

  it("P2 a zombie is dead", async () => {
    // The shell becomes `sleep`, which never waits for its child.
    const parent = spawn("sh", ["-c", "sleep 0.01 & echo $!; exec sleep 60"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const [line] = (await once(parent.stdout, "data")) as [Buffer];
      const pid = Number(line.toString("utf8"));
      const isZombie = () =>
        / Z /.test(nodeFileSystem.sync.readText(`/proc/${pid}/stat`).replace(/\(.*\)/, ""));
      await vi.waitFor(() => expect(isZombie()).toBe(true), 10_000);
      expect(liveness.verdict(tokenOf(pid))).toBe("dead");
    } finally {
      await kill(parent);
    }
  });

  it("P2 a process that reuses an owner's process number is not the owner", () => {
    const [pid, thread, started, scope, random] = parts();
    const earlier = base36(parseInt(started, 36) - 1);
    expect(liveness.verdict([pid, thread, earlier, scope, random].join("-"))).toBe("dead");
  });

  it("P7 an owner of another boot, container or host is unknown, however its process number reads", () => {
    const [pid, thread, started, , random] = parts();
    expect(liveness.verdict([pid, thread, started, "elsewhere", random].join("-"))).toBe("unknown");
    expect(liveness.verdict(["1", "1", "1", "elsewhere", random].join("-"))).toBe("unknown");
  });

  it.each(["", "-", "a-b-c", "no token"])("P7 %j is unknown", (token) => {
    expect(liveness.verdict(token)).toBe("unknown");
  });

  it("P7 a worker thread that was terminated is dead, while its process lives", async () => {
    const program = `
      const { parentPort } = require("node:worker_threads");
      const { readlinkSync } = require("node:fs");
      parentPort.postMessage(readlinkSync("/proc/thread-self"));
      setInterval(() => {}, 1000);`;
    const worker = new Worker(program, { eval: true });
    const [link] = (await once(worker, "message")) as [string];
    const thread = Number(link.split("/").at(-1));
    const stat = nodeFileSystem.sync.readText(`/proc/${process.pid}/task/${thread}/stat`);
    const started = base36(Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]));
    const [pid, , , scope, random] = parts();
    const token = [pid, base36(thread), started, scope, random].join("-");
    expect(liveness.verdict(token)).toBe("alive");
    await worker.terminate();
    await vi.waitFor(() => expect(liveness.verdict(token)).toBe("dead"), 10_000);
    expect(liveness.verdict(liveness.newToken())).toBe("alive");
  });

  it("P7 without /proc a live process number proves nothing, and a free one does", () => {
    const blind = new SystemLiveness(noProc);
    const own = blind.newToken();
    expect(own.split("-")[1]).toBe("0");
    expect(blind.verdict(own)).toBe("unknown");
    const gone = spawnSync("true").pid;
    expect(blind.verdict([base36(gone), ...own.split("-").slice(1)].join("-"))).toBe("dead");
  });

  it("P2 P12 without /proc an earlier process with the number of this one is dead, and a thread of this one is not", () => {
    const blind = new SystemLiveness(noProc);
    const [pid, thread, started = "", scope, random] = blind.newToken().split("-");
    const verdictAt = (text: string) => blind.verdict([pid, thread, text, scope, random].join("-"));
    // Version 0.1.0 has no start time there. Neither has Bun, whose threads have times of their own.
    expect(verdictAt("0")).toBe("unknown");
    if (process.versions.bun !== undefined) return expect(started).toBe("0");
    const seconds = Number.parseInt(started, 36);
    expect(Math.abs(Date.now() / 1_000 - process.uptime() - seconds)).toBeLessThan(5);
    expect(verdictAt(base36(seconds - 3))).toBe("unknown");
    expect(verdictAt(base36(seconds - 60))).toBe("dead");
    expect(verdictAt(base36(seconds + 60))).toBe("dead");
  });

  it("P2 P12 the owner that has this process's number in another container is waited for a third of a minute", () => {
    const [pid, thread, started, , random] = parts();
    const restarted = [pid, thread, started, "elsewhere", random].join("-");
    const other = [base36(process.pid + 1), thread, started, "elsewhere", random].join("-");
    const isOrphanedAfter = (token: string, seconds: number) =>
      isOrphaned(liveness, token, 1e12 - 1_000 * seconds, 1e12);
    // Owners touch their journals every 15 s.
    expect(isOrphanedAfter(restarted, 16)).toBe(false);
    expect(isOrphanedAfter(restarted, 21)).toBe(true);
    expect(isOrphanedAfter(other, 59)).toBe(false);
    expect(isOrphanedAfter(other, 61)).toBe(true);
  });

  it("P7 P12 sandboxes with process namespaces of their own and the /proc of their host prove nothing to each other", () => {
    const inNamespace = (namespace: string) =>
      new SystemLiveness({
        ...nodeFileSystem.sync,
        readlink: (path) => (path === "/proc/self/ns/pid" ? namespace : "999999/task/999999"),
      });
    const [one, two] = [inNamespace("pid:[1]"), inNamespace("pid:[2]")];
    // The number of a process that runs in the other namespace, and that is free in this one.
    const gone = spawnSync("true").pid;
    const numbered = (of: SystemLiveness) => [base36(gone), ...of.newToken().split("-").slice(1)].join("-");
    expect(one.verdict(numbered(one))).toBe("dead");
    expect(one.verdict(numbered(two))).toBe("unknown");
    expect(two.verdict(numbered(one))).toBe("unknown");
  });

  it("P7 P12 a process that /proc does not show to this user (hidepid) is not dead", async () => {
    const child = spawn("sleep", ["60"]);
    const token = tokenOf(child.pid as number);
    const isHidden = (path: string) => path.startsWith(`/proc/${child.pid}`);
    const hiding = new SystemLiveness({
      ...nodeFileSystem.sync,
      exists: (path) => !isHidden(path) && nodeFileSystem.sync.exists(path),
      readText(path) {
        if (!isHidden(path)) return nodeFileSystem.sync.readText(path);
        throw Object.assign(new Error("hidden"), { code: "ENOENT" });
      },
    });
    expect(hiding.verdict(token)).toBe("unknown");
    await kill(child);
    expect(hiding.verdict(token)).toBe("dead");
  });

  it("P7 a stat file that cannot be read proves nothing", () => {
    let isReadable = true;
    const calls: FileCalls = {
      ...nodeFileSystem.sync,
      readText(path) {
        if (isReadable) return nodeFileSystem.sync.readText(path);
        throw Object.assign(new Error("not for you"), { code: "EACCES" });
      },
    };
    const guarded = new SystemLiveness(calls);
    const token = guarded.newToken();
    isReadable = false;
    expect(guarded.verdict(token)).toBe("unknown");
  });
});

describe("P7 leases", () => {
  const reporting = (verdict: Verdict): Liveness => ({ newToken: () => "", verdict: () => verdict });
  const minute = 60_000;

  it.each([
    ["dead", 0, true],
    ["alive", 0, false],
    ["alive", 10 * minute, false],
    ["unknown", 0, false],
    ["unknown", minute, false],
    ["unknown", minute + 1, true],
    // The clock was set back: no lease lasts until it has caught up.
    ["unknown", -minute - 1, true],
  ] as const)("P7 an owner that is %s, touched %i ms ago: orphaned %s", (verdict, age, isFree) => {
    expect(isOrphaned(reporting(verdict), "token", 1e12 - age, 1e12)).toBe(isFree);
  });
});
