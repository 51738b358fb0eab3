/** Random sessions: any calls of a session tracer in any order, with any values. */
import fc from "fast-check";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { anyJson, readableKey } from "./json-arbitraries.js";
import { hostileValues, keysOfOurs, strangeTexts, strangeTimes } from "./wide-values.js";

/** A method and its arguments. */
export type Call = readonly [method: keyof SessionTracer, ...args: unknown[]];

export function play(tracer: SessionTracer, calls: readonly Call[]): void {
  for (const [method, ...args] of calls) (tracer[method] as (...given: unknown[]) => void)(...args);
}

const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom(...strangeTexts));
const value = fc.oneof(text, fc.double(), anyJson, fc.constantFrom(...hostileValues));
const key = fc.oneof(
  text.filter((one) => one.isWellFormed()).map(readableKey),
  fc.constantFrom(...Object.keys(keysOfOurs)),
);
const attributes = fc.dictionary(key, value, { maxKeys: 5 });
const moment = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(...strangeTimes.flat()),
  fc.constant(undefined),
);
const number = fc.oneof(fc.double(), fc.nat(), fc.integer(), fc.constant(undefined));
/** Few ids, so that calls meet. */
const id = fc.constantFrom("a", "b", "c", undefined);

const parts: Partial<Record<keyof SessionTracer, fc.Arbitrary<unknown>[]>> = {
  logUserMessage: [text],
  logStepStart: [fc.record({ id, messageID: id })],
  logText: [fc.record({ id, messageID: id, text })],
  logStepFinish: [
    fc.record({
      id,
      messageID: id,
      reason: text,
      cost: number,
      tokens: fc.record({
        input: number,
        output: number,
        reasoning: number,
        cache: fc.record({ read: number, write: number }),
      }),
    }),
  ],
  logToolCall: [
    fc.record({
      tool: text,
      callID: id,
      messageID: id,
      state: fc.record({
        status: fc.constantFrom("running", "completed", "error"),
        input: value,
        output: value,
        error: text,
        time: fc.record({ start: moment, end: moment }),
      }),
    }),
  ],
  logSpan: [
    fc.record({
      name: text,
      startTime: moment,
      endTime: moment,
      status: fc.constantFrom("ok", "error"),
      input: value,
      output: value,
      attributes,
    }),
  ],
  setSpanAttributes: [attributes, fc.constantFrom("tool", "generation")],
  endTurn: [],
};

const call = fc.oneof(
  ...Object.entries(parts).map(([method, args]) =>
    fc.tuple(fc.constant(method as keyof SessionTracer), ...args),
  ),
);

/** The first call is a question. */
export const anyCalls: fc.Arbitrary<Call[]> = fc
  .array(call, { maxLength: 40 })
  .map((calls) => [["logUserMessage", "question"], ...calls]);
