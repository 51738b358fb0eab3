/**
 * Random operations on processor and file exporter, over a file system that answers in random order and fails at
 * random times, against a model of what every reader must find.
 */
import type { Span } from "@opentelemetry/api";
import fc from "fast-check";
import { expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { MemoryFileSystem } from "../support/memory-file-system.js";
import { occurrences, ScriptedLiveness } from "../support/session-stage.js";
import { tracerInto } from "../support/span-processor-stage.js";
import { StillClock } from "../support/still-clock.js";
import { trials } from "../support/trials.js";

const dir = "/traces";
const sessionIdleMillis = 5_000;
const exportTimeoutMillis = 4_000;

const session = fc.constantFrom("a", "b");
type Operation =
  | { readonly do: "start" | "end session"; readonly session: string }
  | { readonly do: "burst"; readonly session: string; readonly spans: number }
  | { readonly do: "pass time"; readonly millis: number }
  | { readonly do: "outage"; readonly code: string | undefined }
  | { readonly do: "end" | "change" | "forceFlush" | "crash" | "shutdown" };

const operation = fc.oneof<fc.WeightedArbitrary<Operation>[]>(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("start"), session }) },
  { weight: 5, arbitrary: fc.constant({ do: "end" }) },
  { weight: 1, arbitrary: fc.constant({ do: "change" }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("burst"), session, spans: fc.integer({ min: 1, max: 6 }) }),
  },
  { weight: 4, arbitrary: fc.constant({ do: "forceFlush" }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("end session"), session }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("pass time"), millis: fc.constantFrom(1, 20, 500, 1000, 6000) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("outage"),
      code: fc.constantFrom("ENOSPC", "EIO", "short", undefined),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "crash" }) },
  { weight: 1, arbitrary: fc.constant({ do: "shutdown" }) },
);

interface ModelSpan {
  readonly session: string;
  readonly span: Span;
  /** `closed`: its session ended before it, so that its own end came too late. */
  state: "running" | "ended" | "closed" | "unseen";
  /** An end of its session was requested while the span was open. */
  mayBeClosed: boolean;
}

class Model {
  readonly spans = new Map<string, ModelSpan>();
  readonly faults: string[] = [];
  fenced: ReadonlyMap<string, string | undefined> | undefined;

  constructor(readonly fileSystem: MemoryFileSystem) {
    fileSystem.onDocument = (path, text) => this.look(path, text);
  }

  read(name: string): TraceFile | undefined {
    const text = this.fileSystem.text(`${dir}/${name}.json`);
    return text === undefined ? undefined : JSON.parse(text);
  }

  of(name: string): [string, ModelSpan][] {
    return [...this.spans].filter(([, span]) => span.session === name && span.state !== "unseen");
  }

  /** P1: a document is whole, and of one moment: no started span is missing or present twice. */
  look(path: string, text: string): void {
    try {
      const found = occurrences(JSON.parse(text));
      for (const [spanId, spans] of found) {
        if (spans.length > 1) this.faults.push(`${spanId} is ${spans.length} times in ${path}`);
      }
    } catch {
      this.faults.push(`${path} is not whole: ${text}`);
    }
  }

  /** Each started span is in its session's document, and in no other document. */
  expectAll(name: string): ReturnType<typeof occurrences> {
    const found = occurrences(this.read(name) ?? noDocument);
    const known = this.of(name).map(([spanId]) => spanId);
    expect([...found.keys()].sort()).toEqual(known.sort());
    return found;
  }

  /** Differences between the documents and the model. */
  missing(promised: readonly string[]): string[] {
    const documents = new Map(["a", "b"].map((name) => [name, occurrences(this.read(name) ?? noDocument)]));
    return promised.filter((spanId) => {
      const found = documents.get(this.spans.get(spanId)?.session as string)?.get(spanId);
      return found?.length !== 1 || found[0]?.endTime === undefined;
    });
  }
}

const noDocument = { spans: [] } as unknown as TraceFile;

