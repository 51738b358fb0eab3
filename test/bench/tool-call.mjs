/**
 * One tool call of 5 KB through tracer, processor and exporter, with few and with many calls behind it, against
 * stringify + writeSync of its record.
 */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessionTracing } from "opentelemetry-exporter-crash-safe-file/session";
import { median, row, text } from "./stage.mjs";

const rounds = 40;
const perRound = 50;
const behind = { few: 100, many: 50_000 };
const began = Date.now() - 100_000_000;

const dir = mkdtempSync(join(tmpdir(), "crash-safe-bench-"));
const tracing = createSessionTracing({ dir });

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

const tracers = {};
for (const [sessionId, calls] of Object.entries(behind)) {
  const tracer = tracing.tracer(sessionId, { title: "bench", model: "acme/large", providerId: "acme" });
  tracer.logUserMessage("Look at every file.");
  for (let number = 0; number < calls; number++) {
    tracer.logToolCall(callOf(number));
    if (number % 500 === 0) await new Promise(setImmediate);
  }
  tracers[sessionId] = tracer;
}
// From here on no copy is due for a long time: the thread pool would be measured instead.
await tracing.forceFlush();

const lines = readFileSync(tracers.few.getTracePath(), "utf8").split("\n");
const record = JSON.parse(lines.at(-3).replace(/^,/, ""));
const fd = openSync(join(dir, "floor.txt"), "ax", 0o600);

const took = { few: [], many: [], floor: [] };
const time = (what, run) => {
  const begin = performance.now();
  run();
  took[what].push(performance.now() - begin);
};
// In turns, so that the state of the heap and of the disk is the same for all three.
for (let round = 0; round < rounds; round++) {
  const calls = Array.from({ length: perRound }, (_, index) => callOf(10_000_000 + round * perRound + index));
  for (const call of calls) {
    time("few", () => tracers.few.logToolCall(call));
    time("floor", () => writeSync(fd, `,${JSON.stringify(record)}\n`));
    time("many", () => tracers.many.logToolCall(call));
  }
  await new Promise(setImmediate);
}
closeSync(fd);
tracing.crash("bench");
rmSync(dir, { recursive: true, force: true });

const [few, many, floor] = [median(took.few), median(took.many), median(took.floor)];
const micros = (millis) => `${(millis * 1000).toFixed(1)} µs`;
row("logToolCall of 5 KB / stringify + writeSync", few / floor, 2.5, `${micros(few)} / ${micros(floor)}`);
row(
  "logToolCall with 50,000 calls behind it / with 100",
  many / few,
  1.25,
  `${micros(many)} / ${micros(few)}`,
);
