/** Tracers of many sessions, and their common ends. */
import { EventEmitter, once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SpanStatusCode } from "@opentelemetry/api";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import type { SpanProcessor } from "../../src/otel/types.js";
import { createSessionTracing, SessionTracing } from "../../src/tracer/session-tracing.js";
import { resolveOptions } from "../../src/tracer/session-tracing-options.js";
import { beginTurn, logTurn } from "../support/logged-turn.js";
import { StillClock } from "../support/still-clock.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "session-tracing-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const read = (id: string): TraceFile => JSON.parse(readFileSync(join(dir, `${id}.json`), "utf8"));
const kinds = (id: string) => read(id).spans.map(({ kind }) => kind);

/** A processor that does nothing except the given methods. */
const processor = (parts: Partial<SpanProcessor & { crash(reason?: string): void }>): SpanProcessor => ({
  onStart() {},
  onEnd() {},
  forceFlush: async () => {},
  shutdown: async () => {},
  ...parts,
});

describe("tracers by session id", () => {
  test("one tracer exists as long as the session is open, started with its options", async () => {
    const tracing = createSessionTracing({ dir });
    const tracer = tracing.tracer("a", { title: "first" });
    expect(tracer.sessionId).toBe("a");
    expect(tracing.tracer("a", { title: "second" })).toBe(tracer);
    expect(tracing.tracer("b")).not.toBe(tracer);
    expect(read("a").metadata.title).toBe("first");
    await tracing.shutdown();
  });

  test.each([
    [7, "7"],
    ["", "unknown"],
    [undefined, "unknown"],
    [Symbol("s"), "Symbol(s)"],
    [Object.create(null), "[unreadable]"],
  ])("there is one for the id %s, which is no text, as well", async (given, id) => {
    const tracing = createSessionTracing({ dir });
    const tracer = tracing.tracer(given as string);
    expect(tracer.sessionId).toBe(id);
    expect(tracing.tracer(given as string)).toBe(tracer);
    expect(tracing.tracer(id)).toBe(tracer);
    expect(tracing.openSessions).toBe(1);
    await tracing.shutdown();
  });

  test.for(["endTrace", "finalizeSync", "flushSync"] as const)(
    "after %s a new tracer exists at once",
    async (end) => {
      const tracing = createSessionTracing({ dir });
      const tracer = tracing.tracer("a");
      const ending = tracer[end]();
      expect(tracing.tracer("a")).not.toBe(tracer);
      await ending;
      await tracing.shutdown();
    },
  );

  test("an unstarted tracer is found by the session it starts or resumes", async () => {
    const tracing = createSessionTracing({ dir });
    const tracer = tracing.newTracer();
    tracer.startTrace("a");
    expect(tracing.tracer("a")).toBe(tracer);
    logTurn(tracer, 1);
    await tracer.endTrace();
    const resumed = tracing.newTracer();
    expect(await resumed.rehydrateFromFile("a")).toBe(true);
    expect(tracing.tracer("a")).toBe(resumed);
    expect(await tracing.newTracer().rehydrateFromFile("none")).toBe(false);
    await tracing.shutdown();
    expect(read("a").summary.status).toBe("completed");
  });
});

describe("the crash fence of all sessions", () => {
  test("P3 has finalized every document when it returns, and fences processors afterwards", () => {
    const seen: (string | undefined)[][] = [];
    const crash = (reason?: string) =>
      seen.push([reason, ...["a", "b"].map((id) => read(id).summary.status)]);
    const tracing = createSessionTracing({ dir, processors: [processor({ crash })] });
    for (const id of ["a", "b"]) beginTurn(tracing.tracer(id), 1);
    tracing.crash("why");
    expect(seen).toEqual([["why", "crashed", "crashed"]]);
    for (const id of ["a", "b"]) {
      const { summary, spans } = read(id);
      expect(summary.error).toBe("why");
      expect(spans.filter(({ interrupted }) => interrupted).map(({ kind }) => kind)).toContain("generation");
    }
    expect(readdirSync(dir).sort()).toEqual(["a.json", "b.json"]);
  });

  test("P3 sends other exporters the interrupted spans", () => {
    const exporter = new InMemorySpanExporter();
    const tracing = createSessionTracing({ exporter });
    beginTurn(tracing.tracer("a"), 1);
    tracing.crash("why");
    const spans = exporter.getFinishedSpans();
    const failed = spans.filter(({ status }) => status.code === SpanStatusCode.ERROR).map(({ name }) => name);
    expect(failed.map((name) => name.split(" ")[0]).sort()).toEqual(["chat", "invoke_agent"]);
    expect(spans).toHaveLength(4);
  });

  test("P6 fences the remaining processors when one throws", () => {
    const fenced: string[] = [];
    const crash = () => {
      fenced.push("last");
    };
    const forceFlush = () => {
      fenced.push("flushed");
      return Promise.reject(new Error("down"));
    };
    const broken = () => {
      throw new Error("no");
    };
    const processors = [processor({ crash: broken }), processor({ forceFlush }), processor({ crash })];
    createSessionTracing({ processors }).crash();
    expect(fenced).toEqual(["flushed", "last"]);
  });

  test("P3 is not changed by a shutdown after it, nor by an end in flight", async () => {
    const tracing = createSessionTracing({ dir });
    const tracer = tracing.tracer("a");
    logTurn(tracer, 1);
    const ending = tracer.endTrace();
    tracing.crash("why");
    await ending;
    expect(tracing.stopped).toBe(false);
    await tracing.shutdown();
    expect(read("a").summary).toMatchObject({ status: "crashed", error: "why" });
    expect(tracing.stopped).toBe(true);
  });
});

