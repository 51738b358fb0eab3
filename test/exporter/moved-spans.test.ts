/**
 * Spans that were in a session already when they name another one: an open span moves, and the document of a trace moves
 * whole.
 */
import { ROOT_CONTEXT, type Span, type Tracer, trace } from "@opentelemetry/api";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { CrashSafeFileSpanExporterOptions } from "../../src/exporter/file-exporter-options.js";
import { setSessionId } from "../../src/otel/session-context.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory, untilRecovered } from "../../src/recovery/recover-directory.js";
import { type Actor, Stage } from "../support/session-stage.js";
import { StillClock } from "../support/still-clock.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

const inSpan = (span: Span) => trace.setSpan(ROOT_CONTEXT, span);
const tracerOf = ({ processor }: Actor): Tracer =>
  new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");

/** Names of the spans of a document, with the names of their parents. */
function shapeOf(id: string): Record<string, string> {
  const { spans } = stage.document(id);
  const nameOf = new Map(spans.map(({ spanId, name }) => [spanId, name]));
  expect(nameOf.size).toBe(spans.length);
  const shown = ({ name, endTime }: (typeof spans)[0]) => (endTime === undefined ? `${name} (open)` : name);
  return Object.fromEntries(
    spans
      .filter(({ kind }) => kind !== "session")
      .map((span) => [shown(span), nameOf.get(span.parentSpanId ?? "") ?? "missing"]),
  );
}

describe("P11 a span that started in one session and names another at its end", () => {
  it("P11 moves, and leaves no open span behind", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(actor);
    const chat = tracer.startSpan("chat", {}, setSessionId(ROOT_CONTEXT, "A"));
    const other = tracer.startSpan("other", {}, setSessionId(ROOT_CONTEXT, "A"));
    await actor.processor.forceFlush();
    expect(shapeOf("A")).toEqual({ "chat (open)": "A", "other (open)": "A" });
    chat.setAttribute("gen_ai.conversation.id", "B");
    chat.end();
    await actor.processor.forceFlush();
    expect(shapeOf("A")).toEqual({ "other (open)": "A" });
    expect(shapeOf("B")).toEqual({ chat: "B" });
    other.end();
    await actor.processor.shutdown();
    expect(shapeOf("A")).toEqual({ other: "A" });
    expect(stage.files).toEqual(["A.json", "B.json"]);
  });

  it("P11 a peer writer's document does not bring the span back", async () => {
    const actor = stage.actor();
    const peer = stage.actor();
    const tracer = tracerOf(actor);
    const chat = tracer.startSpan("chat", {}, setSessionId(ROOT_CONTEXT, "A"));
    await actor.processor.forceFlush();
    tracerOf(peer)
      .startSpan("peer", { attributes: { "session.id": "A" } })
      .end();
    await peer.processor.forceFlush();
    chat.setAttribute("gen_ai.conversation.id", "B");
    chat.end();
    await actor.processor.shutdown();
    await peer.processor.shutdown();
    expect(shapeOf("A")).toEqual({ peer: "A" });
    expect(shapeOf("B")).toEqual({ chat: "B" });
  });
});

