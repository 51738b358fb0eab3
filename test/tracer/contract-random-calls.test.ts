/** The contract: no method throws, for any arguments in any order, and the file is whole at every moment. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { hostileArguments } from "../support/hostile-arguments.js";
import { rootOf, SessionTracerStage } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

/** Every method by its name, without the types that a caller may ignore. */
type Method = Exclude<keyof SessionTracer, "sessionId" | "isOpen" | "dropped">;
const call = (tracer: SessionTracer, method: Method, args: readonly unknown[]): unknown =>
  (tracer[method] as (...args: readonly unknown[]) => unknown)(...args);

/** What every reader relies on, at every moment. */
function expectWhole(document: TraceFile): void {
  rootOf(document);
  const ids = document.spans.map(({ spanId }) => spanId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { parentSpanId, startTime, endTime } of document.spans) {
    if (parentSpanId !== null) expect(ids).toContain(parentSpanId);
    expect(Number.isFinite(startTime) && (endTime === undefined || Number.isFinite(endTime))).toBe(true);
  }
  const firstOpen = document.spans.findIndex(
    ({ endTime, kind }) => endTime === undefined && kind !== "session",
  );
  const afterOpen = firstOpen < 0 ? [] : document.spans.slice(firstOpen);
  // Open spans last, and the session's own span at the end.
  expect(afterOpen.every(({ endTime, kind }) => endTime === undefined || kind === "session")).toBe(true);
  expect(document.spans.at(-1)?.kind).toBe("session");
}

const documents = (): TraceFile[] =>
  stage.files
    .filter((name) => name.endsWith(".json"))
    .map((name) => JSON.parse(readFileSync(join(stage.dir, name), "utf8")));

const methods: readonly Method[] = [
  ...(["startTrace", "enrichFromAssistant", "setTitle", "setPrompt", "applyOwuiContext"] as const),
  ...(["logUserMessage", "logStepStart", "logText", "logStepFinish", "logToolCall", "logSpan"] as const),
  ...(["setSpanAttributes", "getTracePath", "context", "withContext", "traceHeaders", "endTurn"] as const),
  ...(["flush", "document", "endTrace", "finalizeSync", "flushSync", "rehydrateFromFile"] as const),
];

test("the list names every method of the tracer", () => {
  const prototype = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(stage.start("ses_1")));
  const all = Object.keys(prototype).filter((key) => typeof prototype[key]?.value === "function");
  expect([...methods].sort()).toEqual(all.filter((key) => key !== "constructor").sort());
});

const states: Record<string, (tracer: SessionTracer) => void> = {
  idle() {},
  open: (tracer) => tracer.startTrace("open"),
  busy(tracer) {
    tracer.startTrace("busy");
    tracer.logStepStart({ id: "g" });
    tracer.logToolCall({ tool: "t", callID: "c", state: { status: "running" } });
  },
  ended(tracer) {
    tracer.startTrace("ended");
    tracer.finalizeSync();
  },
  crashed(tracer) {
    tracer.startTrace("crashed");
    tracer.flushSync();
  },
};

describe.each(methods)("%s throws nothing and rejects nothing", (method) => {
  // Errors of a host's own function belong to the host.
  const isCalled = (value: unknown) => method === "withContext" && typeof value === "function";

  test.each(Object.keys(states))("while %s", async (state) => {
    const process = stage.process();
    let tracer: SessionTracer | undefined;
    for (const [, value] of hostileArguments()) {
      if (isCalled(value)) continue;
      for (const args of [[value], [value, value], ["text", value]]) {
        if (tracer?.isOpen !== (state === "open" || state === "busy")) {
          tracer = process.newTracer();
          states[state]?.(tracer);
        }
        await call(tracer as SessionTracer, method, args);
      }
    }
    await tracer?.endTrace();
    await process.exporter.shutdown();
    for (const document of documents()) expectWhole(document);
    expect(stage.files.every((name) => name.endsWith(".json"))).toBe(true);
  });
});

/** A placeholder for a hostile value, which the generator of cases could not inspect itself. */
class Hostile {
  constructor(readonly number: number) {}
}

