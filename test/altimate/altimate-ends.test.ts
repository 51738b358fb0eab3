/** The ends of a session and what follows them: crash fence, end, resume, the next session. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FileExporter, Trace } from "../../src/altimate.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import {
  answering,
  gate,
  Kept,
  live,
  never,
  sessions,
  started,
  statuses,
  tools,
  turn,
  turnsOfTheLoop,
} from "../support/altimate-stage.js";
import { Stage } from "../support/session-stage.js";
import { stateOf } from "../support/state-of.js";
import { documentOf } from "../support/trace-documents.js";

let stage: Stage;
let file: FileExporter;
beforeEach(() => {
  stage = new Stage();
  file = new FileExporter(stage.dir);
});
afterEach(() => {
  stage.remove();
});

describe("flushSync", () => {
  test("P3 writes the crashed document before it returns, and calls every exporter", () => {
    const [first, last] = [new Kept(), new Kept()];
    const throwing = new Kept();
    throwing.markCrashed = () => {
      throw new Error("no");
    };
    const trace = started([first, throwing, file, { name: "deaf", export: async () => undefined }, last]);
    trace.logStepStart({ id: "step" });
    trace.flushSync("SIGTERM");
    expect(stage.files).toEqual(["ses_1.json"]);
    expect(stage.document("ses_1").summary).toMatchObject({ status: "crashed", error: "SIGTERM" });
    expect([first.crashed, last.crashed]).toEqual([["ses_1"], ["ses_1"]]);
  });

  test("P3 makes a later endTrace return the path, export nothing, and change nothing", async () => {
    const other = answering("there");
    const trace = started([other, file]);
    trace.flushSync();
    const before = stage.bytes("ses_1");
    expect(await trace.endTrace()).toBe(`${stage.dir}/ses_1.json`);
    expect(trace.finalizeSync()).toBe(`${stage.dir}/ses_1.json`);
    expect(await file.export(documentOf("ses_1"))).toBeUndefined();
    expect(stage.bytes("ses_1")).toBe(before);
    expect(other.got).toEqual([]);
  });

  test("P3 wins over an end in flight, and over an end that has finished", async () => {
    const other = new Kept();
    const trace = started([file, other]);
    turn(trace, 1);
    const ended = trace.endTrace();
    trace.flushSync("first");
    expect(await ended).toBe(`${stage.dir}/ses_1.json`);
    expect(stage.document("ses_1").summary).toMatchObject({ status: "crashed", error: "first" });
    expect(other.got).toEqual([]);

    trace.startTrace("ses_2");
    await trace.endTrace();
    trace.flushSync("second");
    trace.flushSync("third");
    expect(stage.document("ses_2").summary).toMatchObject({ status: "crashed", error: "third" });
    expect(stage.files).toEqual(["ses_1.json", "ses_2.json"]);
  });

  test("P3 sends exporters nothing after it has returned, however far an end has come", async () => {
    for (let rounds = 0; rounds < 20; rounds++) {
      const id = `ses_${rounds}`;
      const other = new Kept();
      const trace = started([file, other], id);
      const ended = trace.endTrace();
      await vi.waitUntil(() => stage.document(id).summary.status === "completed", { interval: 0 });
      await turnsOfTheLoop(rounds);
      trace.flushSync();
      const { length } = other.got;
      await ended;
      expect(other.got).toHaveLength(length);
      expect(stage.document(id).summary.status).toBe("crashed");
    }
  });

  test("P3 is not undone by an export of the session in flight", async () => {
    const trace = started([file]);
    const exported = file.export(documentOf("ses_1"));
    trace.flushSync("why");
    expect(await exported).toBeUndefined();
    expect(stage.document("ses_1").summary).toMatchObject({ status: "crashed", error: "why" });
  });

  test("D4 lets a resumed or started session be exported again", async () => {
    for (const again of ["rehydrateFromFile", "startTrace"] as const) {
      const trace = started([file]);
      turn(trace, 1);
      trace.flushSync();
      const next = Trace.withExporters([file]);
      await next[again]("ses_1");
      turn(next, 2);
      expect(await next.endTrace()).toBe(`${stage.dir}/ses_1.json`);
      expect(await file.export(stage.document("ses_1"))).toBe(`${stage.dir}/ses_1.json`);
      expect(stage.document("ses_1").summary.status).toBe("completed");
    }
  });

  test("changes no other session of the exporter", async () => {
    const [one, two] = [started([file], "ses_1"), started([file], "ses_2")];
    one.flushSync();
    turn(two, 1);
    await two.flush();
    expect(stateOf(stage.document("ses_2").summary)).toBe("idle");
    await two.endTrace();
    expect(stage.document("ses_2").summary.status).toBe("completed");
  });
});

describe("finalizeSync", () => {
  test("writes the file and has called the remaining exporters when it returns", () => {
    const other = new Kept(never);
    const trace = started([other, file]);
    turn(trace, 1);
    expect(trace.finalizeSync()).toBe(`${stage.dir}/ses_1.json`);
    expect(stage.files).toEqual(["ses_1.json"]);
    expect(stage.document("ses_1").summary.status).toBe("completed");
    expect(statuses(other)).toEqual(["completed"]);
    expect(tools(other.got[0] as TraceFile)).toEqual(["tool1"]);
  });

  test("calls the remaining exporters also without a file", () => {
    const other = new Kept(() => {
      throw new Error("no");
    });
    expect(started([other]).finalizeSync()).toBeUndefined();
    expect(statuses(other)).toEqual(["completed"]);
  });

  test("waits for a push in flight, so that the push does not come last", async () => {
    const order: string[] = [];
    const { wait, release } = gate();
    const slow = live(async ({ summary }) => {
      if (summary.idle) await wait;
      order.push(stateOf(summary));
    });
    const trace = started([slow, file]);
    const pushed = trace.exportRemotes();
    await vi.waitUntil(() => slow.got.length > 0);
    trace.finalizeSync();
    expect(order).toEqual([]);
    release();
    await pushed;
    await vi.waitUntil(() => order.length === 2);
    expect(order).toEqual(["idle", "completed"]);
  });

  test("P3 sends exporters nothing that a crash fence has replaced while it waited for a push", async () => {
    const { wait, release } = gate();
    const slow = live(() => wait);
    const trace = started([slow, file]);
    const pushed = trace.exportRemotes();
    await vi.waitUntil(() => slow.got.length > 0);
    trace.finalizeSync();
    trace.flushSync("killed");
    release();
    await pushed;
    await turnsOfTheLoop(50);
    expect(statuses(slow)).toEqual(["idle"]);
    expect(stage.document("ses_1").summary).toMatchObject({ status: "crashed", error: "killed" });
  });
});

describe("one object, several sessions", () => {
  test.each([[true], [false]])(
    "D12 the open session ends in its own document (with a file: %s)",
    async (withFile) => {
      const other = new Kept();
      const trace = started(withFile ? [file, other] : [other], "ses_1");
      turn(trace, 1);
      trace.startTrace("ses_2");
      turn(trace, 2);
      expect(sessions(other)).toEqual(["ses_1"]);
      await trace.endTrace();
      expect(sessions(other)).toEqual(["ses_1", "ses_2"]);
      expect(statuses(other)).toEqual(["completed", "completed"]);
      expect(other.got.map(tools)).toEqual([["tool1"], ["tool2"]]);
      if (!withFile) return;
      expect(stage.document("ses_1").summary.status).toBe("completed");
      expect(tools(stage.document("ses_2"))).toEqual(["tool2"]);
      expect(stage.files).toEqual(["ses_1.json", "ses_2.json"]);
    },
  );

  test("D10 the same id continues its document", async () => {
    const trace = started([file]);
    turn(trace, 1);
    trace.startTrace("ses_1", { title: "new" });
    turn(trace, 2);
    await trace.endTrace();
    expect(stage.files).toEqual(["ses_1.json"]);
    expect(tools(stage.document("ses_1"))).toEqual(["tool1", "tool2"]);
    expect(stage.document("ses_1").metadata.title).toBe("new");
  });

  test("a failed resume changes nothing, a successful one ends the open session", async () => {
    await started([file], "old").endTrace();
    const other = new Kept();
    const trace = started([file, other], "ses_1");
    expect(await trace.rehydrateFromFile("missing")).toBe(false);
    turn(trace, 1);
    expect(trace.getTracePath()).toBe(`${stage.dir}/ses_1.json`);
    expect(await trace.rehydrateFromFile("old")).toBe(true);
    expect(trace.getTracePath()).toBe(`${stage.dir}/old.json`);
    expect(statuses(other)).toEqual(["completed"]);
    turn(trace, 2);
    await trace.endTrace();
    expect(sessions(other)).toEqual(["ses_1", "old"]);
    expect(tools(stage.document("ses_1"))).toEqual(["tool1"]);
    expect(tools(stage.document("old"))).toEqual(["tool2"]);
  });

  test("D4 rehydrateFromFile continues where another object stopped, a hundred times", async () => {
    let trace = started([file]);
    for (let n = 0; n < 100; n++) {
      turn(trace, n);
      if (n % 3 === 0) await trace.endTrace();
      if (n % 3 === 1) trace.finalizeSync();
      if (n % 3 === 2) trace.flushSync();
      trace = Trace.withExporters([file]);
      expect(await trace.rehydrateFromFile("ses_1")).toBe(true);
    }
    await trace.endTrace();
    expect(tools(stage.document("ses_1"))).toHaveLength(100);
    expect(stage.document("ses_1").summary).toMatchObject({
      status: "completed",
      totalToolCalls: 100,
      totalGenerations: 100,
      totalTokens: 1_500,
    });
    expect(stage.files).toEqual(["ses_1.json"]);
  });
});
