/** The contract: a resume that is overtaken by another session, or that one of several recorders refuses. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Trace } from "../../src/altimate/trace.js";
import { FileExporter } from "../../src/altimate/trace-file-exporter.js";
import type { SessionStore } from "../../src/exporter/session-store.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { SessionTracer } from "../../src/tracer/session-tracer.js";
import { SessionTracerStage, spansOf } from "../support/session-tracer-stage.js";

let stage: SessionTracerStage;
let otherDir: string;
beforeEach(() => {
  stage = new SessionTracerStage();
  otherDir = mkdtempSync(join(tmpdir(), "other-recorder-"));
});
afterEach(() => {
  stage.remove();
  rmSync(otherDir, { recursive: true, force: true });
});

const text = (id: string) => readFileSync(join(stage.dir, `${id}.json`), "utf8");
const files = (dir: string) => (existsSync(dir) ? readdirSync(dir).sort() : []);

/** A session that crashed, in the document of an ended process. */
async function crashed(id: string): Promise<string> {
  const tracer = stage.start(id);
  tracer.logSpan({ name: "before", startTime: 1, endTime: 2 });
  tracer.flushSync("out of memory");
  return text(id);
}

describe("a session that is started while a resume waits", () => {
  test("stays open, and the session of the resume stays as it was", async () => {
    const before = await crashed("old");
    const tracer = stage.process().newTracer();
    const resumed = tracer.rehydrateFromFile("old");
    tracer.startTrace("new");
    expect(await resumed).toBe(false);
    expect([tracer.sessionId, tracer.isOpen]).toEqual(["new", true]);
    expect(text("old")).toBe(before);
    tracer.logSpan({ name: "after", startTime: 1, endTime: 2 });
    await tracer.endTrace();
    expect(spansOf(stage.document("new")).map(({ name }) => name)).toEqual(["after"]);
    expect(text("old")).toBe(before);
    expect(stage.files).toEqual(["new.json", "old.json"]);
  });

  test("and has the id of the resume stays open, and the resume returns true", async () => {
    await crashed("old");
    const tracer = stage.process().newTracer();
    const resumed = tracer.rehydrateFromFile("old");
    tracer.startTrace("old");
    tracer.logStepStart({ id: "g" });
    expect(await resumed).toBe(true);
    tracer.logStepFinish({ id: "g" });
    await tracer.endTrace();
    const document = stage.document("old");
    expect(document.spans.find(({ name }) => name === "generation-g")).toMatchObject({ status: "ok" });
    expect(document.summary.status).toBe("completed");
    expect(stage.files).toEqual(["old.json"]);
  });

  test("or resumed stays open: of two resumes at once, one returns true, and the other one changes nothing", async () => {
    const before = { a: await crashed("a"), b: await crashed("b") };
    const tracer = stage.process().newTracer();
    const [a, b] = await Promise.all([tracer.rehydrateFromFile("a"), tracer.rehydrateFromFile("b")]);
    expect([a, b].sort()).toEqual([false, true]);
    const [won, lost] = a ? (["a", "b"] as const) : (["b", "a"] as const);
    expect([tracer.sessionId, tracer.isOpen]).toEqual([won, true]);
    expect(text(lost)).toBe(before[lost]);
    await tracer.endTrace();
    expect(stage.document(won).summary.status).toBe("completed");
    expect(stage.files).toEqual(["a.json", "b.json"]);
  });

  test("and has the id of the resume stays open in altimate-code's tracer, too", async () => {
    await crashed("old");
    const trace = Trace.withExporters([new FileExporter(stage.dir)]);
    const resumed = trace.rehydrateFromFile("old");
    trace.startTrace("old", {});
    trace.logStepStart({ id: "g" });
    expect(await resumed).toBe(true);
    trace.logStepFinish({ id: "g" });
    await trace.endTrace();
    expect(stage.document("old").spans.find(({ name }) => name === "generation-g")?.status).toBe("ok");
    expect(stage.files).toEqual(["old.json"]);
  });

  test("stays open in altimate-code's tracer, too", async () => {
    const before = await crashed("old");
    const trace = Trace.withExporters([new FileExporter(stage.dir)]);
    const resumed = trace.rehydrateFromFile("old");
    trace.startTrace("new", {});
    expect(await resumed).toBe(false);
    trace.logSpan({ name: "after", startTime: 1, endTime: 2 });
    expect(await trace.endTrace()).toBe(join(stage.dir, "new.json"));
    expect(spansOf(stage.document("new")).map(({ name }) => name)).toEqual(["after"]);
    expect(text("old")).toBe(before);
    expect(stage.files).toEqual(["new.json", "old.json"]);
  });
});