describe("P11 a trace without a session for 5 seconds", () => {
  it("P11 has a running document, which ends with the last open span", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(actor);
    const root = tracer.startSpan("root", { root: true });
    const id = root.spanContext().traceId;
    await actor.processor.forceFlush();
    expect(stage.files.filter((name) => name.endsWith(".json"))).toEqual([]);
    actor.clock.pass(6_000);
    tracer.startSpan("child", {}, inSpan(root)).end();
    await actor.processor.forceFlush();
    expect(shapeOf(id)).toEqual({ child: "root", "root (open)": id });
    root.end();
    await actor.processor.forceFlush();
    expect(shapeOf(id)).toEqual({ child: "root", root: id });
    expect(stage.document(id).summary.status).toBe("completed");
    expect(stage.files).toEqual([`${id}.json`]);
    await actor.processor.shutdown();
  });

  it.each(["an attribute of an open span", "a child that starts in the session", "the end of the root"])(
    "P11 moves whole to the session that it names then: %s",
    async (how) => {
      const actor = stage.actor();
      const tracer = tracerOf(actor);
      const root = tracer.startSpan("root", { root: true });
      const { traceId } = root.spanContext();
      tracer.startSpan("early", {}, inSpan(root)).end();
      actor.clock.pass(6_000);
      await actor.processor.forceFlush();
      expect(stage.files).toContain(`${traceId}.json`);
      const open = tracer.startSpan("open", {}, inSpan(root));
      if (how.startsWith("an attribute")) open.setAttribute("session.id", "S");
      if (how.startsWith("a child")) {
        tracer.startSpan("child", { attributes: { "session.id": "S" } }, inSpan(root)).end();
      }
      if (how.startsWith("the end")) root.setAttribute("session.id", "S");
      else {
        await actor.processor.forceFlush();
        expect(stage.files).not.toContain(`${traceId}.json`);
        expect(shapeOf("S")).toMatchObject({ early: "root", "open (open)": "root", "root (open)": "S" });
      }
      root.end();
      open.end();
      await actor.processor.shutdown();
      expect(stage.files).toEqual(["S.json"]);
      expect(shapeOf("S")).toMatchObject({ early: "root", open: "root", root: "S" });
    },
  );

  it("P11 a span after the end resumes the document, which then waits for 5 seconds of quiet", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(actor);
    const root = tracer.startSpan("root", { root: true });
    const { traceId } = root.spanContext();
    root.end();
    await actor.processor.forceFlush();
    expect(stage.document(traceId).summary.status).toBe("completed");
    tracer.startSpan("late", {}, inSpan(root)).end();
    await actor.processor.forceFlush();
    expect(shapeOf(traceId)).toEqual({ root: traceId, late: "root" });
    expect(stage.files).toHaveLength(3);
    actor.clock.pass(4_000);
    await actor.processor.forceFlush();
    expect(stage.files).toHaveLength(3);
    actor.clock.pass(3_000);
    await actor.processor.forceFlush();
    expect(stage.files).toEqual([`${traceId}.json`]);
    await actor.processor.shutdown();
  });

  it("P11 each resume of the document doubles the quiet that ends it, up to a minute", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(actor);
    const root = tracer.startSpan("root", { root: true });
    const { traceId } = root.spanContext();
    root.end();
    await actor.processor.forceFlush();
    const isOver = async () => {
      await actor.processor.forceFlush();
      await actor.fileSystem.idle();
      return stage.files.length === 1;
    };
    for (const seconds of [5, 10, 20, 40, 60, 60]) {
      tracer.startSpan("late", {}, inSpan(root)).end();
      actor.clock.pass((seconds - 2) * 1_000);
      expect({ seconds, isOver: await isOver() }).toEqual({ seconds, isOver: false });
      actor.clock.pass(4_000);
      expect({ seconds, isOver: await isOver() }).toEqual({ seconds, isOver: true });
    }
    expect(stage.document(traceId).spans).toHaveLength(8);
    await actor.processor.shutdown();
  });

  it("P11 a document that has ended moves as well, under a stock processor", async () => {
    const clock = new StillClock();
    const exporter = new CrashSafeFileSpanExporter({ dir: stage.dir }, { clock, liveness: stage.liveness });
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    const tracer = provider.getTracer("test");
    const root = tracer.startSpan("root", { root: true });
    tracer.startSpan("early", {}, inSpan(root)).end();
    clock.pass(6_000);
    await exporter.forceFlush();
    const { traceId } = root.spanContext();
    expect(stage.files).toEqual([`${traceId}.json`]);
    root.setAttribute("session.id", "S");
    root.end();
    await provider.shutdown();
    expect(stage.files).toEqual(["S.json"]);
    expect(shapeOf("S")).toEqual({ early: "root", root: "S" });
  });

  it("P11 a document whose end is under way moves as well", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(actor);
    const root = tracer.startSpan("root", { root: true });
    actor.clock.pass(6_000);
    await actor.processor.forceFlush();
    // The end of the document waits for its turn while the next span names the session.
    root.end();
    tracer.startSpan("chat", { attributes: { "session.id": "S" } }, inSpan(root)).end();
    await actor.processor.shutdown();
    expect(stage.files).toEqual(["S.json"]);
    expect(shapeOf("S")).toEqual({ root: "S", chat: "root" });
  });

  it("P11 spans of a document that was written at once are known as parents in its session", async () => {
    const { dir, liveness } = stage;
    const exporter = new CrashSafeFileSpanExporter({ dir }, { clock: new StillClock(), liveness });
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    const tracer = provider.getTracer("test");
    const root = tracer.startSpan("root", { root: true });
    root.end();
    await exporter.forceFlush();
    expect(stage.files).toEqual([`${root.spanContext().traceId}.json`]);
    for (const id of ["B", "A"])
      tracer.startSpan(`in ${id}`, { attributes: { "session.id": id } }, inSpan(root)).end();
    await provider.shutdown();
    expect(stage.files).toEqual(["A.json", "B.json"]);
    expect(shapeOf("B")).toEqual({ root: "B", "in B": "root" });
    expect(shapeOf("A")).toEqual({ "in A": "A" });
  });
});

