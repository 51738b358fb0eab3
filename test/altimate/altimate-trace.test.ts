/** The parts that the altimate API adds: statics, its file, and arguments that it accepts without a throw. */
import { existsSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FileExporter, Recap, Trace, type TraceExporter, Tracer } from "../../src/altimate.js";
import type { SpanProcessor } from "../../src/otel/types.js";
import {
  answering,
  gate,
  Kept,
  sessions,
  started,
  statuses,
  tools,
  turn,
  turnsOfTheLoop,
} from "../support/altimate-stage.js";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
let file: FileExporter;
beforeEach(() => {
  stage = new Stage();
  file = new FileExporter(stage.dir);
});
afterEach(() => {
  stage.remove();
  vi.unstubAllEnvs();
  Trace.setActive(null);
});

describe("statics", () => {
  test("Trace, Tracer and Recap are one class", () => {
    expect(Tracer).toBe(Trace);
    expect(Recap).toBe(Trace);
  });

  test("active returns what was set", () => {
    expect(Trace.active).toBeNull();
    const trace = Trace.withExporters([]);
    Trace.setActive(trace);
    expect(Trace.active).toBe(trace);
    Trace.setActive(undefined as never);
    expect(Trace.active).toBeNull();
  });

  test("create writes to altimate-code's directory and to the given exporters", async () => {
    vi.stubEnv("XDG_DATA_HOME", stage.dir);
    const dir = `${stage.dir}/altimate-code/traces`;
    expect(Trace.getTracesDir()).toBe(dir);
    const extra = answering("https://x/1");
    const trace = Trace.create([extra]);
    expect(stage.files).toEqual([]);
    trace.startTrace("ses_1");
    expect(readdirSync(dir)).toContain("ses_1.json");
    expect(await trace.endTrace()).toBe(`${dir}/ses_1.json`);
    expect(sessions(extra)).toEqual(["ses_1"]);
    expect((await Trace.listTraces()).map(({ sessionId }) => sessionId)).toEqual(["ses_1"]);
    expect((await Trace.listTracesPaginated(undefined, { limit: 1 })).total).toBe(1);
    expect((await Trace.loadTrace("ses_1"))?.summary.status).toBe("completed");
  });

  test.each([undefined, null, 7, "exporters", {}, [null, 7, {}, { export: "no" }]])(
    "create accepts %j for exporters",
    async (extra) => {
      vi.stubEnv("XDG_DATA_HOME", stage.dir);
      const trace = Trace.create(extra as never);
      trace.startTrace("ses_1");
      expect(await trace.endTrace()).toBe(`${stage.dir}/altimate-code/traces/ses_1.json`);
    },
  );

  test("withExporters without exporters is a tracer that does nothing, and creates nothing", async () => {
    for (const exporters of [[], undefined, null, 7, [null, {}]]) {
      const trace = Trace.withExporters(exporters as never);
      trace.startTrace("ses_1");
      turn(trace, 1);
      await trace.flush();
      await trace.exportRemotes();
      expect(trace.getTracePath()).toBeUndefined();
      expect(await trace.endTrace()).toBeUndefined();
    }
    expect(stage.files).toEqual([]);
  });

  test("a tracer that was never started creates nothing", async () => {
    const trace = Trace.withExporters([new FileExporter(`${stage.dir}/traces`)]);
    turn(trace, 1);
    await trace.flush();
    expect(await trace.rehydrateFromFile("ses_1")).toBe(false);
    expect(await trace.endTrace()).toBeUndefined();
    expect(trace.finalizeSync()).toBeUndefined();
    expect(existsSync(`${stage.dir}/traces`)).toBe(false);
  });
});

