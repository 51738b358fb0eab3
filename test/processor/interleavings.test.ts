/** Random operations, exporters and orders of events against a model of what must hold in each of them. */
import type { ExportResult } from "@opentelemetry/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { ReadableSpan, SpanExporter } from "../../src/otel/types.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { failure, HandClock, success, tracerInto } from "../support/span-processor-stage.js";

const limits = {
  scheduledDelayMillis: 1000,
  maxQueueSize: 8,
  maxExportBatchSize: 3,
  exportTimeoutMillis: 5000,
};

/** What the exporter does with one batch. "Soon" means whenever the scheduler runs it. */
const replies = [
  "success soon",
  "success in the call",
  "failure soon",
  "failure in the call",
  "throws",
  "answers, then throws",
  "answers twice",
  "answers after its timeout",
  "never answers",
] as const;

type Operation =
  | { readonly do: "start" | "end" | "forceFlush" | "crash" | "shutdown" }
  | { readonly do: "burst"; readonly spans: number }
  | { readonly do: "pass time"; readonly millis: number };

const operation = fc.oneof<fc.WeightedArbitrary<Operation>[]>(
  { weight: 4, arbitrary: fc.constant({ do: "start" }) },
  { weight: 4, arbitrary: fc.constant({ do: "end" }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("burst"), spans: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 4, arbitrary: fc.constant({ do: "forceFlush" }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("pass time"), millis: fc.constantFrom(1, 999, 1000, 4000, 6000) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "crash" }) },
  { weight: 1, arbitrary: fc.constant({ do: "shutdown" }) },
);

interface Call {
  readonly names: readonly string[];
  readonly startedAt: number;
  answer: "success" | "failure" | undefined;
}

/** The exporter's side: the batches it got, and how each call ended by the specification. */
class ModelExporter implements SpanExporter {
  readonly calls: Call[] = [];
  readonly late: Array<() => void> = [];
  readonly faults: string[] = [];

  constructor(
    private readonly clock: HandClock,
    private readonly scheduler: fc.Scheduler,
    private readonly script: readonly (typeof replies)[number][],
  ) {}

  state(call: Call): "pending" | "success" | "failure" {
    if (call.answer !== undefined) return call.answer;
    return this.clock.now() < call.startedAt + limits.exportTimeoutMillis ? "pending" : "failure";
  }

  callOf(name: string): Call | undefined {
    return this.calls.find(({ names }) => names.includes(name));
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    if (this.calls.some((call) => this.state(call) === "pending")) this.faults.push("concurrent export()");
    if (spans.length === 0 || spans.length > limits.maxExportBatchSize) this.faults.push("batch size");
    const call: Call = {
      names: spans.map(({ name }) => name),
      startedAt: this.clock.now(),
      answer: undefined,
    };
    const answer = (result: ExportResult) => {
      if (this.state(call) === "pending") call.answer = result === success ? "success" : "failure";
      resultCallback(result);
    };
    const reply = this.script[this.calls.length % this.script.length];
    this.calls.push(call);
    const soon = (label: string) => this.scheduler.schedule(Promise.resolve(), label);
    switch (reply) {
      case "success soon":
        void soon("success").then(() => answer(success));
        return;
      case "success in the call":
        answer(success);
        return;
      case "failure soon":
        void soon("failure").then(() => answer(failure("503")));
        return;
      case "failure in the call":
        answer(failure("503"));
        return;
      case "throws":
        call.answer = "failure";
        throw new Error("broken");
      case "answers, then throws":
        answer(success);
        throw new Error("broken");
      case "answers twice":
        void soon("first answer").then(() => answer(success));
        void soon("second answer").then(() => answer(failure("503")));
        return;
      case "answers after its timeout":
        this.late.push(() => answer(success));
        return;
      default:
        return;
    }
  }

  async forceFlush(): Promise<void> {
    await this.scheduler.schedule(Promise.resolve(), "exporter flushed");
  }

  async shutdown(): Promise<void> {
    await this.scheduler.schedule(Promise.resolve(), "exporter shut down");
  }
}