async function run(scheduler: fc.Scheduler, operations: readonly Operation[]): Promise<void> {
  const fileSystem = new MemoryFileSystem((label) => scheduler.schedule(Promise.resolve(), label));
  const model = new Model(fileSystem);
  const clock = new StillClock();
  const liveness = new ScriptedLiveness();
  const exporter = new CrashSafeFileSpanExporter({ dir, sessionIdleMillis }, { fileSystem, clock, liveness });
  const processor = new CrashSafeSpanProcessor(exporter, { exportTimeoutMillis }, { clock });
  const tracer = tracerInto(processor);
  let isOver = false;
  let hadOutage = false;
  let isShutDown = false;
  let isFencedLate = false;
  /** A shutdown that failed and rejected leaves the rest to recovery. */
  let gaveUp = false;

  const start = (name: string) => {
    const span = tracer.startSpan("work", { attributes: { "session.id": name } });
    const state = isOver ? "unseen" : "running";
    model.spans.set(span.spanContext().spanId, { session: name, span, state, mayBeClosed: false });
    return span;
  };
  const end = (span: Span) => {
    const known = model.spans.get(span.spanContext().spanId) as ModelSpan;
    const dropped = () => exporter.stats().dropped + processor.stats().dropped;
    const before = dropped();
    span.end();
    if (dropped() === before) known.state = "ended";
    else if (known.state === "running") known.state = "closed";
  };
  const running = () => [...model.spans.values()].find(({ span }) => span.isRecording());
  const close = (which: (span: ModelSpan) => boolean) => {
    for (const span of model.spans.values())
      if (span.state === "running" && which(span)) span.mayBeClosed = true;
  };

  const act = (operation: Operation): void => {
    switch (operation.do) {
      case "start":
        start(operation.session);
        return;
      case "burst":
        for (let i = 0; i < operation.spans; i++) end(start(operation.session));
        return;
      case "end": {
        const span = running()?.span;
        if (span) end(span);
        return;
      }
      case "change":
        running()?.span.setAttribute("changed", clock.monotonic());
        return;
      case "pass time":
        clock.pass(operation.millis);
        return;
      case "outage":
        fileSystem.outage = operation.code;
        hadOutage ||= operation.code !== undefined;
        return;
      case "end session":
        close(({ session }) => session === operation.session);
        exporter.endSession(operation.session).catch(() => {});
        return;
      case "forceFlush": {
        const promised = [...model.spans]
          .filter(([, { state }]) => state === "ended")
          .map(([spanId]) => spanId);
        processor.forceFlush().then(
          () => {
            const missing = model.missing(promised);
            if (missing.length > 0) model.faults.push(`a flush resolved without ${missing}`);
          },
          () => {},
        );
        return;
      }
      case "crash":
        isFencedLate ||= isShutDown;
        isOver = true;
        processor.crash("boom");
        if (fileSystem.outage === undefined) {
          model.fenced ??= new Map(["a", "b"].map((name) => [name, fileSystem.text(`${dir}/${name}.json`)]));
        }
        return;
      case "shutdown":
        isOver = true;
        isShutDown = true;
        close(() => true);
        processor.shutdown().catch(() => {
          gaveUp = true;
        });
        return;
    }
  };
  scheduler.scheduleSequence(
    operations.map((operation) => ({
      label: JSON.stringify(operation),
      builder: async () => act(operation),
    })),
  );
  await scheduler.waitIdle();

  // The disk works again, and no further event follows: time alone must write every span.
  fileSystem.outage = undefined;
  for (let i = 0; i < 4; i++) {
    clock.pass(31_000);
    await scheduler.waitIdle();
  }
  expect(model.faults).toEqual([]);
  expect(fileSystem.offences).toEqual([]);
  if (!hadOutage) expect(exporter.stats().faults).toBe(0);
  for (const [name, text] of model.fenced ?? []) {
    expect(fileSystem.text(`${dir}/${name}.json`), `${name} has changed after the fence`).toBe(text);
  }
  if (gaveUp) return;
  const isCrashed = operations.some((one) => one.do === "crash");
  for (const name of ["a", "b"]) {
    const known = model.of(name);
    const document = model.read(name);
    expect(document === undefined, `a document of ${name}`).toBe(known.length === 0);
    if (!document) continue;
    const found = model.expectAll(name);
    for (const [spanId, { state, mayBeClosed }] of known) {
      const [span] = found.get(spanId) ?? [];
      if (state === "ended")
        expect([span?.endTime, span?.interrupted]).toEqual([expect.any(Number), undefined]);
      else if (state === "closed") expect(span?.endTime).toBeDefined();
      else if (isCrashed) expect(mayBeClosed || span?.interrupted === true).toBe(true);
      else if (!mayBeClosed) expect(span?.endTime).toBeUndefined();
    }
  }
  processor.shutdown().catch(() => {});
  await scheduler.waitIdle();
  if (hadOutage && isFencedLate) {
    // The directory has no user any more: what the disk refused the fence is left to the next recovery.
    const recovery = recoverDirectory({ fileSystem, clock, liveness }, dir);
    await scheduler.waitIdle();
    expect((await recovery).failures).toEqual([]);
    for (const name of ["a", "b"]) model.expectAll(name);
  }
  expect(fileSystem.list(dir).filter((name) => !/^[ab]\.json$/.test(name))).toEqual([]);
}

it("P1 P3 P4 P5 in every order of events, the file is whole, flushes are true, fences hold and memory equals file", async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(operation, { minLength: 1, maxLength: 25 }), run),
    { numRuns: trials(1000, 20_000) },
  );
});
