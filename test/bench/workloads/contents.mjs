/**
 * Spans of 5 KB with content as agents produce it, given at their start (a prompt), at their end (an answer), or half and
 * half; with plain spans and through SessionTracer. Against stringify + writeSync of the finished record, in turns in one
 * process.
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { entry } from "../build.mjs";
import { contentOf, contents } from "../contents.mjs";
import { median } from "../meter.mjs";
import { openOurs } from "../ours.mjs";

const bytes = 4_700;
const perRound = 20;

const prompt = (text) => ({
  "gen_ai.operation.name": "chat",
  "gen_ai.request.model": "large",
  "gen_ai.input.messages": JSON.stringify([{ role: "user", parts: [{ type: "text", content: text }] }]),
});
const answer = (text) => ({
  "gen_ai.usage.input_tokens": 4_000,
  "gen_ai.usage.output_tokens": 300,
  "gen_ai.output.messages": JSON.stringify([{ role: "assistant", parts: [{ type: "text", content: text }] }]),
});

/** Where a span has its content: the bytes at its start, and at its end. */
const places = { start: [bytes, 0], end: [0, bytes], both: [bytes / 2, bytes / 2] };

/** A generation with content at these places. */
function attributesOf(kind, [atStart, atEnd], number) {
  return {
    first: prompt(atStart ? contentOf(kind, atStart, number) : "go on"),
    last: answer(atEnd ? contentOf(kind, atEnd, number) : "done"),
  };
}

/** Median microseconds of functions that are called in turns. */
async function inTurns(rounds, steps) {
  const took = new Map(steps.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < perRound; i++) {
      for (const [name, prepare, work] of steps) {
        const given = prepare(round * perRound + i);
        const begin = performance.now();
        work(given);
        took.get(name).push((performance.now() - begin) * 1000);
      }
    }
    await new Promise(setImmediate);
  }
  return Object.fromEntries([...took].map(([name, times]) => [name, median(times)]));
}

const lineOf = (path) => readFileSync(path, "utf8").split("\n").at(-3).replace(/^,/, "");

async function run({ dir, rounds }) {
  const { CrashSafeFileSpanExporter } = await entry();
  const { createSessionTracing } = await entry("session");
  const sample = {};
  const tracer = new BasicTracerProvider().getTracer("bench");
  /** The SDK alone: what the host pays without a processor. */
  const started = (first) =>
    tracer.startSpan("chat large", { attributes: { "session.id": "plain", ...first } });
  const fd = openSync(join(dir, "floor.txt"), "ax", 0o600);
  const write = (record) => writeSync(fd, `,${JSON.stringify(record)}\n`);
  const ours = await openOurs(
    { dir },
    {},
    ({ exporter, CrashSafeSpanProcessor }) => new CrashSafeSpanProcessor(exporter),
  );
  const tracing = createSessionTracing({
    exporters: [new CrashSafeFileSpanExporter({ dir: join(dir, "tracer") })],
  });
  const session = tracing.tracer("tool", { title: "bench", model: "acme/large" });
  session.logUserMessage("Look at every file.");
  const call = (text) => ({
    tool: "bash",
    callID: `call_${Math.random()}`,
    state: {
      status: "completed",
      input: { command: "cat file" },
      output: text,
      time: { start: Date.now() - 90, end: Date.now() },
    },
  });

  // Once before, so that all code is compiled.
  for (const kind of [...contents, ...contents]) {
    for (const [place, sizes] of Object.entries(places)) {
      if (place === "both" && kind !== "code") continue;
      let number = 0;
      const next = () => attributesOf(kind, sizes, number++);
      const complete = ({ first, last }) => {
        const span = started(first);
        ours.start(span, ROOT_CONTEXT);
        span.setAttributes(last).end();
        return span;
      };
      ours.end(complete(next()));
      await ours.flush();
      const record = JSON.parse(lineOf(join(dir, "plain.json")));
      const key = `${kind}-${place}`;
      const steps = [
        [`onEnd-${key}`, () => complete(next()), (span) => ours.end(span)],
        [`onStart-${key}`, () => started(next().first), (span) => ours.start(span, ROOT_CONTEXT)],
        [`floor-${key}`, () => record, write],
      ];
      Object.assign(sample, await inTurns(rounds, steps));
    }
    session.logToolCall(call(contentOf(kind, bytes, 0)));
    await tracing.forceFlush();
    const record = JSON.parse(lineOf(session.getTracePath()));
    const steps = [
      [`tool-${kind}`, (number) => call(contentOf(kind, bytes, number)), (one) => session.logToolCall(one)],
      [`floor-tool-${kind}`, () => record, write],
    ];
    Object.assign(sample, await inTurns(rounds, steps));
  }
  closeSync(fd);
  ours.exporter.crash("bench");
  tracing.crash("bench");
  return sample;
}

export default {
  name: "contents",
  title: "5 KB of content as agents produce it, at the start or at the end of a span",
  kind: "phases",
  contenders: ["ours"],
  run,
  settings: (isQuick) => ({ rounds: isQuick ? 8 : 20 }),
};