async function run(
  scheduler: fc.Scheduler,
  operations: readonly Operation[],
  script: readonly (typeof replies)[number][],
): Promise<void> {
  const clock = new HandClock();
  const exporter = new ModelExporter(clock, scheduler, script);
  const processor = new CrashSafeSpanProcessor(exporter, limits, { clock });
  const tracer = tracerInto(processor);
  const open: Array<{ end(): void }> = [];
  const ended: string[] = [];
  const dropped = new Set<string>();
  const flushes: Array<"pending" | "settled"> = [];
  let spans = 0;
  let closed = false;
  let shutDown = false;

  const start = () => {
    const name = `span ${++spans}`;
    const span = tracer.startSpan(name);
    open.push({
      end() {
        const before = processor.stats().dropped;
        const room = !closed && processor.stats().queued < limits.maxQueueSize;
        span.end();
        ended.push(name);
        if (processor.stats().dropped > before) dropped.add(name);
        expect(dropped.has(name)).toBe(!room);
      },
    });
  };

  const forceFlush = () => {
    // A shutdown that timed out has dropped what was queued.
    const isQueueEmpty = shutDown && processor.stats().queued === 0;
    const promised = ended.filter((name) => {
      const call = exporter.callOf(name);
      if (call === undefined) return !dropped.has(name) && !isQueueEmpty;
      return exporter.state(call) === "pending";
    });
    const number = flushes.push("pending") - 1;
    const inOrder = () => {
      // After shutdown() all calls share the result of the shutdown, in any order.
      const overtaken = !shutDown && flushes.slice(0, number).includes("pending");
      if (overtaken) exporter.faults.push(`flush ${number} overtook another`);
      flushes[number] = "settled";
    };
    return processor.forceFlush().then(() => {
      inOrder();
      const missing = promised.filter((name) => exporter.callOf(name)?.answer !== "success");
      if (missing.length > 0) exporter.faults.push(`flush ${number} resolved without ${missing}`);
    }, inOrder);
  };

  const checks: Promise<unknown>[] = [];
  const act = (operation: Operation) => {
    switch (operation.do) {
      case "start":
        return start();
      case "end":
        return open.shift()?.end();
      case "burst":
        for (let i = 0; i < operation.spans; i++) {
          start();
          open.pop()?.end();
        }
        return;
      case "pass time":
        return clock.jump(operation.millis);
      case "forceFlush":
        checks.push(forceFlush());
        return;
      case "crash":
        processor.crash("test");
        closed = true;
        return;
      case "shutdown":
        shutDown = true;
        closed = true;
        checks.push(processor.shutdown().catch(() => {}));
        return;
    }
  };
  scheduler.scheduleSequence(
    operations.map((operation) => ({ label: operation.do, builder: async () => act(operation) })),
  );
  await scheduler.waitIdle();

  // No further event: time alone must export every span.
  for (let batches = 0; batches <= limits.maxQueueSize + 2; batches++) {
    clock.jump(limits.exportTimeoutMillis);
    await scheduler.waitIdle();
    for (const answer of exporter.late) answer();
  }
  await scheduler.waitIdle();
  expect(flushes).not.toContain("pending");
  await Promise.all(checks);

  const stats = processor.stats();
  const exported = exporter.calls.flatMap(({ names }) => names);
  const succeeded = exporter.calls.filter(({ answer }) => answer === "success").flatMap(({ names }) => names);
  expect(exporter.faults).toEqual([]);
  expect(stats).toMatchObject({ queued: 0, exporting: 0, faults: 0 });
  // The account of losses is reset after two minutes without a loss.
  clock.jump(180_000);
  expect(clock.pending).toBe(0);
  expect(stats.exported + stats.failed + stats.dropped).toBe(ended.length);
  if (shutDown) {
    // A shutdown that timed out drops what is left.
    expect(stats.exported).toBeLessThanOrEqual(succeeded.length);
    expect(new Set(exported).size).toBe(exported.length);
  } else {
    expect(exported).toEqual(ended.filter((name) => !dropped.has(name)));
    expect(stats).toMatchObject({ exported: succeeded.length, dropped: dropped.size });
  }
}

it("P4 P5 in every order of events, exports are serial, flushes are true and every span is accounted for", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(operation, { minLength: 1, maxLength: 25 }),
      fc.array(fc.constantFrom(...replies), { minLength: 1, maxLength: 6 }),
      run,
    ),
    { numRuns: 1000 },
  );
});
