/** How often a fault is logged: once, with advice, however many spans it concerns. */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { diag, ROOT_CONTEXT } from "@opentelemetry/api";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { MemorySessionExporter, MemorySpanProcessor } from "../../src/altimate/memory-recorder.js";
import { FaultLog } from "../../src/exporter/fault-log.js";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { CoalescedLog } from "../../src/otel/diagnostics.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { FaultyFileSystem, faultCodes } from "../support/faulty-file-system.js";
import { IdleClock } from "../support/idle-clock.js";
import { MortalLiveness } from "../support/mortal-liveness.js";
import { spanOf } from "../support/projection-span.js";
import { SessionTracerStage } from "../support/session-tracer-stage.js";
import {
  endSpans,
  failure,
  HandClock,
  listenToDiag,
  ScriptedExporter,
  settled,
} from "../support/span-processor-stage.js";

const many = 1_000;
const sessionId = "ses_told";
let dir: string;
let reported: string[];

beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "reported-once-"));
  reported = listenToDiag();
});
afterEach(() => {
  diag.disable();
  fs.rmSync(dir, { recursive: true, force: true });
});

function span(n: number, text = "short"): ReadableSpan {
  const spanId = (0x1000_0000 + n).toString(16).padStart(16, "0");
  return spanOf({
    name: `step ${n}`,
    spanContext: () => ({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId, traceFlags: 1 }),
    attributes: { "session.id": sessionId, text },
  });
}

const unreadable = new Proxy({} as ReadableSpan, {
  get(_, key) {
    throw new TypeError(`no ${String(key)} at ${Math.random()}`);
  },
});

function exporterOn(fileSystem = new FaultyFileSystem()) {
  return new CrashSafeFileSpanExporter(
    { dir },
    { fileSystem, clock: new IdleClock(), liveness: new MortalLiveness() },
  );
}

function recordMany(exporter: CrashSafeFileSpanExporter, of = (n: number) => span(n)): void {
  for (let n = 0; n < many; n++) {
    exporter.recordStart(of(n));
    exporter.recordEnd(of(n));
  }
}

describe("P6 the exporter, for 1,000 spans", () => {
  const advice = {
    ENOSPC: "free some space on that disk",
    EIO: "check that directory and its disk",
    EMFILE: "raise the limit of open files",
    EACCES: "check the write permissions there",
  };

  test.for([...faultCodes])("P6 reports %s once, with the file and advice", async (code) => {
    const fileSystem = new FaultyFileSystem({ nth: 12, times: "forever", code });
    const exporter = exporterOn(fileSystem);
    recordMany(exporter);
    await exporter.forceFlush().catch(() => {});
    expect(reported).toHaveLength(1);
    expect(reported[0]).toMatch(`CrashSafeFileSpanExporter: cannot write ${dir}/${sessionId}.json`);
    expect(reported[0]).toMatch(code);
    expect(reported[0]).toMatch(advice[code]);
    expect(exporter.stats().faults).toBeGreaterThan(many);
    fileSystem.clear();
    await exporter.shutdown();
    expect(reported).toHaveLength(1);
  });

  it("P6 reports spans that exceed the retry queue twice: the first, then the count", async () => {
    const fileSystem = new FaultyFileSystem({ nth: 12, times: "forever", code: "ENOSPC" });
    const exporter = exporterOn(fileSystem);
    const text = "x".repeat(100_000);
    for (let n = 0; n < many; n++) exporter.recordEnd(span(n, text));
    fileSystem.clear();
    await exporter.shutdown();
    const { dropped } = exporter.stats();
    expect(dropped).toBeGreaterThan(600);
    expect(reported).toEqual([
      expect.stringMatching(/ENOSPC.*free some space/),
      expect.stringMatching(/dropped 1 span: .*queue is full; free some space/),
      expect.stringMatching(`dropped ${dropped - 1} more spans: .*\\(${dropped} in all\\)`),
    ]);
  });

  it("P6 reports spans that cannot be read, spans after an end, and spans after a fence", async () => {
    const exporter = exporterOn();
    recordMany(exporter, () => unreadable);
    expect(reported).toEqual([
      expect.stringMatching(
        /internal error while writing .*: no spanContext at .*Please report this as a bug/,
      ),
      expect.stringMatching(/dropped 1 span: it cannot be read/),
    ]);
    reported.length = 0;
    for (let n = 0; n < many; n++) exporter.recordStart(span(n));
    await exporter.endSession(sessionId);
    exporter.crash();
    for (let n = 0; n < many; n++) exporter.recordEnd(span(n));
    await exporter.shutdown();
    expect(reported).toEqual([
      expect.stringMatching(/dropped 1 span: after the crash fence; an exporter accepts no spans/),
      expect.stringMatching(/dropped 999 more spans: it cannot be read.*\(2000 in all\)/),
      expect.stringMatching(/dropped 999 more spans: after the crash fence/),
    ]);
  });

  it("P6 reports spans of sessions that have ended", async () => {
    const exporter = exporterOn();
    const open = Array.from({ length: many }, (_, n) => span(n));
    for (const one of open) exporter.recordStart(one);
    await exporter.endSession(sessionId);
    for (const one of open) exporter.recordEnd(one);
    expect(reported).toEqual([
      expect.stringMatching(/dropped 1 span: its session had ended before it; end spans/),
    ]);
    await exporter.shutdown();
    expect(reported).toHaveLength(2);
  });
});