test("ends a session that a getter of the options of another session has started", async () => {
  const tracer = stage.process().newTracer();
  tracer.startTrace("outer", {
    get title() {
      tracer.startTrace("inner");
      return "t";
    },
  });
  expect([tracer.sessionId, tracer.isOpen]).toEqual(["outer", true]);
  await tracer.endTrace();
  await tracer.flush();
  for (const id of ["inner", "outer"]) expect(stage.document(id).summary.status).toBe("completed");
  expect(stage.files).toEqual(["inner.json", "outer.json"]);
});

test("a recorder of release 0.1.0, which has no findSession, resumes", async () => {
  await crashed("old");
  const { exporter } = stage.process();
  const provider = new BasicTracerProvider({ spanProcessors: [new CrashSafeSpanProcessor(exporter)] });
  const recorder: SessionStore = {
    openSession: (opening) => exporter.openSession(opening),
    resumeSession: (id) => exporter.resumeSession(id),
  };
  const tracer = new SessionTracer({ tracer: provider.getTracer("0.1.0"), recorders: [recorder] });
  expect(await tracer.rehydrateFromFile("old")).toBe(true);
  tracer.logSpan({ name: "after", startTime: 1, endTime: 2 });
  await tracer.endTrace();
  expect(spansOf(stage.document("old")).map(({ name }) => name)).toEqual(["before", "after"]);
  expect(await tracer.rehydrateFromFile("none")).toBe(false);
});

describe("with two recorders", () => {
  function twoRecorders() {
    const first = stage.process();
    const second = stage.process({ dir: otherDir });
    const provider = new BasicTracerProvider({
      spanProcessors: [first, second].map(({ exporter }) => new CrashSafeSpanProcessor(exporter)),
    });
    const recorders = [first.exporter, second.exporter];
    const tracer = new SessionTracer({ tracer: provider.getTracer("two recorders"), recorders });
    return { tracer, first, second };
  }

  test("a resume that one of them rejects opens no session in the other", async () => {
    const before = await crashed("old");
    for (const refuses of ["first", "second"] as const) {
      const recorders = twoRecorders();
      recorders[refuses].exporter.crash();
      expect(await recorders.tracer.rehydrateFromFile("old")).toBe(false);
      expect(recorders.tracer.isOpen).toBe(false);
      expect(files(stage.dir)).toEqual(["old.json"]);
      await Promise.all([recorders.first.exporter.shutdown(), recorders.second.exporter.shutdown()]);
      expect(text("old")).toBe(before);
    }
  });

  test("a resume that finds the document of one continues there, starts the session in the other, and ends in both", async () => {
    await crashed("old");
    const { tracer } = twoRecorders();
    expect(await tracer.rehydrateFromFile("old")).toBe(true);
    tracer.logSpan({ name: "after", startTime: 1, endTime: 2 });
    await tracer.endTrace("gave up");
    const documents = [stage.dir, otherDir].map(
      (dir): TraceFile => JSON.parse(readFileSync(join(dir, "old.json"), "utf8")),
    );
    expect(documents.map((one) => spansOf(one).map(({ name }) => name))).toEqual([
      ["before", "after"],
      ["after"],
    ]);
    for (const { summary } of documents) expect(summary).toMatchObject({ status: "error", error: "gave up" });
    expect([...files(stage.dir), ...files(otherDir)]).toEqual(["old.json", "old.json"]);
  });

  test("a resume that finds no document returns false, and creates none", async () => {
    const { tracer } = twoRecorders();
    expect(await tracer.rehydrateFromFile("old")).toBe(false);
    expect([...files(stage.dir), ...files(otherDir)]).toEqual([]);
  });
});
