/**
 * The altimate entry beside a model of the tracer that it replaces, in turns in one process: the main thread's time for a
 * tool call of 5 KB with 100, 1,000 and 5,000 spans behind it, the bytes written for it, the crash fence; and in processes
 * of their own, the time from the start to the first document.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { entry } from "../build.mjs";
import { bytesWritten, median, processorMillis } from "../meter.mjs";
import { OldTracer } from "../old-tracer.mjs";
import { text } from "../spans.mjs";

const began = Date.now() - 100_000_000;
const starts = 5;
const startProgram = fileURLToPath(new URL("../first-document.mjs", import.meta.url));

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

const settled = () => new Promise((resolve) => setTimeout(resolve, 20));

/** Microseconds of the processor, and bytes, for each of `calls` that come one after the other, each with its own document. */
async function cost(trace, from, calls) {
  await trace.flush();
  const before = { processor: processorMillis(), bytes: bytesWritten() };
  for (let number = from; number < from + calls; number++) {
    trace.logToolCall(callOf(number));
    await settled();
  }
  await trace.flush();
  return {
    micros: ((processorMillis() - before.processor) * 1000) / calls,
    bytes: (bytesWritten() - before.bytes) / calls,
  };
}

async function run({ dir, behind, calls }) {
  const { FileExporter, Trace } = await entry("altimate");
  const ours = Trace.withExporters([new FileExporter(join(dir, "ours"), 0)]);
  const model = new OldTracer(join(dir, "model"));
  const sample = {};
  let number = 0;
  for (const trace of [ours, model]) trace.startTrace("ses_1", { title: "bench", model: "acme/large" });
  for (const spans of behind) {
    for (; number < spans; number++) {
      ours.logToolCall(callOf(number));
      // Without an event each: a snapshot for every span would take minutes.
      model.spans.push({ ...callOf(number).state, spanId: `span-${number}`, parentSpanId: "span-1" });
      if (number % 500 === 0) await settled();
    }
    for (const [name, trace] of Object.entries({ Ours: ours, Model: model })) {
      const { micros, bytes } = await cost(trace, 1_000_000 + number, calls);
      sample[`event${name}${spans}`] = micros;
      sample[`eventBytes${name}${spans}`] = bytes;
    }
  }
  for (const [name, trace] of Object.entries({ Ours: ours, Model: model })) {
    const begin = performance.now();
    trace.flushSync("bench");
    sample[`lastFence${name}`] = performance.now() - begin;
  }
  for (const what of ["document", "span", "model", "api", "sdk"]) {
    const took = Array.from({ length: starts }, (_, index) => {
      const args = [startProgram, what, join(dir, `${what}-${index}`)];
      const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
      if (stdout === "") throw new Error(stderr);
      return Number(stdout);
    });
    sample[`first-${what}`] = median(took);
  }
  // The time of OpenTelemetry's own packages is not of this package's making.
  sample["first-document-alone"] = sample["first-document"] - sample["first-api"];
  sample["first-span-alone"] = sample["first-span"] - sample["first-sdk"];
  return sample;
}

export default {
  name: "drop-in",
  title: "the altimate entry beside a model of the tracer that it replaces",
  kind: "phases",
  contenders: ["ours"],
  runs: 3,
  run,
  settings: (isQuick) => ({ behind: isQuick ? [100, 1_000] : [100, 1_000, 5_000], calls: isQuick ? 10 : 20 }),
};
