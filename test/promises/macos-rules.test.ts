/** macOS's rules by the port: folded names in decomposed form, no /proc, Linux's renames. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { Ground, onGround } from "../../src/platform/ground.js";
import { SystemLiveness } from "../../src/platform/liveness.js";
import { probeGround } from "../../src/recovery/ground-probe.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { macosFileSystem } from "../support/macos-file-system.js";
import { Sandbox, SessionHost, spanNames } from "../support/session-host.js";

const ids = ["Session", "session", "caf\u00e9", "cafe\u0301", "CAFÉ", "\uac00", "a/b", "n".repeat(200)];

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => sandbox.remove());

const ports = () => {
  const fileSystem = macosFileSystem(sandbox.root);
  return { fileSystem, liveness: new SystemLiveness(fileSystem.sync) };
};

test("P7 P12 each session has a document of its own, through a resume, an end and a crash", async () => {
  for (const order of [ids, [...ids].reverse()]) {
    const host = new SessionHost({ dir: sandbox.traces }, ports());
    for (const id of order) host.record(id, "work");
    await host.processor.forceFlush();
    for (const id of order) host.record(id, "more");
    await host.processor.shutdown();
  }
  const host = new SessionHost({ dir: sandbox.traces }, ports());
  for (const id of ids) host.record(id, "last");
  for (const id of ids) host.start(id, "open");
  host.processor.crash("enough");
  const documents = sandbox.documents();
  expect(new Set(documents.keys())).toEqual(new Set(ids));
  for (const document of documents.values()) {
    expect(spanNames(document)).toEqual(expect.arrayContaining(["work", "more", "last", "open"]));
    expect(document.summary.status).toBe("crashed");
  }
  expect(sandbox.files.filter((name) => !name.endsWith(".json"))).toEqual([]);
  await host.processor.shutdown();
});

test("P2 P12 two writers end with the union of their spans, and one that is alive is left alone by recovery", async () => {
  const [one, two] = [1, 2].map(() => new SessionHost({ dir: sandbox.traces }, ports()));
  for (let round = 0; round < 3; round++) {
    one?.record("caf\u00e9", `one ${round}`);
    two?.record("caf\u00e9", `two ${round}`);
    await Promise.all([one?.processor.forceFlush(), two?.processor.forceFlush()]);
  }
  const report = await recoverDirectory({ ...ports(), clock: systemClock }, sandbox.traces);
  expect([report.sessions.length, report.running]).toEqual([0, 1]);
  await one?.processor.shutdown();
  await two?.processor.shutdown();
  const [document] = sandbox.documents().values();
  expect(spanNames(document as TraceFile).length).toBe(6);
  expect(sandbox.files).toHaveLength(1);
});

test("P2 P12 a process that was killed is known by its number, and recovered", async () => {
  mkdirSync(sandbox.traces, { recursive: true });
  const program = join(import.meta.dirname, "../programs/restricted-session.mjs");
  // In the program, /proc is that of Linux: its token is renamed to one without a start time, of this host.
  const { signal } = spawnSync(process.execPath, [program, sandbox.traces, "kill"]);
  expect(signal).toBe("SIGKILL");
  const { fileSystem, liveness } = ports();
  const own = liveness.newToken().split("-");
  for (const name of readdirSync(sandbox.traces)) {
    const [token = ""] = /[0-9a-z]+(?:-[0-9a-z]+){4}/.exec(name) ?? [];
    if (token === "") continue;
    const [pid, , , , random] = token.split("-");
    const without = [pid, "0", own[2], own[3], random].join("-");
    fileSystem.sync.rename(join(sandbox.traces, name), join(sandbox.traces, name.replace(token, without)));
  }
  const recovery = { fileSystem: onGround(fileSystem, new Ground()), liveness, clock: systemClock };
  const report = await recoverDirectory(recovery, sandbox.traces);
  expect([report.sessions.length, report.failures, report.running]).toEqual([1, [], 0]);
  const document = JSON.parse(readFileSync(join(sandbox.traces, "s.json"), "utf8"));
  expect(spanNames(document)).toEqual(["one", "two"]);
  expect(readdirSync(sandbox.traces)).toEqual(["s.json"]);
});

test("P12 the probe names what macOS does otherwise, and nothing else", async () => {
  mkdirSync(sandbox.traces, { recursive: true });
  const answers = await probeGround({ ...ports(), clock: systemClock }, sandbox.traces);
  const missing = answers.filter(({ isGiven }) => !isGiven).map(({ capability }) => capability);
  expect(missing).toEqual(["letterCase", "unicodeForm", "processIdentity"]);
});
