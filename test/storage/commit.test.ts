/** The commit alone: which writer may rename a file to a session's name, and when. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../src/platform/clock.js";
import { errorCode, type FileCalls, nodeFileSystem } from "../../src/platform/file-system.js";
import { runAsync, runSync } from "../../src/platform/gensync.js";
import type { Verdict } from "../../src/platform/liveness.js";
import { type CommitOutcome, type CommitRequest, commit, commitFirst } from "../../src/storage/commit.js";
import { type Identity, isSameVersion } from "../../src/storage/identity.js";

let dir: string;
let verdicts: Map<string, Verdict>;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "commit-"));
  verdicts = new Map();
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Each read of the clock is 100 ms later than the last, so that the lock timeout ends after three. */
function impatientClock(): Clock {
  let millis = 0;
  return {
    ...systemClock,
    monotonic: () => {
      millis += 100;
      return millis;
    },
  };
}

function portsOf(calls: Partial<FileCalls> = {}, clock: Clock = impatientClock()) {
  const liveness = { newToken: () => "", verdict: (token: string) => verdicts.get(token) ?? "alive" };
  return { fileSystem: { ...nodeFileSystem, sync: { ...nodeFileSystem.sync, ...calls } }, liveness, clock };
}

const path = (name = "s.json") => join(dir, name);
const content = () => readFileSync(path(), "utf8");
const current = (): Identity | undefined => nodeFileSystem.sync.lstat(path());

function requestOf(token: string, members: Partial<CommitRequest> = {}): CommitRequest {
  const source = path(`s.json.tmp.${token}`);
  writeFileSync(source, token);
  return {
    files: { dir, name: "s" },
    token,
    source,
    by: "move",
    base: current(),
    mayCommit: () => true,
    ...members,
  };
}

const commitNow = (request: CommitRequest, ports = portsOf(), how = commit): CommitOutcome =>
  runSync(ports.fileSystem, how(ports, request));

function claim(token: string): void {
  mkdirSync(path("s.json.lock"), { recursive: true });
  writeFileSync(path(`s.json.lock/${token}`), token);
}

