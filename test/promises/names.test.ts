/**
 * Session ids that are hard on file names: each session has a document of its own, in the directory, with its raw
 * id.
 */
import * as fs from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Clock, systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { SystemLiveness } from "../../src/platform/liveness.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { CommandedHost } from "../support/commanded-host.js";
import { foldingFileSystem } from "../support/folding-file-system.js";
import { Sandbox, SessionHost, spanNames } from "../support/session-host.js";

const hardIds = [
  "ses_1",
  "0197f3d2-8c1e-7b53-a1c9-5d2c1f0e9b7a",
  "../../etc/x",
  "..",
  ".",
  "/abs",
  "/",
  "C:\\x",
  "a/b",
  "a_b",
  "a.b",
  "a:b",
  "nul\0byte",
  "bell\u0007",
  "line\nbreak",
  'quote"d',
  "it's",
  "x".repeat(300),
  `${"x".repeat(299)}y`,
  "漢".repeat(60),
  `${"漢".repeat(59)}字`,
  "😀".repeat(40),
  "\ud800",
  "\udc00",
  "\ufffd",
  "CON",
  "com1",
  "nul",
  "trailing space ",
  "trailing space",
  "trailing.",
  "unknown",
  "__proto__",
  "constructor",
  "Session",
  "session",
  "SESSION",
  "caf\u00e9",
  "cafe\u0301",
  "x.json",
  "x.json.lock",
  "-",
  "*?<>|",
  "%2e%2e",
];

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => sandbox.remove());

/** Every id has one document with these spans, and the directory holds no other document. */
function expectDocuments(ids: readonly string[], names: readonly string[], status: string): void {
  const documents = sandbox.documents();
  expect(new Set(documents.keys())).toEqual(new Set(ids));
  for (const [id, document] of documents) {
    expect([id, spanNames(document).sort()]).toEqual([id, [...names].sort()]);
    expect([id, document.summary.status]).toEqual([id, status]);
    for (const span of document.spans)
      if (span.kind !== "session") expect([id, span.attributes?.["recorded.by"]]).toEqual([id, id]);
  }
  expect(sandbox.all).toEqual(["traces", ...sandbox.files.map((name) => `traces/${name}`)]);
  expect(sandbox.files.filter((name) => !name.endsWith(".json"))).toEqual([]);
  expect(sandbox.files).toHaveLength(ids.length);
}

describe("P7 P9 session ids of any kind", () => {
  it("P7 P9 in one process have one document each, inside the directory", async () => {
    const host = new SessionHost({ dir: sandbox.traces });
    const open = hardIds.map((id) => host.start(id, "slow"));
    for (const id of hardIds) host.record(id, "quick");
    for (const span of open) span.end();
    await host.processor.forceFlush();
    for (const id of hardIds) {
      const path = host.exporter.tracePath(id);
      expect([id, JSON.parse(fs.readFileSync(path, "utf8")).id]).toEqual([id, id]);
    }
    for (const id of hardIds) host.record(id, "late");
    await host.processor.shutdown();
    expectDocuments(hardIds, ["slow", "quick", "late"], "completed");
  });

  it("P7 P9 in reverse order, resumed twice, and fenced, find their own documents", async () => {
    for (const ids of [hardIds, [...hardIds].reverse()]) {
      const host = new SessionHost({ dir: sandbox.traces });
      for (const id of ids) host.record(id, "work");
      await host.processor.shutdown();
    }
    expectDocuments(hardIds, ["work", "work"], "completed");
    const host = new SessionHost({ dir: sandbox.traces });
    for (const id of [...hardIds].reverse()) host.record(id, "more");
    host.processor.crash("enough");
    expectDocuments(hardIds, ["work", "work", "more"], "crashed");
    await host.processor.shutdown();
  });

  it("P7 the end of one session changes no other session", async () => {
    const host = new SessionHost({ dir: sandbox.traces });
    for (const id of hardIds) host.record(id, "work");
    for (const id of hardIds) await host.exporter.endSession(id);
    expectDocuments(hardIds, ["work"], "completed");
    await host.processor.shutdown();
  });

  it("P7 an empty session id counts as absent: the span belongs to the session of its trace", async () => {
    const host = new SessionHost({ dir: sandbox.traces, sessionId: () => "" });
    const span = host.start("", "work");
    span.end();
    await host.processor.shutdown();
    expect([...sandbox.documents().keys()]).toEqual([span.spanContext().traceId]);
  });

  it("P7 ids that share a name where the file system folds letter case and Unicode forms get documents of their own", async () => {
    const ports = () => ({
      fileSystem: foldingFileSystem(sandbox.root),
      liveness: new SystemLiveness(nodeFileSystem.sync),
    });
    for (const ids of [hardIds, [...hardIds].reverse()]) {
      const host = new SessionHost({ dir: sandbox.traces }, ports());
      for (const id of ids) host.record(id, "work");
      await host.processor.forceFlush();
      for (const id of ids) host.record(id, "more");
      await host.processor.shutdown();
    }
    expectDocuments(hardIds, ["work", "more", "work", "more"], "completed");
    const folded = sandbox.files.map((name) => name.normalize("NFC").toLowerCase());
    expect(new Set(folded).size).toBe(folded.length);
  });
});