describe("P11 a parent that is in another session, or in none", () => {
  const stock = () => {
    const { dir, liveness } = stage;
    const exporter = new CrashSafeFileSpanExporter({ dir }, { clock: new StillClock(), liveness });
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    return { exporter, provider, tracer: provider.getTracer("test") };
  };
  const inA = { attributes: { "session.id": "A" } };

  it("P11 that comes to the session later has its spans below it again", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(actor);
    const root = tracer.startSpan("root", { root: true });
    // The first name of the trace: the root is guessed into B.
    tracer.startSpan("in B", { attributes: { "session.id": "B" } }, inSpan(root)).end();
    tracer.startSpan("ended", inA, inSpan(root)).end();
    const open = tracer.startSpan("open", inA, inSpan(root));
    await actor.processor.forceFlush();
    expect(shapeOf("A")).toEqual({ ended: "A", "open (open)": "A" });
    root.setAttribute("session.id", "A");
    root.end();
    await actor.processor.forceFlush();
    expect(shapeOf("A")).toEqual({ root: "A", ended: "root", "open (open)": "root" });
    open.end();
    await actor.processor.shutdown();
    expect(shapeOf("A")).toEqual({ root: "A", ended: "root", open: "root" });
    expect(shapeOf("B")).toEqual({ "in B": "B" });
    expect(stage.document("A").spans.some((span) => "remoteParentSpanId" in span)).toBe(false);
  });

  it.each(["its own session", "another session", "no session"])(
    "P11 and that ends after the end of the session, in %s",
    async (where) => {
      const { exporter, provider, tracer } = stock();
      const root = tracer.startSpan("root", { root: true });
      const rootId = root.spanContext().spanId;
      tracer.startSpan("chat", inA, inSpan(root)).end();
      await exporter.endSession("A");
      expect(shapeOf("A")).toEqual({ chat: "A" });
      expect(stage.document("A").spans[0]).toMatchObject({ name: "chat", remoteParentSpanId: rootId });
      if (where === "another session") root.setAttribute("session.id", "B");
      if (where !== "no session") root.end();
      await provider.shutdown();
      expect(shapeOf("A")).toEqual(where === "its own session" ? { root: "A", chat: "root" } : { chat: "A" });
      if (where === "another session") expect(shapeOf("B")).toEqual({ root: "B" });
    },
  );

  it("P7 a writer that ends the session without knowing of a move leaves the span to its own session", async () => {
    const actor = stage.actor();
    const chat = tracerOf(actor).startSpan("chat", {}, setSessionId(ROOT_CONTEXT, "A"));
    tracerOf(actor).startSpan("other", {}, setSessionId(ROOT_CONTEXT, "A"));
    await actor.processor.forceFlush();
    chat.setAttribute("session.id", "B");
    chat.end();
    stage.liveness.bury();
    // The document lists both spans as open. Its recovery has no turn before the end.
    const next = stage.actor();
    tracerOf(next).startSpan("next", inA).end();
    await next.processor.shutdown();
    const ports = { fileSystem: nodeFileSystem, clock: systemClock, liveness: stage.liveness };
    expect((await recoverDirectory(ports, stage.dir, untilRecovered)).failures).toEqual([]);
    expect(stage.files).toEqual(["A.json", "B.json"]);
    expect(shapeOf("A")).toEqual({ other: "A", next: "A" });
    expect(shapeOf("B")).toEqual({ chat: "B" });
  });
});

describe("P2 P11 the unnamed log", () => {
  it("P2 P11 has the session of a trace whose document has moved: a span that starts later is recovered there", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(actor);
    // Keeps the log.
    tracer.startSpan("of another trace", { root: true });
    const root = tracer.startSpan("root", { root: true });
    root.end();
    await actor.processor.forceFlush();
    const { traceId } = root.spanContext();
    expect(stage.files).toContain(`${traceId}.json`);
    tracer.startSpan("chat", { attributes: { "session.id": "S" } }, inSpan(root)).end();
    tracer.startSpan("late", {}, inSpan(root));
    stage.liveness.bury();
    const ports = { fileSystem: nodeFileSystem, clock: systemClock, liveness: stage.liveness };
    expect((await recoverDirectory(ports, stage.dir, untilRecovered)).failures).toEqual([]);
    expect(stage.files).not.toContain(`${traceId}.json`);
    expect(shapeOf("S")).toEqual({ root: "S", chat: "root", late: "root" });
  });
});

describe("P11 withoutSession", () => {
  const record = async (withoutSession: CrashSafeFileSpanExporterOptions["withoutSession"]) => {
    const actor = stage.actor({ withoutSession });
    const tracer = tracerOf(actor);
    for (let i = 0; i < 3; i++) {
      const root = tracer.startSpan("root", { root: true });
      tracer.startSpan("child", {}, inSpan(root)).end();
      root.end();
    }
    tracer.startSpan("named", { attributes: { "session.id": "S" } }).end();
    await actor.processor.shutdown();
    return actor.exporter.stats();
  };

  it("P11 trace: one document per trace", async () => {
    expect(await record("trace")).toMatchObject({ recorded: 7, exported: 7, dropped: 0 });
    expect(stage.files).toHaveLength(4);
  });

  it("P11 process: one document for the run of the program", async () => {
    expect(await record("process")).toMatchObject({ recorded: 7, exported: 7, dropped: 0 });
    const [name] = stage.files.filter((file) => file !== "S.json");
    expect(stage.files).toEqual(["S.json", name].sort());
    expect(name).toMatch(new RegExp(`^unknown_service_.*-\\d{8}T\\d{6}Z-${process.pid}\\.json$`));
    expect(stage.document((name as string).slice(0, -5)).spans).toHaveLength(7);
  });

  it("P11 drop: no document, and each span is counted as dropped", async () => {
    const stats = await record("drop");
    expect(stats).toMatchObject({ recorded: 1, exported: 1, dropped: 6, lostBy: { no_session: 6 } });
    expect(stage.files).toEqual(["S.json"]);
  });
});