describe("P7 a commit", () => {
  test.each(["move", "link"] as const)("P7 by %s gives the source the session's name", (by) => {
    expect(commitNow(requestOf("a", { by }))).toBe("committed");
    expect(commitNow(requestOf("b", { by }))).toBe("committed");
    expect(content()).toBe("b");
    const kept = by === "link" ? ["s.json.tmp.a", "s.json.tmp.b"] : [];
    expect(readdirSync(dir).sort()).toEqual(["s.json", ...kept]);
  });

  test("P7 against another document than its base is superseded, and keeps its source", () => {
    const early = requestOf("a");
    commitNow(requestOf("b"));
    expect(commitNow(early)).toBe("superseded");
    expect(commitNow(requestOf("c", { base: undefined }))).toBe("superseded");
    expect(content()).toBe("b");
    expect(readFileSync(early.source, "utf8")).toBe("a");
    const orphan = requestOf("d");
    rmSync(path());
    expect(commitNow(orphan)).toBe("superseded");
    expect(existsSync(path())).toBe(false);
    expect(existsSync(path("s.json.lock"))).toBe(false);
  });

  test("P3 that was cancelled changes nothing, also when it has waited", async () => {
    expect(commitNow(requestOf("a", { mayCommit: () => false }))).toBe("fenced");
    claim("other");
    let asked = 0;
    const ports = portsOf({}, systemClock);
    const waited = commit(ports, requestOf("b", { mayCommit: () => ++asked < 3 }));
    expect(await runAsync(ports.fileSystem, waited)).toBe("fenced");
    expect(existsSync(path())).toBe(false);
    expect(readFileSync(path("s.json.lock/other"), "utf8")).toBe("other");
  });

  test("P7 waits for a live claim, and continues when the claim is withdrawn", async () => {
    claim("other");
    const ports = portsOf({}, { ...systemClock, monotonic: () => 0 });
    let looks = 0;
    const readdir = ports.fileSystem.sync.readdir;
    ports.fileSystem.sync.readdir = (at) => {
      if (++looks === 4) rmSync(path("s.json.lock/other"));
      return readdir(at);
    };
    expect(await runAsync(ports.fileSystem, commit(ports, requestOf("a")))).toBe("committed");
    expect(looks).toBe(4);
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });

  test("P7 removes the claims of dead owners at once", () => {
    for (const token of ["x", "y"]) {
      claim(token);
      verdicts.set(token, "dead");
    }
    expect(commitNow(requestOf("a"), portsOf({}, { ...systemClock, monotonic: () => 0 }))).toBe("committed");
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });

  test.each(["unknown", "alive"] as const)(
    "P7 revokes a claim of an owner that is %s when the lock timeout ends",
    (verdict) => {
      claim("x");
      verdicts.set("x", verdict);
      expect(commitNow(requestOf("a"))).toBe("committed");
      expect(() => nodeFileSystem.sync.rename(path("s.json.lock/x"), path())).toThrow("ENOENT");
      expect(content()).toBe("a");
    },
  );

  test.each(["move", "link"] as const)("P7 by %s survives that its own earlier claim still exists", (by) => {
    claim("a");
    expect(commitNow(requestOf("a", { by }))).toBe("committed");
    expect(content()).toBe("a");
    expect(existsSync(path("s.json.lock"))).toBe(false);
  });

  test.each(["EPERM", "ENOTSUP", "EMLINK", "EXDEV"])("P6 returns that links fail with %s", (code) => {
    const link = () => {
      throw Object.assign(new Error(code), { code });
    };
    expect(commitNow(requestOf("a", { by: "link" }), portsOf({ link }))).toBe("unlinkable");
    expect(readdirSync(dir)).toEqual(["s.json.tmp.a"]);
  });

  test("P9 follows no symlink and no file in the place of its lock", () => {
    const elsewhere = mkdtempSync(join(tmpdir(), "commit-elsewhere-"));
    try {
      symlinkSync(elsewhere, path("s.json.lock"));
      expect(errorOf(() => commitNow(requestOf("a")))).toBe("EEXIST");
      rmSync(path("s.json.lock"));
      writeFileSync(path("s.json.lock"), "");
      expect(errorOf(() => commitNow(requestOf("a")))).toBe("EEXIST");
      expect(readdirSync(elsewhere)).toEqual([]);
      expect(existsSync(path())).toBe(false);
      expect(readFileSync(path("s.json.tmp.a"), "utf8")).toBe("a");
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });

  test("P9 replaces a symlink in the place of the document, and leaves its target alone", () => {
    writeFileSync(path("target"), "mine");
    symlinkSync(path("target"), path());
    expect(commitNow(requestOf("a", { base: undefined }))).toBe("committed");
    expect(lstatSync(path()).isFile()).toBe(true);
    expect(readFileSync(path("target"), "utf8")).toBe("mine");
  });

  test("P6 that cannot rename throws the cause, and leaves neither claim nor lock", () => {
    const rename: FileCalls["rename"] = (from, to) => {
      if (to === path()) throw Object.assign(new Error("no"), { code: "EACCES" });
      nodeFileSystem.sync.rename(from, to);
    };
    expect(errorOf(() => commitNow(requestOf("a"), portsOf({ rename })))).toBe("EACCES");
    expect(readdirSync(dir)).toEqual(["s.json.tmp.a"]);
  });
});

function errorOf(run: () => void): string | undefined {
  try {
    run();
  } catch (error) {
    return errorCode(error);
  }
  return "nothing was thrown";
}

/** Calls that let another committer run before the nth of them. */
function stoppedBefore(n: number, meanwhile: () => void, own: Partial<FileCalls> = {}): FileCalls {
  let calls = 0;
  return Object.fromEntries(
    Object.entries({ ...nodeFileSystem.sync, ...own }).map(([name, run]) => [
      name,
      (...args: never[]) => {
        if (++calls === n) meanwhile();
        return (run as (...args: never[]) => unknown)(...args);
      },
    ]),
  ) as unknown as FileCalls;
}

/**
 * Stops one committer before its nth call to the file system, lets another commit meanwhile, and checks whether an
 * update was lost: both commits succeed, and neither has the other as its base.
 */
function lostUpdates(
  by: "move" | "link",
  broken: (token: string) => Partial<FileCalls> = () => ({}),
): number[] {
  const lost: number[] = [];
  for (let n = 1; ; n++) {
    rmSync(dir, { recursive: true });
    mkdirSync(dir);
    commitNow(requestOf("zero"));
    const request = requestOf("a", { by });
    let other: { outcome: CommitOutcome; base: Identity | undefined } | undefined;
    const meanwhile = () => {
      const late = requestOf("b");
      other = { outcome: commitNow(late, portsOf(broken("b"))), base: late.base };
    };
    const outcome = commitNow(request, portsOf(stoppedBefore(n, meanwhile, broken("a"))));
    if (other === undefined) return lost;
    const isBuiltOnIt = !(other.base && request.base && isSameVersion(other.base, request.base));
    if (outcome === "committed" && other.outcome === "committed" && !isBuiltOnIt) lost.push(n);
    expect(["committed", "superseded"]).toContain(outcome);
    expect(readdirSync(dir).filter((name) => name.includes("lock"))).toEqual([]);
  }
}

/** Sees only its own claim. */
const alone = (token: string) => ({
  readdir: (at: string) => readdirSync(at).filter((name) => name === token),
});

/** Like {@link lostUpdates}, for a session without a document: two that commit would be one too many. */
function lostFirsts(stopped: typeof commit, other: typeof commit, broken: Partial<FileCalls> = {}): number[] {
  const lost: number[] = [];
  for (let n = 1; ; n++) {
    rmSync(dir, { recursive: true });
    mkdirSync(dir);
    const request = requestOf("a");
    const late = requestOf("b");
    let second: CommitOutcome | undefined;
    const meanwhile = () => {
      second = commitNow(late, portsOf(broken), other);
    };
    const first = commitNow(request, portsOf(stoppedBefore(n, meanwhile)), stopped);
    if (second === undefined) return lost;
    if ([first, second].filter((outcome) => outcome === "committed").length !== 1) lost.push(n);
    else expect(content()).toBe(first === "committed" ? "a" : "b");
  }
}

describe("P7 the first document of a session", () => {
  test.each([
    ["without a lock, by one", commitFirst, commit],
    ["without a lock, by the other", commit, commitFirst],
    ["without a lock, by both", commitFirst, commitFirst],
    ["under the lock", commit, commit],
  ])("P7 is committed once, whichever committer stands still when: %s", (_, stopped, other) => {
    expect(lostFirsts(stopped, other)).toEqual([]);
  });

  test("P7 would be overwritten if the claims of others were left", () => {
    const lstat: FileCalls["lstat"] = (at) =>
      at === path("s.json.lock") ? undefined : nodeFileSystem.sync.lstat(at);
    expect(lostFirsts(commit, commitFirst, { lstat })).not.toEqual([]);
  });

  test("P13 takes its name with one link, and no lock", () => {
    const called: string[] = [];
    const request = requestOf("a");
    const calls = Object.fromEntries(
      Object.entries(nodeFileSystem.sync).map(([name, run]) => [
        name,
        (...args: never[]) => {
          called.push(name);
          return (run as (...args: never[]) => unknown)(...args);
        },
      ]),
    );
    expect(commitNow(request, portsOf(calls), commitFirst)).toBe("committed");
    expect(called).toEqual(["lstat", "link", "lstat"]);
    expect(readdirSync(dir)).toEqual(["s.json", "s.json.tmp.a"]);
  });

  test.each(["EPERM", "ENOTSUP", "EMLINK"])(
    "P12 is committed under the lock if links fail with %s",
    (code) => {
      const link = () => {
        throw Object.assign(new Error(code), { code });
      };
      expect(commitNow(requestOf("a"), portsOf({ link }), commitFirst)).toBe("committed");
      expect(readdirSync(dir)).toEqual(["s.json"]);
    },
  );

  test("P9 replaces a symlink in the place of the document, and follows no file in the place of the lock", () => {
    writeFileSync(path("target"), "mine");
    symlinkSync(path("target"), path());
    const request = requestOf("a", { base: undefined });
    expect(commitNow(request, portsOf(), commitFirst)).toBe("committed");
    expect(lstatSync(path()).isFile()).toBe(true);
    expect(readFileSync(path("target"), "utf8")).toBe("mine");
    rmSync(path());
    rmSync(path("target"));
    writeFileSync(path("s.json.lock"), "mine");
    expect(commitNow(requestOf("b"), portsOf(), commitFirst)).toBe("committed");
    expect(readFileSync(path("s.json.lock"), "utf8")).toBe("mine");
  });

  test("P9 is no link to a file of the user, if its copy was replaced by one", () => {
    const request = requestOf("a", { base: undefined });
    writeFileSync(path("target"), "mine");
    rmSync(request.source);
    symlinkSync(path("target"), request.source);
    expect(() => commitNow(request, portsOf(), commitFirst)).toThrow(/regular file/);
    expect(lstatSync(path(), { throwIfNoEntry: false })).toBeUndefined();
  });

  test("P3 that was cancelled changes nothing", () => {
    expect(commitNow(requestOf("a", { mayCommit: () => false }), portsOf(), commitFirst)).toBe("fenced");
    expect(readdirSync(dir)).toEqual(["s.json.tmp.a"]);
  });
});

describe("P7 a committer that is stopped before any of its calls", () => {
  test.each(["move", "link"] as const)("P7 overwrites nothing when it continues (by %s)", (by) => {
    expect(lostUpdates(by)).toEqual([]);
  });

  test.each(["move", "link"] as const)(
    "P7 would lose an update if it did not see the other claims in the lock (by %s)",
    (by) => {
      expect(lostUpdates(by, alone)).not.toEqual([]);
    },
  );

  test.each(["move", "link"] as const)(
    "P7 would lose an update if it did not check which document exists (by %s)",
    (by) => {
      let base: ReturnType<FileCalls["lstat"]>;
      const lstat: FileCalls["lstat"] = (at) => {
        const stat = nodeFileSystem.sync.lstat(at);
        if (at !== path()) return stat;
        // Always the document that was its base.
        if (readFileSync(at, "utf8") === "zero") base = stat;
        return base;
      };
      expect(lostUpdates(by, () => ({ lstat }))).not.toEqual([]);
    },
  );
});
