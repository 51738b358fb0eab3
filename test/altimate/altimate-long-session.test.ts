/**
 * 20,000 tool calls through the altimate API under its cap of 5,000: ended, dropped, fenced, and resumed each time.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FileExporter, MAX_SERIALIZED_SPANS, Trace } from "../../src/altimate.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { repeated } from "../support/span-lines.js";

vi.hoisted(() => {
  delete process.env.ALTIMATE_TRACE_MAX_SPANS;
});

const cap = 5_000;
const begin = 1_750_000_000_000;
const [callsPerStep, callsPerTurn, callsPerFlush] = [20, 500, 1_000];
/** One of this many calls is logged when it starts, and ends this many calls later. */
const [slowEvery, slowCalls] = [50, 30];
const id = "ses_long";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "altimate-long-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const document = (): TraceFile => JSON.parse(readFileSync(join(dir, `${id}.json`), "utf8"));
const bytesIn = () => readdirSync(dir).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0);

/** A session of several tracers, and what a document of it must contain. */
class LongSession {
  trace: Trace;
  calls = 0;
  generations = 0;
  messages = 0;
  /** The call that ended last. */
  #last = 0;
  readonly #slow = new Set<number>();
  readonly #tools = new Map<string, { name: string; count: number; totalDuration: number }>();

  constructor() {
    this.trace = Trace.withExporters([new FileExporter(dir)]);
    this.trace.startTrace(id, { title: "long" });
  }

  /** Another tracer continues. */
  async resume(): Promise<void> {
    this.trace = Trace.withExporters([new FileExporter(dir)]);
    expect(await this.trace.rehydrateFromFile(id)).toBe(true);
  }