describe("maxFiles", () => {
  test("replaces the first file exporter in the caller's array, for the same directory", () => {
    const [before, first, second] = [answering(1), file, new FileExporter(stage.dir)];
    const exporters = [before, first, second];
    Trace.withExporters(exporters, { maxFiles: 3 });
    expect(exporters[0]).toBe(before);
    expect(exporters[1]).not.toBe(first);
    expect((exporters[1] as FileExporter).getDir()).toBe(stage.dir);
    expect(exporters[2]).toBe(second);
  });

  test.each([undefined, null, {}, { maxFiles: undefined }, { maxFiles: null }, { maxFiles: "3" }, 7])(
    "replaces nothing with %j for options",
    (options) => {
      const exporters = [file];
      Trace.withExporters(exporters, options as never);
      expect(exporters).toEqual([file]);
      expect(exporters[0]).toBe(file);
    },
  );

  test("P6 an array that cannot be changed stays as it is, and the limit holds", async () => {
    const exporters = Object.freeze([file]) as unknown as TraceExporter[];
    for (const id of ["a", "b", "c"]) await started(exporters, id, { maxFiles: 2 }).endTrace();
    expect(stage.files).toHaveLength(2);
  });

  test("applies after every end, and 0 keeps all", async () => {
    const exporters: TraceExporter[] = [file];
    for (const id of ["a", "b", "c", "d"]) await started(exporters, id, { maxFiles: 0 }).endTrace();
    expect(stage.files).toHaveLength(4);
    await started(exporters, "e", { maxFiles: 2 }).endTrace();
    expect(stage.files).toHaveLength(2);
    started(exporters, "f", { maxFiles: 1 }).finalizeSync();
    expect(stage.files).toEqual(["f.json"]);
  });
});

describe("each end", () => {
  test.each(["endTrace", "finalizeSync"] as const)(
    "%s removes what the tracer before left unfinished more than an hour ago, and nothing younger",
    async (end) => {
      const trace = started([file]);
      const then = Date.now() / 1_000;
      for (const [name, minutes] of [
        ["gone.json.tmp.1732800000000.k3f9x2", 61],
        ["ses_1.json.tmp.1732800000000.a1", 61],
        ["gone.json.tmp.1732800000001.zz", 59],
      ] as const) {
        writeFileSync(`${stage.dir}/${name}`, "half");
        utimesSync(`${stage.dir}/${name}`, then - minutes * 60, then - minutes * 60);
      }
      await trace[end]();
      expect(stage.files).toEqual(["gone.json.tmp.1732800000001.zz", "ses_1.json"]);
    },
  );
});

describe("a session with a file", () => {
  test("has the file when startTrace returns, and is running until it ends", async () => {
    const trace = started([file]);
    expect(trace.getTracePath()).toBe(`${stage.dir}/ses_1.json`);
    expect(stage.document("ses_1")).toMatchObject({
      id: "ses_1",
      summary: { status: "completed", idle: true },
    });
    turn(trace, 1);
    await trace.flush();
    expect(tools(stage.document("ses_1"))).toEqual(["tool1"]);
    expect(await trace.endTrace()).toBe(`${stage.dir}/ses_1.json`);
    expect(stage.files).toEqual(["ses_1.json"]);
    expect(stage.document("ses_1").summary).toMatchObject({ status: "completed", totalGenerations: 1 });
    expect(trace.getTracePath()).toBe(`${stage.dir}/ses_1.json`);
  });

  test("ends once: exporters get its document once, whatever is called", async () => {
    const other = answering("there");
    const trace = started([other, file]);
    const both = [trace.endTrace(), trace.endTrace("again")];
    expect(trace.finalizeSync()).toBe(`${stage.dir}/ses_1.json`);
    expect(await Promise.all(both)).toEqual(["there", "there"].map(() => expect.any(String)));
    await trace.endTrace();
    trace.finalizeSync();
    expect(statuses(other)).toEqual(["completed"]);
  });

  test("ends with an error", async () => {
    const other = new Kept();
    await started([file, other]).endTrace("no more money");
    expect(other.got[0]?.summary).toMatchObject({ status: "error", error: "no more money" });
    expect(stage.document("ses_1").summary.status).toBe("error");
  });

  test("shares one exporter and one directory with many sessions", async () => {
    const ids = Array.from({ length: 60 }, (_, n) => `ses_${n}`);
    const traces = ids.map((id) => started([file], id));
    for (const trace of traces) turn(trace, 1);
    await Promise.all(traces.map((trace) => trace.endTrace()));
    expect(stage.files).toHaveLength(60);
    for (const id of ids) expect(tools(stage.document(id))).toEqual(["tool1"]);
  });
});

