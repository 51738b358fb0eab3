/**
 * Code of the host that calls back into the library: loggers, redactors, getters, `toJSON`, the `sessionId` option,
 * metrics, result callbacks. Each may record spans, and may end the session that is being written.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { diag, type Span } from "@opentelemetry/api";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { MemorySessionExporter, MemorySpanProcessor } from "../../src/altimate/memory-recorder.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { AppendLog } from "../../src/storage/append-log.js";
import { FaultyFileSystem } from "../support/faulty-file-system.js";
import {
  actions,
  cutNextWrite,
  Host,
  histogramOf,
  sessionId,
  withGetter,
} from "../support/reentrant-host.js";
import { occurrences } from "../support/session-stage.js";
import { SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";
import { HandClock, ScriptedExporter, settled, tracerInto } from "../support/span-processor-stage.js";

let dir: string;

beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "reentrant-"));
});
afterEach(() => {
  diag.disable();
  fs.rmSync(dir, { recursive: true, force: true });
});

describe("P6 a logger", () => {
  test.for(actions)("may %s when a write was cut short", async (action) => {
    const host = new Host(dir);
    host.listen();
    host.record();
    const outer = host.start();
    host.plan.push(() => host.act(action));
    cutNextWrite(host);
    host.end(outer);
    expect(host.acted).toBe(1);
    await host.expectAll();
  });

  test.for(actions)("may %s when the start of a span cannot be written", async (action) => {
    const host = new Host(dir);
    host.listen();
    host.record();
    host.plan.push(() => host.act(action));
    cutNextWrite(host);
    const outer = host.start();
    expect(host.acted).toBe(1);
    host.end(outer);
    await host.expectAll();
  });

  test.for(actions)("may %s when a fence of several sessions meets a fault", async (action) => {
    const host = new Host(dir);
    host.listen();
    host.record();
    host.start({ "session.id": "other" });
    host.started.clear();
    let seen: string | undefined;
    host.plan.push(() => {
      seen = fs.readFileSync(`${dir}/other.json`, "utf8");
      host.act(action);
    });
    const { fileSystem } = host;
    // A first document that cannot be linked to its name is committed under the lock, by another link.
    let links = 0;
    fileSystem.link = (from, to) => {
      if (++links > 2) return nodeFileSystem.sync.link(from, to);
      throw Object.assign(new Error("EIO: injected"), { code: "EIO" });
    };
    host.processor.crash("fenced");
    expect(host.acted).toBe(1);
    expect(JSON.parse(seen ?? "").summary.status).toBe("crashed");
    await host.processor.shutdown();
    const document = host.document();
    expect(document.summary.status).toBe("crashed");
    expect(occurrences(document).size).toBe(1);
  });

  it("is called after the record is kept, and sees the fault counted", () => {
    const host = new Host(dir);
    host.listen();
    host.record();
    const outer = host.start();
    let seen: unknown;
    host.plan.push(() => {
      const { faults, recorded } = host.exporter.stats();
      seen = { faults, recorded };
    });
    cutNextWrite(host);
    host.end(outer);
    expect(seen).toEqual({ faults: 1, recorded: 2 });
  });

  it("may shut down while a shutdown reports, and gets the same shutdown", async () => {
    const exporter = new ScriptedExporter();
    const processor = new CrashSafeSpanProcessor(
      exporter,
      { maxQueueSize: 1, maxExportBatchSize: 1 },
      { clock: new HandClock() },
    );
    const promises: Promise<void>[] = [];
    const again = () => void promises.push(processor.shutdown());
    diag.setLogger(
      { error: again, warn() {}, info() {}, debug() {}, verbose() {} },
      { suppressOverrideMessage: true },
    );
    const tracer = tracerInto(processor);
    // One is exported, one waits, and two are dropped.
    for (let n = 0; n < 4; n++) tracer.startSpan("span").end();
    diag.setLogger(
      { error: again, warn: again, info() {}, debug() {}, verbose() {} },
      { suppressOverrideMessage: true },
    );
    const first = processor.shutdown();
    await Promise.resolve();
    exporter.call(0).answer();
    await settled();
    exporter.call(1).answer();
    await first;
    expect(promises.length).toBeGreaterThan(0);
    for (const promise of promises) expect(promise).toBe(first);
    expect(exporter.log.filter((line) => line === "shutdown")).toHaveLength(1);
  });
});

describe("P6 a redactor", () => {
  const redacting = (): Host => {
    const host: Host = new Host(dir, {
      redact: (value, field) => {
        if (field === "attributes.text") host.called();
        return value;
      },
    });
    return host;
  };

  test.for(actions)("may %s at the start of a span", async (action) => {
    const host = redacting();
    host.record();
    host.plan.push(() => host.act(action));
    const outer = host.start();
    expect(host.acted).toBe(1);
    host.end(outer);
    await host.expectAll();
  });

  test.for(actions)("may %s at the end of a span", async (action) => {
    const host = redacting();
    host.record();
    const outer = host.start();
    host.plan.push(() => host.act(action));
    host.end(outer);
    expect(host.acted).toBe(1);
    await host.expectAll();
  });

  test.for(actions)("may return a value whose toJSON may %s", async (action) => {
    const host: Host = new Host(dir, {
      redact: (value, field) =>
        field === "attributes.text"
          ? {
              toJSON: () => {
                host.called();
                return value;
              },
            }
          : value,
    });
    host.record();
    const outer = host.start();
    host.plan.push(() => host.act(action));
    host.end(outer);
    expect(host.acted).toBe(1);
    const document = await host.expectAll();
    expect(spansOf(document).length).toBeGreaterThan(1);
  });

  it("may end a span while it is serialised, and the span has one line", async () => {
    let outer: Span | undefined;
    const host: Host = new Host(dir, {
      redact: (value, field) => ({
        toJSON: () => {
          if (field === "attributes.text" && outer) host.called();
          return value;
        },
      }),
    });
    outer = host.start();
    host.plan.push(() => host.exporter.recordEnd(outer as unknown as ReadableSpan));
    host.end(outer);
    expect(host.acted).toBe(1);
    await host.processor.shutdown();
    const document = host.document();
    host.expectSpans(document);
    expect(document.spans).toHaveLength(2);
  });
});

describe("P6 the sessionId option", () => {
  test.for(actions)("may %s", async (action) => {
    const host: Host = new Host(dir, {
      sessionId: () => {
        host.called();
        return sessionId;
      },
    });
    host.record();
    const outer = host.start();
    host.plan.push(() => host.act(action));
    host.end(outer);
    expect(host.acted).toBe(1);
    await host.expectAll();
  });

  it("may end the span that it gets", async () => {
    let outer: Span | undefined;
    const host: Host = new Host(dir, {
      sessionId: () => {
        if (outer) host.called();
        return sessionId;
      },
    });
    outer = host.start();
    host.plan.push(() => host.exporter.recordEnd(outer as unknown as ReadableSpan));
    host.end(outer);
    await host.processor.shutdown();
    host.expectSpans(host.document());
    expect(host.exporter.stats().recorded).toBe(2);
  });
});

describe("P6 an attribute getter", () => {
  test.for(actions)("may %s at the end of its span", async (action) => {
    const host = new Host(dir);
    host.record();
    const outer = withGetter(host.start(), () => host.called());
    host.plan.push(() => host.act(action));
    host.end(outer);
    expect(host.acted).toBe(1);
    await host.expectAll();
  });

  test.for([...actions, "end its span"] as const)(
    "may %s when its open span is published",
    async (action) => {
      const host = new Host(dir);
      host.record();
      const open = withGetter(host.start(), () => host.called());
      // The getter runs once when changes are journaled, and once for the tail.
      for (const skipped of [0, 1]) {
        host.plan.push(...Array.from({ length: skipped }, () => () => {}));
        host.plan.push(() => (action === "end its span" ? host.end(open) : host.act(action)));
        await host.processor.forceFlush().catch(() => {});
        expect(host.acted).toBeGreaterThan(0);
        if (action !== "record a span" && action !== "forceFlush") break;
      }
      await host.expectAll();
    },
  );

  test.for(["record a span", "end its span", "start a span"] as const)(
    "may %s when a fence closes its open span",
    async (action) => {
      const host = new Host(dir);
      host.record();
      const open = withGetter(host.start(), () => host.called());
      const act = () => {
        if (action === "end its span") host.exporter.recordEnd(open as unknown as ReadableSpan);
        else if (action === "start a span") host.start();
        else host.record();
      };
      host.plan.push(() => {}, act);
      host.processor.crash("fenced");
      await host.processor.shutdown();
      const document = host.document();
      for (const [spanId, spans] of occurrences(document)) expect(spans, spanId).toHaveLength(1);
      expect(occurrences(document).size).toBe(2);
      expect(document.summary.status).toBe("crashed");
    },
  );

  it("may end the span while its start is recorded, and the span does not stay open", async () => {
    const host: Host = new Host(dir, {
      redact: (value, field) => {
        if (field === "attributes.text") host.called();
        return value;
      },
    });
    let outer: ReadableSpan | undefined;
    const onStart = host.processor.onStart.bind(host.processor);
    host.processor.onStart = (span, startedIn) => {
      outer = span;
      onStart(span, startedIn);
    };
    host.plan.push(() => host.exporter.recordEnd(outer as ReadableSpan));
    host.start();
    await host.processor.forceFlush();
    const document = host.document();
    host.expectSpans(document);
    await host.processor.shutdown();
  });

  test.for(["crash", "end"] as const)("may %s the in-memory session that is being closed", (action) => {
    const exporter = new MemorySessionExporter(0);
    const tracer = tracerInto(new MemorySpanProcessor(exporter));
    exporter.openSession({ id: sessionId, traceId: "0".repeat(32), startTime: 1, name: "s", metadata: {} });
    const attributes = { "session.id": sessionId };
    let reads = 0;
    withGetter(tracer.startSpan("open", { attributes }), () => {
      if (reads++ > 0) return;
      tracer.startSpan("inner", { attributes }).end();
      if (action === "crash") exporter.session?.crash("by the host");
      else exporter.session?.endNow();
    });
    exporter.session?.endNow();
    const document = exporter.session?.snapshot() as TraceFile;
    for (const [spanId, spans] of occurrences(document)) expect(spans, spanId).toHaveLength(1);
    expect(occurrences(document).size).toBe(2);
    expect(document.summary.status).toBe(action === "crash" ? "crashed" : "completed");
  });
});

describe("P6 a session tracer", () => {
  it("is given a step whose getter finishes the step: the step ends once, and no other step ends", async () => {
    const stage = new SessionTracerStage();
    const tracer = stage.process().newTracer();
    tracer.startTrace("steps");
    tracer.logStepStart({ id: "1" });
    tracer.logStepStart({ id: "2" });
    let reads = 0;
    const part = {
      id: "2",
      reason: "stop",
      get tokens() {
        if (reads++ === 0) tracer.logStepFinish({ id: "2", reason: "inner" });
        return { input: 1 };
      },
    };
    tracer.logStepFinish(part);
    await tracer.flush();
    const steps = spansOf(stage.document("steps")).filter(({ kind }) => kind === "generation");
    expect(
      steps.map(({ name, endTime, finishReason }) => [name, endTime !== undefined, finishReason]),
    ).toEqual([
      ["generation-2", true, "inner"],
      ["generation-1", true, "stop"],
    ]);
    await tracer.endTrace();
    stage.remove();
  });
});

describe("P6 callbacks of metrics and exports", () => {
  test.for(actions)("a histogram may %s", async (action) => {
    const host: Host = new Host(dir, { selfObsMeterProvider: histogramOf(() => host.called()) });
    host.record();
    host.plan.push(() => host.act(action));
    host.record();
    expect(host.acted).toBe(1);
    await host.expectAll();
  });

  test.for(actions)("a result callback may %s", async (action) => {
    const host = new Host(dir);
    host.record();
    const span = host.start() as unknown as ReadableSpan;
    host.plan.push(() => host.act(action));
    host.exporter.export([span], host.called);
    expect(host.acted).toBe(1);
    await host.processor.shutdown();
    host.expectSpans(host.document());
  });
});

describe("P6 a full retry queue", () => {
  it("is written to disk before the next record is dropped", () => {
    const fileSystem = new FaultyFileSystem();
    const file = new AppendLog(fileSystem, `${dir}/x.open`, { onFault() {} });
    const record = Buffer.alloc(1_000_000, "x");
    fileSystem.fail("write", "ENOSPC");
    for (let n = 0; n < 32; n++) expect(file.append(record)).toBe("queued");
    expect(file.append(record)).toBe("dropped");
    fileSystem.clear();
    expect(file.append(record)).toBe("written");
    file.close();
    expect(fs.statSync(`${dir}/x.open`).size).toBe(33_000_000);
  });
});