describe("P6 the processor, for 1,000 spans", () => {
  it("P6 reports a full queue twice: the first drop, then the count", async () => {
    const clock = new HandClock();
    const processor = new CrashSafeSpanProcessor(new ScriptedExporter(), { maxQueueSize: 1 }, { clock });
    endSpans(processor, many + 2);
    await clock.advance(1_000);
    expect(reported).toEqual([
      expect.stringMatching(/dropped 1 span: the queue is full \(maxQueueSize 1\); raise it, or check/),
      expect.stringMatching(/dropped 999 more spans: the queue is full.*\(1000 in all\)/),
    ]);
  });

  it("P6 reports a failing exporter twice: the first failure, then the count", async () => {
    const clock = new HandClock();
    const exporter = new ScriptedExporter((call) => call.answer(failure(`503 at ${call.names}`)));
    const processor = new CrashSafeSpanProcessor(exporter, { maxExportBatchSize: 1 }, { clock });
    endSpans(processor, many);
    await processor.forceFlush().catch(() => {});
    await clock.advance(1_000);
    expect(exporter.calls).toHaveLength(many);
    expect(reported).toEqual([
      expect.stringMatching(
        /1 span was not exported: 503 at span 1\. This processor does not send them again/,
      ),
      expect.stringMatching(/999 more spans were not exported: .*\(1000 in all\)/),
    ]);
  });

  it("P6 reports a collector that is down for hours at most once a minute", async () => {
    const clock = new HandClock();
    const exporter = new ScriptedExporter((call) => call.answer(failure("down")));
    const processor = new CrashSafeSpanProcessor(exporter, {}, { clock });
    const hours = 2;
    for (let second = 0; second < hours * 3_600; second++) {
      endSpans(processor, 1);
      clock.jump(1_000);
      if (second % 60 === 0) await settled();
    }
    await settled();
    expect(processor.stats().failed).toBeGreaterThan(100);
    expect(reported.length).toBeLessThan(hours * 60 + 10);
  });

  it("P6 reports an exporter that fails at the flush of every turn at most once a minute", async () => {
    const clock = new HandClock();
    const exporter = new ScriptedExporter((call) => call.answer(failure("down")));
    const processor = new CrashSafeSpanProcessor(exporter, {}, { clock });
    const minutes = 20;
    for (let second = 0; second < minutes * 60; second += 5) {
      endSpans(processor, 1);
      await expect(processor.forceFlush()).rejects.toMatchObject({ code: "EXPORT_FAILED" });
      clock.jump(5_000);
    }
    expect(processor.stats().failed).toBe((minutes * 60) / 5);
    expect(reported.length).toBeLessThanOrEqual(minutes + 2);
    await processor.shutdown();
    expect(reported.at(-1)).toMatch(/were not exported: .*\(240 in all\)/);
  });

  it("P6 reports spans and exporters that throw once for each place", async () => {
    const clock = new HandClock();
    const broken = () => {
      throw new Error(`broken ${Math.random()}`);
    };
    const live = Object.assign(new ScriptedExporter(), {
      recordStart: broken,
      recordEnd: broken,
      crash: broken,
    });
    const processor = new CrashSafeSpanProcessor(live, {}, { clock });
    endSpans(processor, many);
    for (let n = 0; n < many; n++) {
      processor.onStart(unreadable as never, ROOT_CONTEXT);
      processor.onEnd(unreadable);
    }
    expect(reported).toEqual([
      expect.stringMatching(/onStart threw; further faults of this kind are only counted/),
      expect.stringMatching(/onEnd threw/),
    ]);
    expect(processor.stats().faults).toBe(4 * many);
  });
});

describe("P6 session tracers, for 1,000 calls", () => {
  it("P6 report calls after the end once, and a failing disk once per component", async () => {
    const stage = new SessionTracerStage();
    const fileSystem = new FaultyFileSystem();
    const process = stage.process({}, fileSystem);
    const tracer = process.newTracer();
    tracer.startTrace("ses_calls");
    fileSystem.fail("write", "ENOSPC");
    for (let n = 0; n < many; n++) {
      tracer.logSpan({ name: `span ${n}`, startTime: n, endTime: n });
      if (n % 100 === 0) await tracer.flush();
    }
    expect(reported).toEqual([
      expect.stringMatching(/CrashSafeFileSpanExporter: cannot write .*ENOSPC/),
      expect.stringMatching(/^SessionTracer: a trace could not be written yet; the write is retried/),
    ]);
    fileSystem.clear();
    await tracer.endTrace();
    reported.length = 0;
    for (let n = 0; n < many; n++) tracer.logText({ text: `late ${n}` });
    expect(tracer.dropped).toBe(many);
    expect(reported).toEqual([
      expect.stringMatching(/^SessionTracer: dropped logText: session ses_calls is over; start or resume it/),
    ]);
    stage.remove();
  });

  it("P6 report what memory cannot keep once", () => {
    const processor = new MemorySpanProcessor(new MemorySessionExporter(0));
    for (let n = 0; n < many; n++) {
      processor.onStart(unreadable, ROOT_CONTEXT);
      processor.onEnd(unreadable);
    }
    expect(reported).toEqual([expect.stringMatching(/^Trace: a span could not be kept in memory/)]);
  });
});