describe("the end of all sessions", () => {
  test("P5 writes every session to its document, and exporters have all spans", async () => {
    const exporter = new InMemorySpanExporter();
    let sent = 0;
    exporter.shutdown = async () => {
      sent = exporter.getFinishedSpans().length;
    };
    const tracing = createSessionTracing({ dir, exporter });
    for (const id of ["a", "b"]) logTurn(tracing.tracer(id), 1);
    const end = tracing.shutdown();
    expect(tracing.shutdown()).toBe(end);
    await end;
    for (const id of ["a", "b"]) {
      expect(read(id).summary.status).toBe("completed");
      expect(kinds(id).sort()).toEqual(["generation", "session", "tool", "user-message"]);
    }
    // Of each session: the turn, and all spans but the session's own.
    expect(sent).toBe(2 * 4);
    expect(tracing.stopped).toBe(true);
    expect(readdirSync(dir).sort()).toEqual(["a.json", "b.json"]);
  });

  test("P5 waits for a session that ends by itself", async () => {
    const tracing = createSessionTracing({ dir });
    const tracer = tracing.tracer("a");
    logTurn(tracer, 1);
    void tracer.endTrace("no good");
    await tracing.shutdown();
    expect(read("a").summary).toMatchObject({ status: "error", error: "no good" });
    expect(readdirSync(dir)).toEqual(["a.json"]);
  });

  test("D12 finds a tracer that starts another session by the new session alone", async () => {
    const tracing = createSessionTracing({ dir });
    const tracer = tracing.tracer("a");
    tracer.startTrace("b");
    expect(tracing.tracer("b")).toBe(tracer);
    expect(tracing.tracer("a")).not.toBe(tracer);
    expect(tracing.openSessions).toBe(2);
    await tracing.shutdown();
    expect(tracing.openSessions).toBe(0);
  });

  test("P5 as a flush writes what was logged and leaves sessions open", async () => {
    const exporter = new InMemorySpanExporter();
    const tracing = createSessionTracing({ dir, exporter });
    logTurn(tracing.tracer("a"), 1);
    await tracing.forceFlush();
    expect(kinds("a").sort()).toEqual(["generation", "session", "tool", "user-message"]);
    expect(read("a").summary.idle).toBe(true);
    expect(exporter.getFinishedSpans().map(({ name }) => name)).toContain("user-message");
    await tracing.shutdown();
  });

  test("P5 reports a failing backend, and loses no document", async () => {
    const shutdown = () => Promise.reject(new Error("collector down"));
    const tracing = createSessionTracing({ dir, processors: [processor({ shutdown })] });
    logTurn(tracing.tracer("a"), 1);
    await expect(tracing.shutdown()).rejects.toThrow("collector down");
    expect(read("a").summary.status).toBe("completed");
    expect(tracing.stopped).toBe(true);
  });

  test("P5 gives up waiting for a processor that never ends", async () => {
    const clock = new StillClock();
    const events = new EventEmitter();
    const shutdown = () => {
      events.emit("asked");
      return new Promise<void>(() => {});
    };
    const tracing = new SessionTracing(
      resolveOptions({ dir, processors: [processor({ shutdown })] }, {}),
      clock,
    );
    logTurn(tracing.tracer("a"), 1);
    const asked = once(events, "asked");
    const reported = expect(tracing.shutdown()).rejects.toMatchObject({ code: "EXPORT_TIMEOUT" });
    await asked;
    clock.pass(61_000);
    await reported;
  });

  test("P9 applies document options to documents, and to no other exporter", async () => {
    const exporter = new InMemorySpanExporter();
    const redact = (value: unknown) =>
      typeof value === "string" ? value.replaceAll("secret", "[gone]") : value;
    const tracing = createSessionTracing({ dir, exporter, redact, maxValueBytes: 1_000 });
    const tracer = tracing.tracer("a");
    tracer.logSpan({ name: "secret", startTime: 1, endTime: 2, input: "x".repeat(2_000) });
    await tracing.forceFlush();
    await tracer.endTrace();
    const span = read("a").spans.find(({ kind }) => kind === "span");
    expect(span).toMatchObject({ name: "[gone]", input: expect.stringMatching(/^x+…\[\d+ bytes cut\]$/) });
    expect(exporter.getFinishedSpans().map(({ name }) => name)).toContain("secret");
    expect(() => createSessionTracing({ dir, maxValueBytes: 1 })).toThrow(/maxValueBytes is 1/);
    await tracing.shutdown();
  });

  test("P8 keeps nothing of sessions that ended", async () => {
    const tracing = createSessionTracing({ dir, processors: [processor({})] });
    for (let i = 0; i < 50; i++) {
      const tracer = tracing.tracer(`s${i}`);
      if (i % 2) tracer.finalizeSync();
      else await tracer.endTrace();
    }
    expect(tracing.openSessions).toBe(0);
    await tracing.shutdown();
  });
});
