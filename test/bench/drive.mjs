/**
 * Drives one contender with spans, and measures. The time in which the application makes its spans is in no figure.
 */
import { contenderNamed } from "./contenders.mjs";
import {
  bytesWritten,
  directoryBytes,
  heap,
  mainThreadMillis,
  median,
  peakMemory,
  processorMillis,
  quantile,
  watched,
} from "./meter.mjs";
import { SpanMaker } from "./spans.mjs";

const nextTurn = () => new Promise(setImmediate);
const heapEverySpans = 200;

/** Records all spans of the job; `shoot` is called in the same turn as the last one. */
async function record(job, contender, shoot) {
  const { spans, spansPerTurn, everyMillis } = job;
  const maker = new SpanMaker(job.shape, job.sessions);
  const [starts, ends] = [new Float64Array(spans), new Float64Array(spans)];
  let made = 0;
  let madeInTurn = 0;
  let gap = 0;
  let mostHeap = heap();
  const began = performance.now();
  let turnBegan = began;
  for (let number = 0; number < spans; number++) {
    const t0 = performance.now();
    const span = maker.start(number);
    const t1 = performance.now();
    contender.start?.(span);
    const t2 = performance.now();
    maker.end(span, number);
    const given = contender.prepare?.(span) ?? span;
    if (number % heapEverySpans === 0) mostHeap = Math.max(mostHeap, heap());
    const t3 = performance.now();
    contender.end(given);
    const t4 = performance.now();
    starts[number] = t2 - t1;
    ends[number] = t4 - t3;
    madeInTurn += t1 - t0 + (t3 - t2);
    if (number === spans - 1) {
      made += madeInTurn;
      shoot?.();
    } else if ((number + 1) % spansPerTurn === 0) {
      // For a turn that waits for a time, only the delay beyond it counts.
      const due = Math.max(performance.now(), turnBegan + everyMillis);
      if (everyMillis > 0) await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
      else await nextTurn();
      const now = performance.now();
      gap = Math.max(gap, everyMillis > 0 ? now - due : now - turnBegan - madeInTurn);
      made += madeInTurn;
      madeInTurn = 0;
      turnBegan = now;
    }
  }
  return { starts, ends, made, gap, mostHeap, wall: performance.now() - began };
}

/** Runs in a process of its own, and gives one sample. */
export async function drive(job) {
  const contender = await contenderNamed(job.contender).open(job);
  if (job.isKilled) {
    await record(job, contender, () => process.kill(process.pid, "SIGKILL"));
    throw new Error("the process was to be dead");
  }
  const before = { written: bytesWritten(), main: mainThreadMillis(), processor: processorMillis() };
  const { starts, ends, made, gap, mostHeap, wall } = await record(job, contender);
  const flush = await watched(() => contender.flush());
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const called = sum(starts) + sum(ends);
  const main = mainThreadMillis() - before.main;
  const processor = processorMillis() - before.processor;
  const atFlush = bytesWritten() - before.written;
  await contender.close?.();
  const perSpan = (millis) => (millis * 1000) / job.spans;
  return {
    spans: job.spans,
    call: median(ends) * 1000,
    callP99: quantile(ends, 0.99) * 1000,
    start: median(starts) * 1000,
    // A call that waits for the disk blocks the main thread although it does not run.
    main: perSpan(called + Math.max(0, main - made - called)),
    processor: perSpan(Math.max(called, processor - made)),
    wall: wall - made + flush.millis,
    seconds: (wall + flush.millis) / 1000,
    gap: Math.max(job.hasTurns ? gap : 0, flush.gap),
    flush: flush.millis,
    written: bytesWritten() - before.written,
    atFlush,
    kept: directoryBytes(job.dir),
    memory: peakMemory(),
    heap: mostHeap,
  };
}