/** The arguments of a call, with a fresh hostile value for each placeholder. */
function handed(value: unknown): unknown {
  if (value instanceof Hostile) return hostileArguments()[value.number]?.[1];
  if (Array.isArray(value)) return value.map(handed);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, handed(one)]));
}

const anything = fc.oneof(
  fc.nat(hostileArguments().length - 1).map((number): unknown => new Hostile(number)),
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true }),
);
const id = fc.constantFrom("a", "b", "m", undefined, null, 7);
const orBad = <T>(good: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 6, arbitrary: good }, { weight: 1, arbitrary: anything });
const time = orBad(fc.integer({ min: -1_000, max: 10_000_000_000_000 }));
const state = fc.record({
  status: orBad(fc.constantFrom("running", "pending", "completed", "error")),
  input: anything,
  output: orBad(fc.string()),
  error: orBad(fc.string()),
  time: orBad(fc.record({ start: time, end: time })),
});
const tokens = fc.record({ input: orBad(fc.integer()), output: orBad(fc.integer()), cache: anything });

/** Mostly valid arguments. */
const sensible: Partial<Record<Method, fc.Arbitrary<unknown[]>>> = {
  startTrace: fc.tuple(
    fc.constantFrom("a", "b", "A", "a/b"),
    orBad(fc.record({ title: fc.string(), tags: anything })),
  ),
  rehydrateFromFile: fc.tuple(fc.constantFrom("a", "b", "none")),
  logUserMessage: fc.tuple(orBad(fc.string())),
  logStepStart: fc.tuple(orBad(fc.record({ id, messageID: id }))),
  logText: fc.tuple(orBad(fc.record({ text: orBad(fc.string()), messageID: id }))),
  logStepFinish: fc.tuple(
    orBad(fc.record({ id, messageID: id, cost: orBad(fc.double()), tokens: orBad(tokens) })),
  ),
  logToolCall: fc.tuple(
    orBad(fc.record({ tool: orBad(fc.string()), callID: id, messageID: id, state: orBad(state) })),
  ),
  logSpan: fc.tuple(
    orBad(fc.record({ name: orBad(fc.string()), startTime: time, endTime: time, attributes: anything })),
  ),
  setSpanAttributes: fc.tuple(anything, orBad(fc.constantFrom("tool", "generation", "session", undefined))),
  flushSync: fc.tuple(orBad(fc.constantFrom(undefined, "killed"))),
};
const oneCall = fc.constantFrom(...methods.filter((method) => method !== "withContext")).chain((method) =>
  fc.record({
    method: fc.constant(method),
    args: sensible[method] ?? fc.array(anything, { maxLength: 2 }),
    /** The index of one of two tracers. */
    which: fc.nat(1),
    /** Whether the result is awaited. */
    isAwaited: fc.boolean(),
  }),
);

test("P1 P6 any calls in any order on two tracers of one process throw nothing and keep the file whole", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(oneCall, { minLength: 1, maxLength: 30 }), async (calls) => {
      stage.remove();
      stage = new SessionTracerStage();
      const process = stage.process();
      const tracers = [process.newTracer(), process.newTracer()] as const;
      const answers: unknown[] = [];
      for (const [tracer, letter] of [
        [tracers[0], "a"],
        [tracers[1], "b"],
      ] as const)
        tracer.startTrace(letter);
      for (const { method, args, which, isAwaited } of calls) {
        const answer = call(tracers[which as 0 | 1], method, args.map(handed));
        if (isAwaited) await answer;
        else answers.push(answer);
        for (const document of documents()) expectWhole(document);
      }
      await Promise.all(answers);
      for (const tracer of tracers) await tracer.endTrace();
      for (const tracer of tracers) await tracer.flush();
      for (const document of documents()) expectWhole(document);
      await process.exporter.shutdown();
      expect(stage.files.filter((name) => !name.endsWith(".json"))).toEqual([]);
      for (const document of documents()) expect(document.summary.status).not.toBe("running");
    }),
    { numRuns: 150 },
  );
});
