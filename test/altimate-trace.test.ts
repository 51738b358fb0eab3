/** The drop-in's own part: exporters, statics, and what happens to whom at the ends of a session. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FileExporter, Recap, Trace, type TraceExporter, Tracer } from "../src/altimate.js";
import type { SpanProcessor } from "../src/otel-span.js";
import type { TraceFile } from "../src/trace-file.js";
import { Stage } from "./session-stage.js";
import { documentOf } from "./trace-documents.js";

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

/** An exporter that keeps what it gets, and answers as told. */
class Kept implements TraceExporter {
  readonly got: TraceFile[] = [];
  readonly crashed: string[] = [];
  readonly name = "kept";

  constructor(
    readonly answer: (trace: TraceFile) => unknown = () => undefined,
    readonly live = false,
  ) {}

  export(trace: TraceFile): Promise<string | undefined> {
    this.got.push(trace);
    return this.answer(trace) as Promise<string | undefined>;
  }

  markCrashed(sessionId: string): void {
    this.crashed.push(sessionId);
  }
}

const answering = (answer: unknown) => new Kept(async () => answer);
const live = (answer?: (trace: TraceFile) => unknown) => new Kept(answer, true);
const never = () => new Promise(() => {});
const statuses = ({ got }: Kept) => got.map(({ summary }) => summary.status);
const sessions = ({ got }: Kept) => got.map(({ id }) => id);
const tools = ({ spans }: TraceFile) => spans.filter(({ kind }) => kind === "tool").map(({ name }) => name);

/** Resolves what `wait` resolves once `release` is called. */
function gate() {
  let release = () => {};
  const wait = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { wait, release };
}

/** A question, a generation with a tool call in it, and its end. */
function turn(trace: Trace, number: number): void {
  trace.logUserMessage(`question ${number}`);
  trace.logStepStart({ id: `step ${number}` });
  trace.logToolCall({
    tool: `tool${number}`,
    callID: `call ${number}`,
    state: {
      status: "completed",
      input: { number },
      output: "out",
      time: { start: number, end: number + 5 },
    },
  });
  trace.logText({ text: `answer ${number}` });
  const tokens = { input: 10, output: 5, reasoning: 0, cache: { read: 0, write: 0 } };
  trace.logStepFinish({ id: `step ${number}`, reason: "stop", cost: 0.01, tokens });
}

const started = (
  exporters: TraceExporter[],
  id = "ses_1",
  options?: Parameters<typeof Trace.withExporters>[1],
) => {
  const trace = Trace.withExporters(exporters, options);
  trace.startTrace(id, { title: "t" });
  return trace;
};

