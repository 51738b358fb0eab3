/** What exporters get of a session, when, and what they may return. */
import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FileExporter, Trace, type TraceExporter } from "../../src/altimate.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import type { SpanProcessor } from "../../src/otel/types.js";
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

let stage: Stage;
let file: FileExporter;
beforeEach(() => {
  stage = new Stage();
  file = new FileExporter(stage.dir);
});
afterEach(() => {
  stage.remove();
});

/** A document without the values that differ from run to run. */
function normal({ spans, summary, ...rest }: TraceFile) {
  const numbers = new Map(spans.map(({ spanId }, index) => [spanId, index]));
  const traces = [...new Set(spans.map(({ traceId }) => traceId))];
  return {
    ...rest,
    ...{ traceId: "", startedAt: "", endedAt: "", layout: undefined },
    summary: {
      ...summary,
      duration: 0,
      lastActivityAt: "",
      narrative: summary.narrative?.replace(/\d+ms/, ""),
    },
    spans: spans.map(({ spanId, parentSpanId, traceId, startTime, endTime, ...span }) => ({
      ...span,
      number: numbers.get(spanId),
      parent: numbers.get(parentSpanId ?? ""),
      trace: traces.indexOf(traceId),
      isOver: endTime !== undefined && startTime <= endTime,
    })),
  };
}

describe("the result of endTrace", () => {
  const end = (...exporters: TraceExporter[]) => {
    const trace = started(exporters);
    turn(trace, 1);
    return trace.endTrace();
  };

  test("is the first string that is not empty, in the order of exporters", async () => {
    const slow = new Kept(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return "slow";
    });
    expect(await end(slow, answering("fast"), file)).toBe("slow");
    expect(await end(file, answering("there"))).toBe(`${stage.dir}/ses_1.json`);
    expect(await end(answering(""), answering("there"))).toBe("there");
    expect(await end(answering(undefined), file, answering("there"))).toBe(`${stage.dir}/ses_1.json`);
  });

  test.each([undefined, null, 7, true, {}, ["x"], new Date(0)])("is never %s", async (answer) => {
    expect(await end(answering(answer), new Kept(() => answer))).toBeUndefined();
  });

  test("P6 one exporter's failure does not reach another exporter", async () => {
    const throwing = new Kept(() => {
      throw new Error("no");
    });
    const rejecting = new Kept(() => Promise.reject(new Error("no")));
    const hostile = new Kept(() => ({
      // biome-ignore lint/suspicious/noThenProperty: an exporter may return anything
      get then() {
        throw new Error("no");
      },
    }));
    const last = answering("there");
    expect(await end(throwing, rejecting, hostile, last)).toBe("there");
    expect(statuses(last)).toEqual(["completed"]);
  });

  test("P6 exporters that never answer take five seconds together", async () => {
    const spanProcessor = { onStart() {}, onEnd() {}, forceFlush: never, shutdown: never } as SpanProcessor;
    const warned: unknown[] = [];
    const trace = started([live(never), new Kept(never), answering("there")], "ses_1", {
      spanProcessors: [spanProcessor],
      logger: { warn: (_message, fields) => warned.push(fields?.error) },
    });
    const ended = Promise.race([
      trace.endTrace(),
      new Promise((resolve) => setTimeout(resolve, 9_000, "too late")),
    ]);
    expect(await ended).toBe("there");
    const message = expect.stringContaining("no answer in 5000 ms");
    const late = expect.objectContaining({ code: "EXPORT_TIMEOUT", message });
    expect(warned).toEqual([late, late]);
  });

  test("exporters run concurrently", async () => {
    const { wait, release } = gate();
    const first = new Kept(() => wait.then(() => "first"));
    const second = new Kept(async () => release());
    expect(await end(first, second)).toBe("first");
  });
});

describe("the document that exporters get", () => {
  test("equals the file", async () => {
    const other = new Kept();
    const trace = started([file, other]);
    turn(trace, 1);
    await trace.endTrace();
    const { layout: _, ...written } = stage.document("ses_1");
    expect(other.got).toMatchObject([written]);
  });

  test("is equal without a file, except for ids and times", async () => {
    const reported = async (exporters: TraceExporter[], kept: Kept) => {
      const trace = started(exporters);
      for (const number of [1, 2, 3]) turn(trace, number);
      trace.logStepStart({ id: "open" });
      trace.setSpanAttributes({ "de.tables": ["a", "b"] }, "session");
      await trace.endTrace();
      return normal(kept.got[0] as TraceFile);
    };
    const [beside, alone] = [new Kept(), new Kept()];
    expect(await reported([alone], alone)).toEqual(await reported([file, beside], beside));
  });

  test("needs no file where there is no file exporter", async () => {
    const other = answering("there");
    const trace = started([other]);
    expect(trace.getTracePath()).toBeUndefined();
    expect(await trace.rehydrateFromFile("ses_1")).toBe(false);
    expect(await trace.endTrace()).toBe("there");
    expect(sessions(other)).toEqual(["ses_1"]);
  });

  test.each(["endTrace", "finalizeSync"] as const)(
    "P6 is complete where the directory cannot be written to (%s)",
    async (end) => {
      writeFileSync(`${stage.dir}/file`, "");
      const other = live(async () => "there");
      const trace = started([new FileExporter(`${stage.dir}/file/traces`), other]);
      turn(trace, 1);
      await trace.exportRemotes();
      turn(trace, 2);
      expect(await trace[end]()).toBe(end === "endTrace" ? "there" : undefined);
      expect(statuses(other)).toEqual(["idle", "completed"]);
      expect(other.got.map(tools)).toEqual([["tool1"], ["tool1", "tool2"]]);
      expect(stage.files).toEqual(["file"]);
    },
  );

  test.each(["nul\0byte", "\0"])("P6 is complete where the directory is invalid: %j", async (dir) => {
    const other = answering("there");
    const trace = started([new FileExporter(dir), other]);
    turn(trace, 1);
    expect(await trace.endTrace()).toBe("there");
    expect(other.got.map(tools)).toEqual([["tool1"]]);
  });

  test("is sent by a second file exporter, too: it gets the whole document", async () => {
    const second = new FileExporter(`${stage.dir}/copy`);
    const trace = started([file, second]);
    turn(trace, 1);
    expect(await trace.endTrace()).toBe(`${stage.dir}/ses_1.json`);
    const copy = JSON.parse(readFileSync(`${stage.dir}/copy/ses_1.json`, "utf8"));
    expect(copy.spans).toEqual(stage.document("ses_1").spans);
  });
});