describe("spanProcessors", () => {
  test("get the session's spans, are flushed at its end, and stay the host's", async () => {
    const spans = new InMemorySpanExporter();
    const processor = new SimpleSpanProcessor(spans);
    const calls: string[] = [];
    for (const method of ["forceFlush", "shutdown"] as const) {
      const original = processor[method].bind(processor);
      processor[method] = () => {
        calls.push(method);
        return original();
      };
    }
    const trace = started([file], "ses_1", { spanProcessors: [processor] });
    turn(trace, 1);
    await trace.endTrace();
    expect(spans.getFinishedSpans().map(({ name }) => name)).toContain("execute_tool tool1");
    expect(new Set(calls)).toEqual(new Set(["forceFlush"]));
    expect(stage.document("ses_1").summary.totalToolCalls).toBe(1);
  });

  test("P5 have exported the last turn when endTrace resolves", async () => {
    const { wait, release } = gate();
    const nothing = async () => {};
    const processor: SpanProcessor = { onStart() {}, onEnd() {}, forceFlush: () => wait, shutdown: nothing };
    const other = new Kept();
    const trace = started([file, other], "ses_1", { spanProcessors: [processor] });
    let isOver = false;
    const ended = trace.endTrace().then(() => {
      isOver = true;
    });
    await vi.waitUntil(() => other.got.length > 0);
    await turnsOfTheLoop(50);
    expect(isOver).toBe(false);
    release();
    await ended;
  });

  test("alone are enough", async () => {
    const spans = new InMemorySpanExporter();
    const trace = started([], "ses_1", { spanProcessors: [new SimpleSpanProcessor(spans)] });
    turn(trace, 1);
    expect(await trace.endTrace()).toBeUndefined();
    expect(spans.getFinishedSpans().length).toBeGreaterThan(2);
  });

  test.each([undefined, null, 7, [null, {}, { onStart() {} }]])("P6 may be %j", async (spanProcessors) => {
    const trace = started([file], "ses_1", { spanProcessors: spanProcessors as never });
    turn(trace, 1);
    expect(await trace.endTrace()).toBe(`${stage.dir}/ses_1.json`);
  });
});

describe("P6 no method throws, whatever its arguments", () => {
  const hostile = new Proxy(() => {}, {
    get() {
      throw new Error("no");
    },
  });
  const anything = [
    undefined,
    null,
    0,
    "",
    "text",
    true,
    [],
    {},
    Number.NaN,
    1n,
    Symbol("s"),
    () => 1,
    hostile,
  ];
  const methods = [
    ...["startTrace", "enrichFromAssistant", "setTitle", "setPrompt", "applyOwuiContext", "logUserMessage"],
    ...["logStepStart", "logText", "logStepFinish", "logToolCall", "logSpan", "setSpanAttributes", "context"],
    ...["traceHeaders", "getTracePath", "flush", "exportRemotes", "rehydrateFromFile"],
    ...["endTrace", "finalizeSync", "flushSync"],
  ] as (keyof Trace)[];

  test.each(methods)("%s", async (method) => {
    const fresh = () => Trace.withExporters([file, new Kept()]);
    const open = started([file, new Kept()], "open");
    const ended = started([file], "ended");
    await ended.endTrace();
    const fenced = started([file], "fenced");
    fenced.flushSync();
    for (const given of anything) {
      for (const trace of [fresh(), open, ended, fenced]) {
        await (trace[method] as (...all: unknown[]) => unknown).call(trace, given, given);
        await (trace[method] as (...all: unknown[]) => unknown).call(trace, "ses_1", given);
      }
    }
    await open.endTrace();
  });

  test("withContext, and runs what is a function", () => {
    const open = started([file], "open");
    for (const given of anything.filter((one) => typeof one !== "function")) {
      for (const trace of [Trace.withExporters([file]), open])
        expect(trace.withContext(given as never)).toBeUndefined();
    }
    for (const trace of [Trace.withExporters([file]), open]) expect(trace.withContext(() => 7)).toBe(7);
    open.finalizeSync();
  });

  test.each(["create", "withExporters", "setActive", "getTracesDir"] as const)("static %s", (method) => {
    for (const given of anything) {
      for (const more of anything) expect(() => Trace[method](given as never, more as never)).not.toThrow();
    }
  });

  test.each(["listTraces", "listTracesPaginated", "loadTrace"] as const)(
    "asynchronous static %s",
    async (method) => {
      vi.stubEnv("XDG_DATA_HOME", stage.dir);
      for (const given of anything) await Trace[method](given as never, given as never);
    },
  );
});