describe("statics", () => {
  test("Trace, Tracer and Recap are one", () => {
    expect(Tracer).toBe(Trace);
    expect(Recap).toBe(Trace);
  });

  test("active is what was set", () => {
    expect(Trace.active).toBeNull();
    const trace = Trace.withExporters([]);
    Trace.setActive(trace);
    expect(Trace.active).toBe(trace);
    Trace.setActive(undefined as never);
    expect(Trace.active).toBeNull();
  });

  test("create writes into altimate-code's directory and to the exporters given", async () => {
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
    "create takes %j for exporters",
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

  test("holds after every end, and 0 keeps all", async () => {
    const exporters: TraceExporter[] = [file];
    for (const id of ["a", "b", "c", "d"]) await started(exporters, id, { maxFiles: 0 }).endTrace();
    expect(stage.files).toHaveLength(4);
    await started(exporters, "e", { maxFiles: 2 }).endTrace();
    expect(stage.files).toHaveLength(2);
    started(exporters, "f", { maxFiles: 1 }).finalizeSync();
    expect(stage.files).toEqual(["f.json"]);
  });
});

describe("a session with a file", () => {
  test("has it when startTrace returns, and is running until it ends", async () => {
    const trace = started([file]);
    expect(trace.getTracePath()).toBe(`${stage.dir}/ses_1.json`);
    expect(stage.document("ses_1")).toMatchObject({ id: "ses_1", summary: { status: "running" } });
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

  test("many share one exporter and one directory", async () => {
    const ids = Array.from({ length: 60 }, (_, n) => `ses_${n}`);
    const traces = ids.map((id) => started([file], id));
    for (const trace of traces) turn(trace, 1);
    await Promise.all(traces.map((trace) => trace.endTrace()));
    expect(stage.files).toHaveLength(60);
    for (const id of ids) expect(tools(stage.document(id))).toEqual(["tool1"]);
  });
});

describe("what endTrace answers", () => {
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

  test("P6 no exporter's failure is another's", async () => {
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

  test("P6 exporters that never answer cost five seconds together", async () => {
    const spanProcessor = { onStart() {}, onEnd() {}, forceFlush: never, shutdown: never } as SpanProcessor;
    const trace = started([live(never), new Kept(never), answering("there")], "ses_1", {
      spanProcessors: [spanProcessor],
    });
    const ended = Promise.race([
      trace.endTrace(),
      new Promise((resolve) => setTimeout(resolve, 9_000, "too late")),
    ]);
    expect(await ended).toBe("there");
  });

  test("exporters run side by side", async () => {
    const { wait, release } = gate();
    const first = new Kept(() => wait.then(() => "first"));
    const second = new Kept(async () => release());
    expect(await end(first, second)).toBe("first");
  });
});

describe("what exporters get", () => {
  test("is what is in the file", async () => {
    const other = new Kept();
    const trace = started([file, other]);
    turn(trace, 1);
    await trace.endTrace();
    const { layout: _, ...written } = stage.document("ses_1");
    expect(other.got).toMatchObject([written]);
  });

  test("is the same without a file, but for ids and times", async () => {
    const told = async (exporters: TraceExporter[], kept: Kept) => {
      const trace = started(exporters);
      for (const number of [1, 2, 3]) turn(trace, number);
      trace.logStepStart({ id: "open" });
      trace.setSpanAttributes({ "de.tables": ["a", "b"] }, "session");
      await trace.endTrace();
      return normal(kept.got[0] as TraceFile);
    };
    const [beside, alone] = [new Kept(), new Kept()];
    expect(await told([alone], alone)).toEqual(await told([file, beside], beside));
  });

  test("has no file beside it where there is no file exporter", async () => {
    const other = answering("there");
    const trace = started([other]);
    expect(trace.getTracePath()).toBeUndefined();
    expect(await trace.rehydrateFromFile("ses_1")).toBe(false);
    expect(await trace.endTrace()).toBe("there");
    expect(sessions(other)).toEqual(["ses_1"]);
  });

  test("is of the file exporter's, too, where there are two: the second gets the whole document", async () => {
    const second = new FileExporter(`${stage.dir}/copy`);
    const trace = started([file, second]);
    turn(trace, 1);
    expect(await trace.endTrace()).toBe(`${stage.dir}/ses_1.json`);
    const copy = JSON.parse(readFileSync(`${stage.dir}/copy/ses_1.json`, "utf8"));
    expect(copy.spans).toEqual(stage.document("ses_1").spans);
  });
});

/** A document without what differs from run to run. */
function normal({ spans, summary, ...rest }: TraceFile) {
  const numbers = new Map(spans.map(({ spanId }, index) => [spanId, index]));
  const traces = [...new Set(spans.map(({ traceId }) => traceId))];
  return {
    ...rest,
    ...{ traceId: "", startedAt: "", endedAt: "", layout: undefined },
    summary: { ...summary, duration: 0, narrative: summary.narrative?.replace(/\d+ms/, "") },
    spans: spans.map(({ spanId, parentSpanId, traceId, startTime, endTime, ...span }) => ({
      ...span,
      number: numbers.get(spanId),
      parent: numbers.get(parentSpanId ?? ""),
      trace: traces.indexOf(traceId),
      isOver: endTime !== undefined && startTime <= endTime,
    })),
  };
}

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
        status: "running",
        topTools: [{ name: "tool1", count: 1, totalDuration: 5 }],
        narrative: expect.stringMatching(/^Completed in .* Made 1 LLM call using 1 tools \(tool1\)\./),
      },
    });
    turn(trace, 2);
    await trace.exportRemotes();
    await trace.endTrace();
    expect(statuses(pushed)).toEqual(["running", "running", "completed"]);
    expect(statuses(atEnd)).toEqual(["completed"]);
    expect(pushed.got.map((document) => tools(document).length)).toEqual([1, 2, 2]);
  });

  test("ends the turn, at once: what is logged next has a trace of its own", async () => {
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
    expect(statuses(pushed)).toEqual(["running", "completed"]);
  });

  test("does nothing before a session, and after its end or fence", async () => {
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

  test("an older push never comes after the final document", async () => {
    const order: string[] = [];
    const { wait, release } = gate();
    const slow = live(async ({ summary }) => {
      order.push(`${summary.status} begins`);
      if (summary.status === "running") await wait;
      order.push(`${summary.status} ends`);
    });
    const trace = started([slow, file]);
    const pushes = [trace.exportRemotes(), trace.exportRemotes()];
    await vi.waitUntil(() => order.length > 0);
    const ended = trace.endTrace();
    release();
    await Promise.all([...pushes, ended]);
    expect(order).toEqual(["running begins", "running ends", "completed begins", "completed ends"]);
  });

  test("many at once are one push under way and one that shows what came meanwhile", async () => {
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

  test("P6 what its exporters do is their affair", async () => {
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
    expect(statuses(last)).toEqual(["running"]);
    await trace.endTrace();
  });
});

describe("flushSync", () => {
  test("P3 the document says crashed when it returns, and every exporter is told", () => {
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

  test("P3 endTrace after it answers the path, exports nothing, and changes nothing", async () => {
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

  test("P3 wins over an end under way, and over one that was", async () => {
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

  test("P3 exporters get nothing once it has returned, however far an end had come", async () => {
    for (let rounds = 0; rounds < 20; rounds++) {
      const id = `ses_${rounds}`;
      const other = new Kept();
      const trace = started([file, other], id);
      const ended = trace.endTrace();
      await vi.waitUntil(() => stage.document(id).summary.status === "completed", { interval: 0 });
      for (let turns = 0; turns < rounds; turns++) await new Promise((resolve) => setImmediate(resolve));
      trace.flushSync();
      const { length } = other.got;
      await ended;
      expect(other.got).toHaveLength(length);
      expect(stage.document(id).summary.status).toBe("crashed");
    }
  });

  test("P3 an export of the session that is under way does not undo it", async () => {
    const trace = started([file]);
    const exported = file.export(documentOf("ses_1"));
    trace.flushSync("why");
    expect(await exported).toBeUndefined();
    expect(stage.document("ses_1").summary).toMatchObject({ status: "crashed", error: "why" });
  });

  test("D4 a resumed or started session can be exported again", async () => {
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

  test("touches no other session of the exporter", async () => {
    const [one, two] = [started([file], "ses_1"), started([file], "ses_2")];
    one.flushSync();
    turn(two, 1);
    await two.flush();
    expect(stage.document("ses_2").summary.status).toBe("running");
    await two.endTrace();
    expect(stage.document("ses_2").summary.status).toBe("completed");
  });
});

describe("finalizeSync", () => {
  test("writes the file and has called the others when it returns", () => {
    const other = new Kept(never);
    const trace = started([other, file]);
    turn(trace, 1);
    expect(trace.finalizeSync()).toBe(`${stage.dir}/ses_1.json`);
    expect(stage.files).toEqual(["ses_1.json"]);
    expect(stage.document("ses_1").summary.status).toBe("completed");
    expect(statuses(other)).toEqual(["completed"]);
    expect(tools(other.got[0] as TraceFile)).toEqual(["tool1"]);
  });

  test("without a file calls the others, too", () => {
    const other = new Kept(() => {
      throw new Error("no");
    });
    expect(started([other]).finalizeSync()).toBeUndefined();
    expect(statuses(other)).toEqual(["completed"]);
  });

  test("waits for a push under way, so that it does not come last", async () => {
    const order: string[] = [];
    const { wait, release } = gate();
    const slow = live(async ({ summary }) => {
      if (summary.status === "running") await wait;
      order.push(summary.status);
    });
    const trace = started([slow, file]);
    const pushed = trace.exportRemotes();
    await vi.waitUntil(() => slow.got.length > 0);
    trace.finalizeSync();
    expect(order).toEqual([]);
    release();
    await pushed;
    await vi.waitUntil(() => order.length === 2);
    expect(order).toEqual(["running", "completed"]);
  });
});

describe("one object, several sessions", () => {
  test.each([[true], [false]])(
    "D12 the open one ends in its own document (with a file: %s)",
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

  test("D10 the same id again goes on with its document", async () => {
    const trace = started([file]);
    turn(trace, 1);
    trace.startTrace("ses_1", { title: "new" });
    turn(trace, 2);
    await trace.endTrace();
    expect(stage.files).toEqual(["ses_1.json"]);
    expect(tools(stage.document("ses_1"))).toEqual(["tool1", "tool2"]);
    expect(stage.document("ses_1").metadata.title).toBe("new");
  });

  test("a resume that fails changes nothing, one that succeeds ends the open session", async () => {
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

  test("D4 rehydrateFromFile goes on where another object stopped, a hundred times", async () => {
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

describe("P6 no method throws, whatever it is given", () => {
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

  test.each(["create", "withExporters", "setActive", "getTracesDir"] as const)("static %s", (method) => {
    for (const given of anything) {
      for (const more of anything) expect(() => Trace[method](given as never, more as never)).not.toThrow();
    }
  });

  test.each(["listTraces", "listTracesPaginated", "loadTrace"] as const)("static %s", async (method) => {
    vi.stubEnv("XDG_DATA_HOME", stage.dir);
    for (const given of anything) await Trace[method](given as never, given as never);
  });
});