/** A clock whose timers never fire, so that the host publishes only on request. */
const timerless: Clock = {
  ...systemClock,
  after: () => ({ cancel: () => {} }),
  every: () => ({ cancel: () => {} }),
};

describe("P7 two ids under one file name, until one of them is published", () => {
  const hosts = () => {
    const newHost = () => new SessionHost({ dir: sandbox.traces }, { clock: timerless });
    return [newHost(), newHost()] as const;
  };

  it("P7 a session ends while the other session continues", async () => {
    const [one, other] = hosts();
    one.record("a_b", "work");
    other.record("a/b", "work");
    await one.processor.shutdown();
    expect(sandbox.documents().get("a_b")?.summary.status).toBe("completed");
    await other.processor.shutdown();
    expectDocuments(["a_b", "a/b"], ["work"], "completed");
  });

  it("P7 a crash fence of one session does not mark the other", async () => {
    const [one, other] = hosts();
    one.start("a_b", "work");
    other.record("a/b", "work");
    one.processor.crash("enough");
    await other.processor.shutdown();
    const statuses = [...sandbox.documents()].map(([id, { summary }]) => [id, summary.status]);
    expect(statuses.sort()).toEqual([
      ["a/b", "completed"],
      ["a_b", "crashed"],
    ]);
    await one.processor.shutdown();
  });

  it("P7 a reader of one session gets nothing of the other", async () => {
    const [one, other] = hosts();
    one.record("a_b", "mine");
    other.record("a/b", "not mine");
    await one.processor.forceFlush();
    const { trace } = await readTrace(`${sandbox.traces}/a_b.json`);
    expect([trace.id, spanNames(trace)]).toEqual(["a_b", ["mine"]]);
    await Promise.all([one.processor.shutdown(), other.processor.shutdown()]);
  });
});

describe.skipIf(process.platform === "win32")(
  "P7 ids that would share a file name, in several processes",
  () => {
    const processes: CommandedHost[] = [];
    const newProcess = () => {
      const child = new CommandedHost(sandbox.traces);
      processes.push(child);
      return child;
    };
    afterEach(async () => {
      for (const child of processes.splice(0)) await child.kill();
    });
    const orders = [
      ["a/b", "a_b"],
      ["a_b", "a/b"],
    ] as const;

    it.each(orders)(
      "P7 %j, then %j, are killed and recovered under their own names",
      async (first, second) => {
        const one = newProcess();
        const other = newProcess();
        await one.command("start", [first]);
        await other.command("start", [second]);
        await one.command("record", [first], "quick");
        await other.command("record", [second], "quick");
        await one.kill();
        await other.kill();
        processes.length = 0;
        const report = await recoverTraces(sandbox.traces);
        expect(report.failures).toEqual([]);
        expectDocuments([first, second], ["work", "quick"], "crashed");
      },
    );

    it.each(orders)("P7 %j, then %j, publish and end under their own names", async (first, second) => {
      const one = newProcess();
      const other = newProcess();
      await Promise.all([one.command("record", [first]), other.command("record", [second])]);
      await Promise.all([one.command("flush"), other.command("flush")]);
      await one.command("record", [first], "more");
      await one.command("shutdown");
      await other.command("record", [second], "more");
      await other.command("shutdown");
      expectDocuments([first, second], ["work", "more"], "completed");
    });

    it.each(orders)(
      "P7 %j is killed while %j continues, and resumes under another name",
      async (first, second) => {
        const one = newProcess();
        const other = newProcess();
        await Promise.all([one.command("record", [first]), other.command("record", [second])]);
        await one.kill();
        processes.shift();
        // Recovery runs while a live writer of the other id has side files of the same base name.
        expect((await recoverTraces(sandbox.traces)).failures).toEqual([]);
        const next = newProcess();
        await next.command("record", [first], "more");
        await other.command("record", [second], "more");
        await next.command("shutdown");
        await other.command("shutdown");
        expectDocuments([first, second], ["work", "more"], "completed");
      },
    );

    it("P7 every id is killed, recovered by the next process, and resumed there", async () => {
      const one = newProcess();
      await one.command("start", hardIds);
      await one.command("record", hardIds, "quick");
      await one.kill();
      processes.length = 0;
      expect((await recoverTraces(sandbox.traces)).failures).toEqual([]);
      expectDocuments(hardIds, ["work", "quick"], "crashed");
      const next = newProcess();
      await next.command("record", [...hardIds].reverse(), "more");
      await next.command("shutdown");
      expectDocuments(hardIds, ["work", "quick", "more"], "completed");
    });
  },
);