  async log(from: number, to: number): Promise<void> {
    for (let n = from; n < to; n++) {
      if (n % callsPerTurn === 0) {
        this.messages++;
        this.trace.logUserMessage(`question ${n / callsPerTurn}`);
      }
      if (n % callsPerStep === 0) this.trace.logStepStart({ id: `step ${n}` });
      if (n % slowEvery === 0) {
        this.trace.logToolCall(this.#part(n, { status: "running", time: { start: begin + n } }));
        this.#slow.add(n);
      } else this.#end(n);
      if (this.#slow.delete(n - slowCalls)) this.#end(n - slowCalls);
      if (n % callsPerStep === callsPerStep - 1) this.#finishStep(n - callsPerStep + 1);
      if ((n + 1) % callsPerFlush === 0) await this.#look();
    }
    // Nothing runs when a tracer is dropped.
    for (const n of this.#slow) this.#end(n);
    this.#slow.clear();
  }

  /** `spans` is the largest number of spans in the document. */
  expectExact(spans: number, isMarkerNew = true): void {
    const trace = document();
    const { summary } = trace;
    expect(summary).toMatchObject({
      totalToolCalls: this.calls,
      totalGenerations: this.generations,
      totalTokens: 6 * this.generations,
      totalCost: this.generations / 4,
    });
    const most = [...this.#tools.values()].sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
    const reported = [...(summary.topTools ?? [])].sort(
      (a, b) => b.count - a.count || (a.name < b.name ? -1 : 1),
    );
    expect(reported).toEqual(most);
    expect(summary.loops?.map(({ count }) => count)).toEqual(
      loopAt.filter((at) => at + 2 < this.calls).map(() => 3),
    );

    const totalSpans = this.calls + this.generations + this.messages + this.#slow.size + 1;
    expect(repeated(trace)).toEqual([]);
    const markers = trace.spans.filter(({ attributes }) => attributes?.elided !== undefined);
    if (totalSpans <= cap) {
      expect(markers).toEqual([]);
      expect(trace.spans).toHaveLength(totalSpans);
      return;
    }
    expect(trace.spans.length).toBeLessThanOrEqual(spans);
    const elided = totalSpans - (trace.spans.length - 1);
    expect(markers).toMatchObject([
      {
        name: `${elided} spans elided`,
        kind: "span",
        attributes: { elided, ...(isMarkerNew && { totalSpans }) },
      },
    ]);
    const tools = trace.spans.filter(({ kind, endTime }) => kind === "tool" && endTime !== undefined);
    expect(tools.filter(({ tool, attributes }) => attributes?.late !== tool?.callId)).toEqual([]);
    const ids = tools.map(({ tool }) => tool?.callId);
    // The first calls, and the last call that has ended.
    const first = Array.from({ length: 1_000 }, (_, n) => `call ${n}`);
    expect(first.filter((callID) => !ids.includes(callID))).toEqual([]);
    expect(ids.some((callID) => callID === `call ${this.#last}`)).toBe(true);
  }

  async #look(): Promise<void> {
    await this.trace.flush();
    this.expectExact(cap);
    const [open] = readdirSync(dir).filter((name) => name.endsWith(".open"));
    const lines = readFileSync(join(dir, open as string), "latin1").split("\n").length;
    expect(lines).toBeLessThanOrEqual(2 * cap + 2 * callsPerFlush);
    // The document, the append log of up to twice the cap, and the journal.
    const perSpan = statSync(join(dir, `${id}.json`)).size / document().spans.length;
    expect(bytesIn()).toBeLessThan(perSpan * (3 * cap + 2 * callsPerFlush) + 2_000_000);
  }

  #end(n: number): void {
    const { name, duration } = facts(n);
    const time = { start: begin + n, end: begin + n + duration };
    this.trace.logToolCall(this.#part(n, { status: "completed", output: `output ${n}`, time }));
    this.trace.setSpanAttributes({ late: `call ${n}` }, "tool");
    this.calls++;
    this.#last = n;
    const tool = this.#tools.get(name) ?? { name, count: 0, totalDuration: 0 };
    this.#tools.set(name, { name, count: tool.count + 1, totalDuration: tool.totalDuration + duration });
  }

  #part(n: number, state: object) {
    const { name, input } = facts(n);
    return { tool: name, callID: `call ${n}`, state: { input, ...state } } as never;
  }

  #finishStep(n: number): void {
    const tokens = { input: 3, output: 2, reasoning: 0, cache: { read: 1, write: 0 } };
    this.trace.logText({ text: `answer ${n}` });
    this.trace.logStepFinish({ id: `step ${n}`, reason: "stop", cost: 0.25, tokens });
    this.generations++;
  }
}

/** Three calls each, with the same input. */
const loopAt = [61, 121, 9_001, 18_001];

function facts(n: number) {
  const loop = loopAt.find((at) => n >= at && n < at + 3);
  return {
    name: `tool ${(loop ?? n) % 9}`,
    input: loop === undefined ? { n, text: "x".repeat(50) } : { again: loop },
    duration: 1 + (n % 13),
  };
}

test("P8 D7 20,000 tool calls keep to the cap of 5,000, with all that was counted, through an end, an eviction, a fence and resumes", async () => {
  expect(MAX_SERIALIZED_SPANS).toBe(cap);
  const session = new LongSession();
  await session.log(0, 8_000);
  await session.trace.endTrace();
  session.expectExact(cap);
  expect(document().spans).toHaveLength(cap);
  expect(readdirSync(dir)).toEqual([`${id}.json`]);

  await session.resume();
  await session.log(8_000, 13_500);
  // Dropped without an end.
  await session.resume();
  await session.log(13_500, 17_500);
  session.trace.flushSync("killed");
  expect(document().summary).toMatchObject({ status: "crashed", error: "killed" });
  session.expectExact(2 * cap + 2 * callsPerFlush, false);

  await session.resume();
  await session.log(17_500, 20_000);
  session.trace.finalizeSync();
  session.expectExact(cap);
  expect(document().spans).toHaveLength(cap);
  expect(document().summary.status).toBe("completed");

  await session.resume();
  await session.log(20_000, 20_100);
  await session.trace.endTrace();
  session.expectExact(cap);
  expect(document().spans).toHaveLength(cap);
  expect(session.calls).toBe(20_100);
  expect(readdirSync(dir)).toEqual([`${id}.json`]);
});
