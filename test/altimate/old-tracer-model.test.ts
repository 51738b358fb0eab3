/**
 * Every method of a trace, in random order and with the same arguments, beside a model of the tracer that it replaces: what
 * the methods return, the documents and the files agree, but for the deviations that the model and its comparison name.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { FileExporter, Trace } from "../../src/altimate.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import {
  comparable,
  type ModelSession,
  misplaced,
  modelDocument,
  OldTracerModel,
} from "../support/old-tracer-model.js";
import { isTorture, trials } from "../support/trials.js";

const dirs: string[] = [];
const newDirectory = () => {
  dirs.push(mkdtempSync(join(tmpdir(), "old-tracer-model-")));
  return dirs.at(-1) as string;
};
beforeEach(() => {
  // Times of spans are compared.
  vi.useFakeTimers({ toFake: ["Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});
// 10,000 runs leave 20,000 files.
const removalMillis = 600_000;
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
}, removalMillis);

type Method = Exclude<keyof Trace, "context" | "withContext" | "traceHeaders" | "flush">;
type Command = readonly [method: Method | "flush" | "new trace", args: readonly unknown[], millis: number];

const id = fc.constantFrom("s1", "s2", "m1", "", undefined, null, 7);
const label = fc.constantFrom("", "x", "a longer text", undefined, null, 7);
const short = fc.constantFrom("hello", "again", "", "y".repeat(4_100));
const count = fc.constantFrom(0, 1, 5, -2, Number.NaN, Number.POSITIVE_INFINITY, undefined);
const time = fc.constantFrom(0, -5, 10, 900, 1_700_000_000_000, undefined, Number.NaN);
const parts = <T>(part: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 9, arbitrary: part }, { weight: 1, arbitrary: fc.constantFrom(null, undefined) });
const attributes = fc.constantFrom(
  { a: 1 },
  { b: null, c: Number.NaN },
  { d: undefined },
  { a: { deep: [1] } },
  {},
  null,
);
const state = fc.record(
  {
    status: fc.constantFrom("completed", "error", "running", "pending", "other"),
    input: fc.constantFrom({ path: "a" }, { path: "b" }, "text", 3, undefined),
    output: fc.constantFrom("done", "", undefined, "z".repeat(10_500), 4),
    error: fc.constantFrom("failed", "", undefined, "e".repeat(300)),
    time: fc.oneof(fc.constant(undefined), fc.record({ start: time, end: time })),
  },
  { requiredKeys: ["status"] },
);

const commands: Readonly<Record<Command[0], readonly [weight: number, args: fc.Arbitrary<unknown[]>]>> = {
  "new trace": [1, fc.tuple()],
  startTrace: [
    2,
    fc.tuple(
      fc.constantFrom("a", "b"),
      fc.option(
        fc.record(
          {
            title: label,
            prompt: label,
            agent: label,
            model: label,
            instance_id: label,
            tags: fc.constantFrom(["t"], [1, "x"], undefined),
          },
          { requiredKeys: [] },
        ),
        { nil: undefined },
      ),
    ),
  ],
  rehydrateFromFile: [1, fc.tuple(fc.constantFrom("a", "b", "none"))],
  enrichFromAssistant: [
    1,
    fc.tuple(parts(fc.record({ modelID: label, providerID: label, agent: label, variant: label }))),
  ],
  setTitle: [1, fc.tuple(label, label)],
  setPrompt: [1, fc.tuple(label)],
  applyOwuiContext: [1, fc.tuple(parts(fc.record({ userId: label, modelId: label, agent: label })))],
  logUserMessage: [3, fc.tuple(fc.oneof(short, label))],
  logStepStart: [4, fc.tuple(parts(fc.record({ id, messageID: id })))],
  logText: [3, fc.tuple(parts(fc.record({ text: fc.oneof(short, label), id, messageID: id })))],
  logStepFinish: [
    4,
    fc.tuple(
      parts(
        fc.record({
          id,
          messageID: id,
          reason: fc.constantFrom("stop", "tool-calls", undefined),
          cost: fc.constantFrom(0.25, 1, -1, Number.NaN, undefined),
          tokens: parts(
            fc.record({
              input: count,
              output: count,
              reasoning: count,
              cache: parts(fc.record({ read: count, write: count })),
            }),
          ),
        }),
      ),
    ),
  ],
  logToolCall: [
    8,
    fc.tuple(
      parts(
        fc.record({
          tool: fc.constantFrom("bash", "read", "", undefined),
          callID: fc.constantFrom("c1", "c2", "c3", "c4", undefined),
          messageID: id,
          state: parts(state),
        }),
      ),
    ),
  ],
  logSpan: [
    2,
    fc.tuple(
      parts(
        fc.record({
          name: label,
          startTime: time,
          endTime: time,
          status: fc.constantFrom("ok", "error", undefined),
          input: fc.constantFrom({ q: 1 }, "in", undefined),
          output: fc.constantFrom({ r: [1] }, "out", undefined),
          attributes,
        }),
      ),
    ),
  ],
  setSpanAttributes: [
    3,
    fc.tuple(attributes, fc.constantFrom("tool", "generation", "session", undefined, "other")),
  ],
  getTracePath: [1, fc.tuple()],
  exportRemotes: [1, fc.tuple()],
  flush: [2, fc.tuple()],
  endTrace: [1, fc.tuple(fc.constantFrom(undefined, "", "it failed"))],
  finalizeSync: [1, fc.tuple()],
  flushSync: [1, fc.tuple(fc.constantFrom(undefined, "", "it crashed"))],
};

const names = Object.keys(commands) as Command[0][];
const command: fc.Arbitrary<Command> = fc.oneof(
  ...names.map((name) => {
    const [weight, args] = commands[name];
    return { weight, arbitrary: fc.tuple(fc.constant(name), args, fc.integer({ min: 0, max: 3_000 })) };
  }),
);

test("the commands are every method of the trace but those for contexts", () => {
  const prototype = Object.getOwnPropertyDescriptors(Trace.prototype);
  const all = Object.keys(prototype).filter((key) => typeof prototype[key]?.value === "function");
  const others = ["constructor", "context", "withContext", "traceHeaders", "new trace"];
  const without = (list: readonly string[]) => list.filter((name) => !others.includes(name)).sort();
  expect(without(names)).toEqual(without(all));
});

/** A trace and its model, in a directory each. */
class Pair {
  readonly #exporter: FileExporter;
  readonly #files = new Map<string, ModelSession>();
  readonly #prefix: string;
  readonly #dir: string;
  #trace: Trace;
  #model: OldTracerModel;

