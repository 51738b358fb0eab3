/** Long sessions: old spans lose their long texts in memory, and are read again where all of a span is wanted. */
import { renameSync, writeFileSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { LongSession } from "../../src/cli/long-session.js";
import { findSessions } from "../../src/cli/session-catalog.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { readFoundTrace, readTrace } from "../../src/recovery/read-trace.js";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { emptyDirectory } from "../support/command-stage.js";

const text = (n: number) => `${n} ${"été \ud83d\ude00 ".repeat(400)}${n}`;

/** A session with 60 tool calls of 10 KB in two turns, and one that runs. */
function longSession(dir: string) {
  const tracing = createSessionTracing({ dir });
  onTestFinished(() => tracing.shutdown());
  const tracer = tracing.tracer("ses_1");
  for (let n = 0; n < 60; n++) {
    if (n % 30 === 0) tracer.logUserMessage(text(n));
    const input = { command: text(n), list: Array.from({ length: 200 }, (_, item) => item) };
    const time = { start: 1_000 * n, end: 1_000 * n + 10 };
    tracer.logToolCall({
      tool: "bash",
      callID: `c${n}`,
      state: { status: "completed", input, output: text(n), time },
    });
  }
  tracer.logToolCall({
    tool: "last",
    callID: "last",
    state: { status: "running", input: { command: "sleep" } },
  });
  return tracer;
}

/** Reads the session with little of it whole, and with all of it. */
async function readings(dir: string) {
  const [found] = findSessions(dir);
  if (!found) throw new Error("there is no session");
  const long = new LongSession(20_000);
  const { trace } = await readFoundTrace(found.path, found, (span, place) => long.take(span, place));
  return { long, found, cut: trace.spans, whole: (await readTrace(found.path)).trace.spans };
}

function expectAllBack(long: LongSession, cut: readonly TraceSpan[], whole: readonly TraceSpan[]): void {
  expect(cut.map(({ spanId }) => spanId)).toEqual(whole.map(({ spanId }) => spanId));
  expect(cut.map((span) => long.whole(span))).toEqual(whole);
}

test("P8 old spans are cut, the last ones are whole, and each is read again as it was recorded", async () => {
  const dir = emptyDirectory();
  const tracer = longSession(dir);
  await tracer.flush();
  // Of a session that runs, and of its document when it has ended.
  for (const end of [undefined, () => tracer.endTrace()]) {
    await end?.();
    const { long, cut, whole } = await readings(dir);
    expect(JSON.stringify(cut).length).toBeLessThan(JSON.stringify(whole).length / 3);
    const calls = cut.filter(({ name }) => name === "bash");
    expect(String(calls[0]?.output)).toMatch(/^0 été .*… \[\d+ more characters, sum \w+\]$/su);
    expect(calls.at(-1)?.output).toBe(whole.filter(({ name }) => name === "bash").at(-1)?.output);
    expectAllBack(long, cut, whole);
  }
});

test("spans that were read from a log are found in the document that the log became", async () => {
  const dir = emptyDirectory();
  const tracer = longSession(dir);
  const { long, cut, whole } = await readings(dir);
  await tracer.endTrace();
  const ended = cut.filter(({ name }) => name === "bash");
  expect(ended.map((span) => long.whole(span))).toEqual(whole.filter(({ name }) => name === "bash"));
});

test("P14 where a line is gone, a text shows that it was cut", async () => {
  const dir = emptyDirectory();
  const tracer = longSession(dir);
  await tracer.endTrace();
  const { long, found, cut } = await readings(dir);
  renameSync(found.path, `${dir}/elsewhere`);
  const [first] = cut.filter(({ name }) => name === "bash");
  expect(long.whole(first as TraceSpan)).toBe(first);
  writeFileSync(found.path, "x".repeat(1_000_000));
  expect(long.whole(first as TraceSpan)).toBe(first);
  expect(String(first?.output)).toMatch(/more characters/);
});

test("texts that begin alike stay different, and equal ones equal: loops are found among cut inputs", async () => {
  const long = new LongSession(1);
  const spans = [1, 1, 2].map(
    (n, at): TraceSpan => ({
      spanId: `s${at}`,
      parentSpanId: null,
      name: "bash",
      kind: "tool",
      startTime: at,
      status: "ok",
      input: `${"a".repeat(5_000)}${n}`,
    }),
  );
  for (const span of spans) long.take(span, { path: "/nowhere", offset: 0, bytes: 5_000 });
  const [first, second, third] = spans.map(({ input }) => input);
  expect(String(first).length).toBeLessThan(700);
  expect(second).toBe(first);
  expect(third).not.toBe(first);
});
