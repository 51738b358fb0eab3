/** The longest turn of the event loop while a document is published. */
import { endedSpans, fill, median, openTrace, row } from "./stage.mjs";

async function gapOfPublish(trace, number) {
  const [span] = endedSpans(1, "ses_bench", number);
  trace.processor.onEnd(span);
  let longest = 0;
  let last = performance.now();
  let isDone = false;
  const done = trace.processor.forceFlush().then(() => {
    isDone = true;
  });
  while (!isDone) {
    await new Promise(setImmediate);
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  await done;
  return longest;
}

for (const [megabytes, times] of [
  [25, 15],
  [250, 5],
]) {
  const trace = openTrace();
  await fill(trace.processor, "ses_bench", megabytes * 200);
  await trace.processor.forceFlush();
  const gaps = [];
  for (let i = 0; i < times; i++) gaps.push(await gapOfPublish(trace, 6_000_000 + i));
  trace.exporter.crash("bench");
  trace.remove();
  row(
    `longest event-loop gap of a publish at ${megabytes} MB, in ms`,
    median(gaps),
    5,
    `worst of ${times}: ${Math.max(...gaps).toFixed(1)} ms`,
  );
}
