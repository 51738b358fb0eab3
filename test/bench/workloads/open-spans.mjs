/**
 * Bytes that are written while spans with large content are open: one of 8 MB, and 500 of 2 KB, with a small span each 20 ms
 * beside them. An open span's text that has not changed is not to be copied again.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { contentOf } from "../contents.mjs";
import { bytesWritten } from "../meter.mjs";
import { openOurs } from "../ours.mjs";

/** R of the budget: bytes that a session may be written again in a second. */
const bytesPerSecond = 1e6;

async function amplification(dir, seconds, count, bytes) {
  const ours = await openOurs(
    { dir },
    {},
    ({ exporter, CrashSafeSpanProcessor }) => new CrashSafeSpanProcessor(exporter),
  );
  const tracer = new BasicTracerProvider().getTracer("bench");
  const start = (input) => {
    const attributes = { "session.id": "open", ...(input && { "input.value": input }) };
    const span = tracer.startSpan("step", { attributes });
    ours.start(span, ROOT_CONTEXT);
    return span;
  };
  const before = bytesWritten();
  const begin = performance.now();
  const open = Array.from({ length: count }, (_, number) => start(contentOf("code", bytes, number)));
  while (performance.now() - begin < seconds * 1000) {
    const span = start();
    span.end();
    ours.end(span);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const written = bytesWritten() - before;
  const millis = performance.now() - begin;
  for (const span of open) {
    span.end();
    ours.end(span);
  }
  await ours.close();
  const kept = readFileSync(join(dir, "open.json")).length;
  return written / (4 * kept + (bytesPerSecond * millis) / 1000);
}

async function run({ dir, seconds }) {
  return {
    openLarge: await amplification(join(dir, "large"), seconds, 1, 8_000_000),
    openMany: await amplification(join(dir, "many"), seconds, 500, 2_000),
  };
}

export default {
  name: "open-spans",
  title: "bytes written while one span of 8 MB is open, and while 500 of 2 KB are",
  kind: "phases",
  contenders: ["ours"],
  runs: 1,
  run,
  settings: (isQuick) => ({ seconds: isQuick ? 2 : 4 }),
};