describe("exportRemotes", () => {
  test("pushes the running document, with topTools and a narrative, to live exporters only", async () => {
    const [pushed, atEnd] = [live(), new Kept()];
    const trace = started([pushed, file, atEnd]);
    turn(trace, 1);
    await trace.exportRemotes();
    expect(pushed.got).toHaveLength(1);
    expect(atEnd.got).toEqual([]);
    expect(pushed.got[0]).toMatchObject({
      id: "ses_1",
      summary: {
        status: "completed",
        idle: true,
        topTools: [{ name: "tool1", count: 1, totalDuration: 5 }],
        narrative: expect.stringMatching(/^Completed in .* Made 1 LLM call using 1 tools \(tool1\)\./),
      },
    });
    turn(trace, 2);
    await trace.exportRemotes();
    await trace.endTrace();
    expect(statuses(pushed)).toEqual(["idle", "idle", "completed"]);
    expect(statuses(atEnd)).toEqual(["completed"]);
    expect(pushed.got.map((document) => tools(document).length)).toEqual([1, 2, 2]);
  });

  test("ends the turn at once: later calls have a trace of their own", async () => {
    const trace = started([live(never), file]);
    turn(trace, 1);
    void trace.exportRemotes();
    trace.logStepStart({ id: "step 2" });
    trace.finalizeSync();
    const generations = stage.document("ses_1").spans.filter(({ kind }) => kind === "generation");
    expect(new Set(generations.map(({ traceId }) => traceId)).size).toBe(2);
  });

  test("works without a file", async () => {
    const pushed = live();
    const trace = started([pushed]);
    turn(trace, 1);
    await trace.exportRemotes();
    expect(tools(pushed.got[0] as TraceFile)).toEqual(["tool1"]);
    await trace.endTrace();
    expect(statuses(pushed)).toEqual(["idle", "completed"]);
  });

  test("does nothing before a session, and after its end or crash fence", async () => {
    const pushed = live();
    const trace = Trace.withExporters([pushed, file]);
    await trace.exportRemotes();
    trace.startTrace("ses_1");
    await trace.endTrace();
    await trace.exportRemotes();
    trace.startTrace("ses_2");
    trace.flushSync();
    await trace.exportRemotes();
    expect(statuses(pushed)).toEqual(["completed"]);
  });

  test("never lets an older push follow the final document", async () => {
    const order: string[] = [];
    const { wait, release } = gate();
    const slow = live(async ({ summary }) => {
      order.push(`${stateOf(summary)} begins`);
      if (summary.idle) await wait;
      order.push(`${stateOf(summary)} ends`);
    });
    const trace = started([slow, file]);
    const pushes = [trace.exportRemotes(), trace.exportRemotes()];
    await vi.waitUntil(() => order.length > 0);
    const ended = trace.endTrace();
    await vi.waitUntil(() => stateOf(stage.document("ses_1").summary) === "completed");
    await turnsOfTheLoop(50);
    expect(order).toEqual(["idle begins"]);
    release();
    await Promise.all([...pushes, ended]);
    expect(order).toEqual(["idle begins", "idle ends", "completed begins", "completed ends"]);
  });

  test("makes no push that the end overtakes: the final document comes once", async () => {
    for (let rounds = 0; rounds < 20; rounds++) {
      const pushed = live();
      const trace = started([pushed, file], `ses_${rounds}`);
      const push = trace.exportRemotes();
      await turnsOfTheLoop(rounds);
      await Promise.all([push, trace.endTrace()]);
      expect(statuses(pushed).filter((status) => status === "completed")).toHaveLength(1);
      expect(statuses(pushed).at(-1)).toBe("completed");
    }
  });

  test("combines many calls into the push in flight and one more", async () => {
    const { wait, release } = gate();
    const slow = live(() => wait);
    const trace = started([slow, file]);
    const first = trace.exportRemotes();
    await vi.waitUntil(() => slow.got.length > 0);
    turn(trace, 1);
    const later = Array.from({ length: 50 }, () => trace.exportRemotes());
    release();
    await Promise.all([first, ...later]);
    expect(slow.got.map((document) => tools(document).length)).toEqual([0, 1]);
    await trace.endTrace();
  });

  test("P6 ignores failures of its exporters", async () => {
    const throwing = live(() => {
      throw new Error("no");
    });
    const odd = { name: "odd", export: async () => undefined } as TraceExporter;
    Object.defineProperty(odd, "live", {
      get() {
        throw new Error("no");
      },
    });
    const last = live();
    const trace = started([throwing, odd, last]);
    await trace.exportRemotes();
    expect(statuses(last)).toEqual(["idle"]);
    await trace.endTrace();
  });
});
