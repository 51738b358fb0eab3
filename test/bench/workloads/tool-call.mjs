/**
 * One tool call of 5 KB through SessionTracer, processor and exporter, with few and with many calls behind it, against
 * stringify + writeSync of its record, and attributes that are set on one span again and again. In turns in one process: no
 * contender has such a tracer.
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { entry } from "../build.mjs";
import { median } from "../meter.mjs";
import { text } from "../spans.mjs";

const rounds = 40;
const perRound = 50;
const began = Date.now() - 100_000_000;

const callOf = (number) => ({
  tool: ["bash", "read", "grep", "edit"][number % 4],
  callID: `call_${number}`,
  state: {
    status: "completed",
    input: { path: `src/file-${number}.ts`, note: text(300, number) },
    output: text(4_300, number),
    time: { start: began + number, end: began + number + 90 },
  },
});

/** Calls of setSpanAttributes on one span, each with an attribute of its own, and how many of them make the first and the last. */
const sets = 4_000;
const ofEnd = 400;

/** Microseconds of a call, those of an unbuffered write as long as its record, and the last calls beside the first ones. */
async function setAttributes(tracer, fd) {
  const took = [];
  const written = [];
  for (let number = 0; number < sets; number++) {
    const attributes = { [`review.note_${number}`]: text(40, number) };
    const began = performance.now();
    tracer.setSpanAttributes(attributes, "session");
    const set = performance.now();
    writeSync(fd, `${JSON.stringify({ spanId: "0123456789abcdef", attributes })}\n`);
    written.push(performance.now() - set);
    took.push(set - began);
    if (number % 50 === 0) await new Promise(setImmediate);
  }
  return {
    attributes: median(took) * 1000,
    plainAttributes: median(written) * 1000,
    attributesFlat: median(took.slice(-ofEnd)) / median(took.slice(ofEnd, 2 * ofEnd)),
  };
}

async function run({ dir, behind }) {
  const { createSessionTracing } = await entry("session");
  const tracing = createSessionTracing({ dir });
  const tracers = {};
  for (const [sessionId, calls] of Object.entries({ few: 100, many: behind })) {
    const tracer = tracing.tracer(sessionId, { title: "bench", model: "acme/large", providerId: "acme" });
    tracer.logUserMessage("Look at every file.");
    for (let number = 0; number < calls; number++) {
      tracer.logToolCall(callOf(number));
      if (number % 500 === 0) await new Promise(setImmediate);
    }
    tracers[sessionId] = tracer;
  }
  // From here on no copy is due for a long time. Otherwise the thread pool would be measured.
  await tracing.forceFlush();

  const lines = readFileSync(tracers.few.getTracePath(), "utf8").split("\n");
  const record = JSON.parse(lines.at(-3).replace(/^,/, ""));
  const fd = openSync(join(dir, "floor.txt"), "ax", 0o600);
  const took = { few: [], many: [], floor: [] };
  const time = (what, work) => {
    const begin = performance.now();
    work();
    took[what].push(performance.now() - begin);
  };
  for (let round = 0; round < rounds; round++) {
    const from = 10_000_000 + round * perRound;
    for (const call of Array.from({ length: perRound }, (_, index) => callOf(from + index))) {
      time("few", () => tracers.few.logToolCall(call));
      time("floor", () => writeSync(fd, `,${JSON.stringify(record)}\n`));
      time("many", () => tracers.many.logToolCall(call));
    }
    await new Promise(setImmediate);
  }
  const attributes = await setAttributes(tracers.few, fd);
  closeSync(fd);
  tracing.crash("bench");
  const [few, many, floor] = [median(took.few), median(took.many), median(took.floor)];
  return { toolCall: few * 1000, plainRecord: floor * 1000, flat: many / few, ...attributes };
}

export default {
  name: "tool-call",
  title: "logToolCall of 5 KB with 100 calls behind it, and with 50,000",
  kind: "phases",
  contenders: ["ours"],
  run,
  settings: (isQuick) => ({ behind: isQuick ? 5_000 : 50_000 }),
};