describe("repeated events", () => {
  const enospc = () => Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });

  it("P6 a fault is reported when it begins, when it ends, and when it returns", async () => {
    const clock = new HandClock();
    const log = new FaultLog(clock);
    for (let second = 0; second < 3_600; second++) {
      log.fault(enospc(), "/traces/a.json");
      clock.jump(1_000);
    }
    expect(reported).toEqual([expect.stringMatching(/cannot write \/traces\/a.json: ENOSPC/)]);
    clock.jump(180_000);
    expect(reported[1]).toMatch(
      "no ENOSPC for one minute (3600 failed calls in all, first at /traces/a.json)",
    );
    log.fault(enospc(), "/traces/b.json");
    expect(reported[2]).toMatch("cannot write /traces/b.json: ENOSPC");
    expect(reported).toHaveLength(3);
    expect(log.faults).toBe(3_601);
    log.end();
    expect(clock.pending).toBe(0);
  });

  it("P6 an event that returns every few seconds starts no new burst", () => {
    const clock = new HandClock();
    const log = new CoalescedLog(clock, 1_000);
    const lines: string[] = [];
    const messages = { first: () => void lines.push("first"), more: () => void lines.push("more") };
    for (let second = 0; second < 600; second += 10) {
      log.add("kind", 1, messages);
      clock.jump(100);
      log.add("kind", 1, messages);
      clock.jump(9_900);
    }
    expect(lines.filter((line) => line === "first")).toHaveLength(1);
    expect(lines.length).toBeLessThan(15);
    log.end();
  });

  it("P6 after the end no timer runs, and later events of a known kind are still counted", () => {
    const clock = new HandClock();
    const log = new CoalescedLog(clock, 1_000);
    const lines: string[] = [];
    const messages = {
      first: () => void lines.push("first"),
      more: (count: number) => void lines.push(`${count} more`),
    };
    log.add("kind", 1, messages);
    log.add("kind", 2, messages);
    log.end();
    expect(lines).toEqual(["first", "2 more"]);
    expect(clock.pending).toBe(0);
    log.add("kind", 3, messages);
    clock.jump(1_000);
    expect(lines).toEqual(["first", "2 more", "3 more"]);
    clock.jump(180_000);
    expect(clock.pending).toBe(0);
  });

  it("P6 the number of kinds that are reported separately is bounded", () => {
    const log = new FaultLog(new HandClock());
    for (let n = 0; n < many; n++) {
      log.fault(Object.assign(new Error("no"), { code: `E${n}` }), "/traces/a.json");
    }
    expect(reported).toHaveLength(100);
    expect(log.faults).toBe(many);
  });

  it("P6 windows grow while the events continue, and start anew after a window without events", () => {
    const clock = new HandClock();
    const log = new CoalescedLog(clock, 1_000);
    const lines: string[] = [];
    const messages = {
      first: () => void lines.push("first"),
      more: (count: number) => void lines.push(`${count} more`),
      over: (total: number) => void lines.push(`over at ${total}`),
    };
    for (let second = 0; second < 15; second++) {
      log.add("kind", 10, messages);
      clock.jump(1_000);
    }
    // No window ends in the first second after the first event. Later windows grow to a minute.
    expect(lines).toEqual(["first"]);
    log.flush();
    expect(lines[1]).toBe("140 more");
    for (let quarter = 0; quarter < 240; quarter++) {
      log.add("kind", 1, messages);
      clock.jump(15_000);
    }
    expect(lines.length).toBeLessThan(70);
    clock.jump(180_000);
    expect(lines.at(-1)).toBe("over at 390");
    const counted = lines.reduce((sum, line) => sum + (/more/.test(line) ? Number.parseInt(line, 10) : 0), 0);
    expect(counted).toBe(380);
    log.add("kind", 1, messages);
    expect(lines.at(-1)).toBe("first");
    for (let burst = 0; burst < 40; burst++) {
      log.add("kind", 5, messages);
      clock.jump(500);
    }
    // In the windows of 1, 2, 4 and 8 seconds.
    expect(lines.slice(-5).map((line) => line.replace(/\d+/, ""))).toEqual([
      "first",
      ...Array(4).fill(" more"),
    ]);
    log.end();
    expect(clock.pending).toBe(0);
  });
});
