/**
 * Traces that name their session late, or never: one document per session, every span once and under its parent,
 * nothing left over.
 */
import { propagation, ROOT_CONTEXT, type Span, type Tracer, trace } from "@opentelemetry/api";
import { BasicTracerProvider, BatchSpanProcessor, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { setSessionId } from "../../src/otel/session-context.js";
import type { SpanProcessor } from "../../src/otel/types.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { type Actor, Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

const inSpan = (span: Span, base = ROOT_CONTEXT) => trace.setSpan(base, span);

/** What a program does while a trace runs: each step may be followed by a flush. */
type Step = () => Promise<void>;

interface Naming {
  /** Runs a trace; `sessions`: the names of the spans that each session is to have, below which parent. */
  run(tracer: Tracer, step: Step): Promise<void>;
  readonly sessions: Readonly<Record<string, Readonly<Record<string, string | null>>>>;
  /** A processor behind ours. */
  readonly behind?: SpanProcessor;
  /** What only the start of a span tells is not known to a stock processor. */
  readonly needsStarts?: true;
}

const tree = { "GET /chat": null, early: "GET /chat", chat: "GET /chat", late: "chat", after: "GET /chat" };

/** An HTTP span with a span before the name, the span that names, one below it, and one after it. */
async function request(
  tracer: Tracer,
  step: Step,
  name: {
    root?(root: Span): void;
    chat?(span: Span): void;
    late?(span: Span): void;
    around?: typeof ROOT_CONTEXT;
  },
): Promise<void> {
  const root = tracer.startSpan("GET /chat", { root: true });
  tracer.startSpan("early", {}, inSpan(root)).end();
  await step();
  name.root?.(root);
  const chat = tracer.startSpan("chat", {}, inSpan(root, name.around));
  await step();
  name.chat?.(chat);
  const late = tracer.startSpan("late", {}, inSpan(chat, name.around));
  name.late?.(late);
  await step();
  late.end();
  chat.end();
  await step();
  tracer.startSpan("after", {}, inSpan(root)).end();
  root.end();
}

const setsKey = (key: string) => (span: Span) => void span.setAttribute(key, "A");

const namings: Readonly<Record<string, Naming>> = {
  "setSessionId in the handler": {
    run: (tracer, step) => request(tracer, step, { around: setSessionId(ROOT_CONTEXT, "A") }),
    sessions: { A: tree },
    needsStarts: true,
  },
  "session.id in the baggage": {
    run(tracer, step) {
      const baggage = propagation.createBaggage({ "session.id": { value: "A" } });
      return request(tracer, step, { around: propagation.setBaggage(ROOT_CONTEXT, baggage) });
    },
    sessions: { A: tree },
    needsStarts: true,
  },
  "an attribute of the root after its start": {
    run: (tracer, step) => request(tracer, step, { root: setsKey("session.id") }),
    sessions: { A: tree },
  },
  "an attribute of a child after its start": {
    run: (tracer, step) => request(tracer, step, { chat: setsKey("session.id") }),
    sessions: { A: tree },
  },
  "an attribute of a grandchild": {
    run: (tracer, step) => request(tracer, step, { late: setsKey("gen_ai.conversation.id") }),
    sessions: { A: tree },
  },
  "metadata of LangChain": {
    run: (tracer, step) =>
      request(tracer, step, {
        chat: (span) =>
          void span.setAttribute("metadata", JSON.stringify({ session_id: "A", ls_model: "m" })),
      }),
    sessions: { A: tree },
  },
  "a processor behind ours": {
    run: (tracer, step) => request(tracer, step, {}),
    sessions: { A: tree },
    behind: {
      onStart: (span) => void (span.name === "chat" && span.setAttribute("session.id", "A")),
      onEnd() {},
      forceFlush: async () => {},
      shutdown: async () => {},
    },
  },
  "two sessions in one trace": {
    async run(tracer, step) {
      const root = tracer.startSpan("root", { root: true });
      const a = tracer.startSpan("a", {}, inSpan(root));
      const b = tracer.startSpan("b", {}, inSpan(root));
      a.setAttribute("session.id", "A");
      b.setAttribute("session.id", "B");
      await step();
      const below = [tracer.startSpan("below a", {}, inSpan(a)), tracer.startSpan("below b", {}, inSpan(b))];
      await step();
      for (const span of below) span.end();
      b.end();
      await step();
      a.end();
      root.end();
    },
    sessions: {
      A: { root: null, a: "root", "below a": "a" },
      B: { b: null, "below b": "b" },
    },
    needsStarts: true,
  },
  "two sessions that name themselves at their ends": {
    async run(tracer, step) {
      const root = tracer.startSpan("root", { root: true });
      const a = tracer.startSpan("a", {}, inSpan(root));
      tracer.startSpan("below a", {}, inSpan(a)).end();
      const b = tracer.startSpan("b", {}, inSpan(root));
      tracer.startSpan("below b", {}, inSpan(b)).end();
      await step();
      a.setAttribute("session.id", "A");
      a.end();
      await step();
      b.setAttribute("session.id", "B");
      b.end();
      await step();
      root.end();
    },
    sessions: {
      A: { root: null, a: "root", "below a": "a" },
      B: { b: null, "below b": "b" },
    },
    needsStarts: true,
  },
  "a remote parent": {
    async run(tracer, step) {
      const remote = { traceId: "1".repeat(32), spanId: "2".repeat(16), traceFlags: 1, isRemote: true };
      const server = tracer.startSpan("server", {}, trace.setSpanContext(ROOT_CONTEXT, remote));
      await step();
      const chat = tracer.startSpan("chat", { attributes: { "session.id": "A" } }, inSpan(server));
      await step();
      chat.end();
      server.end();
    },
    sessions: { A: { server: null, chat: "server" } },
  },
};

const processors = {
  ours: (exporter: CrashSafeFileSpanExporter) => new CrashSafeSpanProcessor(exporter),
  batch: (exporter: CrashSafeFileSpanExporter) => new BatchSpanProcessor(exporter),
  simple: (exporter: CrashSafeFileSpanExporter) => new SimpleSpanProcessor(exporter),
};

const isSpan = ({ kind }: TraceSpan) => kind !== "session";

/** The spans of a document by name, with the names of their parents; `null` for the session span. */
function shapeOf(document: TraceFile): Record<string, string | null> {
  const byId = new Map(document.spans.map((span) => [span.spanId, span]));
  expect(byId.size).toBe(document.spans.length);
  return Object.fromEntries(
    document.spans.filter(isSpan).map(({ name, parentSpanId }) => {
      const parent = byId.get(parentSpanId ?? "");
      return [name, parent === undefined ? "missing" : isSpan(parent) ? parent.name : null];
    }),
  );
}

const cells = Object.entries(namings).flatMap(([naming, { needsStarts }]) =>
  (Object.keys(processors) as (keyof typeof processors)[])
    .filter((processor) => processor === "ours" || !needsStarts)
    .flatMap((processor) => [
      { naming, processor, flushes: false },
      { naming, processor, flushes: true },
    ]),
);

describe("P11 a trace that names its session late", () => {
  it.each(cells)("P11 $naming, $processor, flushes: $flushes", async ({ naming, processor, flushes }) => {
    const { run, sessions, behind } = namings[naming] as Naming;
    const exporter = new CrashSafeFileSpanExporter({ dir: stage.dir });
    const spanProcessor = processors[processor](exporter);
    const provider = new BasicTracerProvider({
      spanProcessors: behind ? [spanProcessor, behind as never] : [spanProcessor],
    });
    await run(provider.getTracer("test"), async () => {
      if (!flushes) return;
      await provider.forceFlush();
      await exporter.forceFlush();
    });
    await provider.shutdown();
    expect(stage.files).toEqual(Object.keys(sessions).map((id) => `${id}.json`));
    for (const [id, expected] of Object.entries(sessions)) {
      expect(shapeOf(stage.document(id))).toEqual(expected);
      expect(stage.document(id).summary.status).toBe("completed");
    }
  });

  it("P11 finished requests leave no document of their own, and no open session", async () => {
    const { exporter, processor } = stage.actor();
    const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
    for (let i = 0; i < 20; i++)
      await request(tracer, async () => {}, { around: setSessionId(ROOT_CONTEXT, `ses_${i % 2}`) });
    await processor.forceFlush();
    expect(exporter.stats().openSessions).toBe(2);
    expect(stage.files.filter((name) => name.endsWith(".json"))).toEqual(["ses_0.json", "ses_1.json"]);
    expect(stage.files).toHaveLength(6);
    await processor.shutdown();
  });

  it("P11 P7 keeps its provisional spans to itself: a peer process with spans of the trace, and its recovery, take none", async () => {
    const [front, back] = [stage.actor(), stage.actor()];
    const tracerOf = ({ processor }: Actor) =>
      new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
    const root = tracerOf(front).startSpan("front", { root: true });
    tracerOf(front).startSpan("early", {}, inSpan(root)).end();
    const remote = trace.setSpanContext(ROOT_CONTEXT, { ...root.spanContext(), isRemote: true });
    const server = tracerOf(back).startSpan("back", {}, remote);
    const ports = { fileSystem: nodeFileSystem, liveness: stage.liveness, clock: systemClock };
    await recoverDirectory(ports, stage.dir);
    server.setAttribute("session.id", "B");
    server.end();
    await back.processor.shutdown();
    expect(shapeOf(stage.document("B"))).toEqual({ back: null });
    expect(stage.files.filter((name) => name.endsWith(".json"))).toEqual(["B.json"]);
    root.setAttribute("session.id", "A");
    root.end();
    await front.processor.shutdown();
    expect(shapeOf(stage.document("A"))).toEqual({ front: null, early: "front" });
    expect(shapeOf(stage.document("B"))).toEqual({ back: null });
    expect(stage.files).toEqual(["A.json", "B.json"]);
  });
});