  constructor(dir: string, prefix: string) {
    this.#dir = dir;
    this.#prefix = prefix;
    this.#exporter = new FileExporter(dir, 0);
    this.#trace = Trace.withExporters([this.#exporter]);
    this.#model = this.#newModel();
  }

  async run([name, args, millis]: Command): Promise<void> {
    vi.setSystemTime(Date.now() + millis);
    if (name === "new trace") {
      this.#trace.finalizeSync();
      this.#model.finalizeSync();
      this.#trace = Trace.withExporters([this.#exporter]);
      this.#model = this.#newModel();
      return;
    }
    const isOfSession = name === "startTrace" || name === "rehydrateFromFile";
    const given = isOfSession ? [`${this.#prefix}-${args[0]}`, ...args.slice(1)] : args;
    const call = (target: object) =>
      (target as Record<string, (...args: readonly unknown[]) => unknown>)[name]?.(...given);
    // The model first: it reads the time as well, and changes nothing that it is given.
    const wanted = name === "flush" ? undefined : call(this.#model);
    expect([name, await call(this.#trace)]).toEqual([name, wanted]);
  }

  /** Compares the documents with those of the model. */
  async agree(): Promise<void> {
    await this.#trace.flush();
    const found = readdirSync(this.#dir).filter((file) => file.startsWith(`${this.#prefix}-`));
    const documents = found.filter((file) => file.endsWith(".json"));
    expect(documents.sort()).toEqual([...this.#files.keys()].map((key) => `${key}.json`).sort());
    if (!this.#model.isOpen) expect(found).toHaveLength(documents.length);
    for (const [key, session] of this.#files) {
      if (session.isAsFound) continue;
      const document: TraceFile = JSON.parse(readFileSync(join(this.#dir, `${key}.json`), "utf8"));
      expect(comparable(document)).toEqual(JSON.parse(JSON.stringify(modelDocument(session))));
      if (session.status !== "running") expect(misplaced(document)).toEqual([]);
    }
  }

  async end(): Promise<void> {
    await this.run(["finalizeSync", [], 1]);
    await this.agree();
  }

  #newModel(): OldTracerModel {
    return new OldTracerModel(this.#files, (sessionId) => join(this.#dir, `${sessionId}.json`));
  }
}

test(
  "every method agrees with the model, in random order",
  async () => {
    let dir = newDirectory();
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 3, maxLength: 40, size: "max" }), async (list) => {
        // A listing of a directory is part of each start.
        if (++runs % 100 === 0) dir = newDirectory();
        const pair = new Pair(dir, `run${runs}`);
        await pair.run(["startTrace", ["a", { title: "t", prompt: "hello" }], 1]);
        for (const one of list) {
          await pair.run(one);
          if (["flush", "endTrace", "finalizeSync", "flushSync"].includes(one[0])) await pair.agree();
        }
        await pair.end();
      }),
      { numRuns: trials(300, 10_000), ...(process.env.SEED && { seed: Number(process.env.SEED) }) },
    );
  },
  isTorture ? 3_600_000 : 300_000,
);
