/**
 * A reader of a raw document finds the parent of each span in the document at any time: a span whose parent is elsewhere, or
 * has not come, stands under the session span and names the parent as `remoteParentSpanId`.
 */
import { ROOT_CONTEXT, type Span, trace } from "@opentelemetry/api";
import { BasicTracerProvider, SamplingDecision, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { CrashSafeFileSpanExporterOptions } from "../../src/exporter/file-exporter-options.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { provisionalFence } from "../../src/otel/types.js";
import { systemClock } from "../../src/platform/clock.js";
import { FollowedTrace, readTrace } from "../../src/recovery/read-trace.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { danglingIn } from "../support/dangling-spans.js";
import { PausedFileSystem } from "../support/paused-file-system.js";
import { type Actor, Stage } from "../support/session-stage.js";
import { StillClock } from "../support/still-clock.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.end());

const inA = { attributes: { "session.id": "A" } };
const below = (parent: Span) => trace.setSpan(ROOT_CONTEXT, parent);
const tracerOf = ({ processor }: Actor) =>
  new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");

/** One process under a stock processor, which passes on a span when it has ended. */
function stock(options: Partial<CrashSafeFileSpanExporterOptions> = {}) {
  const { dir, liveness } = stage;
  const exporter = new CrashSafeFileSpanExporter({ dir, ...options }, { clock: new StillClock(), liveness });
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  return { exporter, provider, tracer: provider.getTracer("test") };
}

/** Names of the spans of A, with the names of their parents. */
function shape(spans: readonly TraceSpan[] = stage.document("A").spans): Record<string, string> {
  const byId = new Map(spans.map((span) => [span.spanId, span.name]));
  const shown = spans.filter(({ kind }) => kind !== "session");
  return Object.fromEntries(
    shown.map(({ name, parentSpanId }) => [name, byId.get(parentSpanId ?? "") ?? "missing"]),
  );
}

const recoverWith = (fileSystem = new PausedFileSystem()) =>
  recoverDirectory({ fileSystem, liveness: stage.liveness, clock: systemClock }, stage.dir);

describe("P1 P11 the parent of each span is in its document", () => {
  it("P11 in a running document of a stock processor, whose parents come last", async () => {
    const { exporter, provider, tracer } = stock();
    const root = tracer.startSpan("root", inA);
    const chat = tracer.startSpan("chat", inA, below(root));
    tracer.startSpan("tool", inA, below(chat)).end();
    await exporter.forceFlush();
    expect(danglingIn(stage.dir)).toEqual({});
    expect(shape()).toEqual({ tool: "A" });
    const [tool] = stage.document("A").spans;
    expect(tool).toMatchObject({ name: "tool", remoteParentSpanId: chat.spanContext().spanId });
    chat.end();
    await exporter.forceFlush();
    expect(danglingIn(stage.dir)).toEqual({});
    expect(shape()).toEqual({ tool: "chat", chat: "A" });
    root.end();
    await provider.shutdown();
    expect(shape()).toEqual({ tool: "chat", chat: "root", root: "A" });
    expect(stage.bytes("A")).not.toContain("remoteParentSpanId");
  });

  it("P11 under a stock processor with more spans than the trace is remembered by", async () => {
    const { provider, tracer } = stock();
    const root = tracer.startSpan("root", inA);
    const early = tracer.startSpan("early", inA, below(root));
    early.end();
    for (let n = 0; n < 1_100; n++) tracer.startSpan(`chat ${n}`, inA, below(root)).end();
    tracer.startSpan("late", inA, below(early)).end();
    root.end();
    await provider.shutdown();
    expect(danglingIn(stage.dir)).toEqual({});
    expect(shape()).toMatchObject({ early: "root", late: "early", "chat 0": "root", "chat 1099": "root" });
  });

  it("P11 under a stock processor in a running document: a parent that ended first stays the parent of thousands", async () => {
    const { provider, tracer } = stock();
    const early = tracer.startSpan("early", inA);
    early.end();
    for (let n = 0; n < 2_500; n++) tracer.startSpan(`chat ${n}`, inA, below(early)).end();
    await provider.forceFlush();
    expect(shape()).toMatchObject({ "chat 0": "early", "chat 2499": "early" });
    await provider.shutdown();
  });

  it.each(["a process hook", "a crash fence"])("P3 in the document of %s above 1 MB", async (how) => {
    const { exporter, provider, tracer } = stock();
    const root = tracer.startSpan("root", inA);
    const input = { "session.id": "A", "input.value": "x".repeat(60_000) };
    for (let n = 0; n < 40; n++) {
      const chat = tracer.startSpan(`chat ${n}`, { attributes: input }, below(root));
      tracer.startSpan(`tool ${n}`, inA, below(chat)).end();
      chat.end();
    }
    if (how === "a crash fence") exporter.crash("fenced");
    else exporter[provisionalFence]("SIGTERM", "SIGTERM");
    expect(stage.bytes("A").length).toBeGreaterThan(2_000_000);
    expect(danglingIn(stage.dir)).toEqual({});
    root.end();
    await provider.shutdown();
    expect(danglingIn(stage.dir)).toEqual({});
  });

  it.each(["running", "ended", "fenced", "recovered"])("P8 in a capped document, %s", async (how) => {
    const { exporter, processor } = stage.actor({ maxSpans: 20 });
    const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
    const root = tracer.startSpan("root", inA);
    for (let n = 0; n < 60; n++) {
      const chat = tracer.startSpan(`chat ${n}`, inA, below(root));
      // The children end long after their parents.
      const tools = [1, 2, 3].map((tool) => tracer.startSpan(`tool ${n}.${tool}`, inA, below(chat)));
      chat.end();
      for (const tool of tools) tool.end();
      if (n % 7 === 0) await processor.forceFlush();
      expect(danglingIn(stage.dir)).toEqual({});
    }
    await processor.forceFlush();
    if (how === "ended") await processor.shutdown();
    if (how === "fenced") exporter.crash("fenced");
    if (how === "recovered") {
      stage.liveness.bury();
      await recoverWith();
    }
    expect(danglingIn(stage.dir)).toEqual({});
    expect(stage.bytes("A")).toContain("spans elided");
    expect(shape()).toMatchObject({ "chat 0": "root", "tool 0.1": "chat 0", "tool 59.3": "chat 59" });
  });

  it("P7 in the document that recovery writes beside a living peer", async () => {
    const { exporter, tracer } = stock();
    const root = tracer.startSpan("root", inA);
    const chat = tracer.startSpan("chat", inA, below(root));
    tracer.startSpan("tool", inA, below(chat)).end();
    chat.end();
    await exporter.forceFlush();
    stage.liveness.bury();
    const peer = stage.actor();
    const span = peer.start("A");
    await peer.processor.forceFlush();
    await recoverWith();
    expect(danglingIn(stage.dir)).toEqual({});
    peer.end(span);
    await peer.processor.shutdown();
    expect(danglingIn(stage.dir)).toEqual({});
    expect(shape()).toEqual({ tool: "chat", chat: "A", work: "A" });
  });

  it("P2 P7 after two recoveries, each of which took a part of the session", async () => {
    const tracer = tracerOf(stage.actor());
    const root = tracer.startSpan("root");
    tracer.startSpan("sibling", {}, below(root));
    // Names the session: the root moves, and the sibling, which may name another one, waits in the unnamed log.
    tracer.startSpan("chat", inA, below(root));
    stage.liveness.bury();
    const [first, second] = [new PausedFileSystem(), new PausedFileSystem()];
    // One has taken the unnamed log, and the other one the files of the session.
    const split = first.hold((name) => name === "fdatasync", "issued");
    const one = recoverWith(first);
    await split.reached;
    const taken = second.hold((name) => name === "fdatasync", "issued");
    const other = recoverWith(second);
    await taken.reached;
    split.release();
    await one;
    expect(danglingIn(stage.dir)).toEqual({});
    taken.release();
    await other;
    expect(shape()).toEqual({ root: "A", sibling: "root", chat: "root" });
    expect(stage.files).toEqual(["A.json"]);
  });

  // A parent that was not sampled; one that had started before the processor was added, or that another provider records.
  it.each([
    ["not sampled", 0],
    ["sampled", 1],
  ])("P11 below a parent that no processor has recorded, %s", async (_, traceFlags) => {
    const { processor } = stage.actor();
    const provider = new BasicTracerProvider({
      spanProcessors: [processor],
      sampler: { shouldSample: () => ({ decision: SamplingDecision.RECORD_AND_SAMPLED }) },
    });
    const tracer = provider.getTracer("test");
    const spanId = "0123456789abcdef";
    const context = { traceId: "1".repeat(32), spanId, traceFlags };
    const span = tracer.startSpan("chat", inA, trace.setSpanContext(ROOT_CONTEXT, context));
    tracer.startSpan("tool", {}, below(span)).end();
    await processor.forceFlush();
    expect(danglingIn(stage.dir)).toEqual({});
    span.end();
    tracer.startSpan("late", inA, below(span)).end();
    await processor.forceFlush();
    expect(danglingIn(stage.dir)).toEqual({});
    await processor.shutdown();
    expect(danglingIn(stage.dir)).toEqual({});
    expect(shape()).toEqual({ tool: "chat", chat: "A", late: "chat" });
    const chat = stage.document("A").spans.find(({ name }) => name === "chat");
    expect(chat).toMatchObject({ remoteParentSpanId: spanId });
  });

  it.each(["ours", "stock"])(
    "P11 below a remote parent, which the span names: %s processor",
    async (which) => {
      const { provider, exporter } = stock();
      const { processor } = stage.actor();
      const used = which === "stock" ? provider : new BasicTracerProvider({ spanProcessors: [processor] });
      const spanId = "0123456789abcdef";
      const remote = { traceId: "1".repeat(32), spanId, traceFlags: 1, isRemote: true };
      const above = trace.setSpanContext(ROOT_CONTEXT, remote);
      used.getTracer("test").startSpan("server", inA, above).end();
      for (const isOver of [false, true]) {
        if (isOver) await used.shutdown();
        else await (which === "stock" ? exporter : processor).forceFlush();
        expect(danglingIn(stage.dir)).toEqual({});
        expect(shape()).toEqual({ server: "A" });
        expect(stage.document("A").spans[0]).toMatchObject({ name: "server", remoteParentSpanId: spanId });
      }
    },
  );

  it("P11 below a span of a provider without our processor, in the middle of a trace", async () => {
    const { processor } = stage.actor();
    const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
    const unseen = new BasicTracerProvider().getTracer("test");
    const root = tracer.startSpan("root", inA);
    const between = unseen.startSpan("between", {}, below(root));
    tracer.startSpan("chat", inA, below(between)).end();
    between.end();
    const tool = tracer.startSpan("tool", inA, below(between));
    for (const how of ["running", "ended"]) {
      if (how === "running") await processor.forceFlush();
      else {
        tool.end();
        root.end();
        await processor.shutdown();
      }
      expect(danglingIn(stage.dir)).toEqual({});
      expect(shape()).toEqual({ root: "A", chat: "A", tool: "A" });
    }
  });

  it("P11 below a local parent that an earlier process has recorded", async () => {
    const first = tracerOf(stage.actor());
    const parent = first.startSpan("parent", inA);
    parent.end();
    stage.liveness.bury();
    const { processor } = stage.actor();
    await recoverWith();
    const context = { ...parent.spanContext(), isRemote: false };
    const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
    tracer.startSpan("child", inA, trace.setSpanContext(ROOT_CONTEXT, context)).end();
    await processor.forceFlush();
    expect(danglingIn(stage.dir)).toEqual({});
    await processor.shutdown();
    expect(shape()).toEqual({ parent: "A", child: "parent" });
  });

  it("P11 below a parent that is open for longer than a trace remembers its spans", async () => {
    const { processor } = stage.actor();
    const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
    const root = tracer.startSpan("root", inA);
    const chat = tracer.startSpan("chat", inA, below(root));
    for (let n = 0; n < 2_500; n++) tracer.startSpan(`tool ${n}`, inA, below(chat)).end();
    tracer.startSpan("late", inA, below(root)).end();
    await processor.forceFlush();
    expect(shape()).toMatchObject({ late: "root", "tool 2499": "chat" });
    await processor.shutdown();
  });

  it("P11 a reader that follows a session puts spans below parents that come later", async () => {
    const { provider, tracer } = stock();
    const followed = new FollowedTrace((span) => span);
    const path = `${stage.dir}/A.json`;
    const look = async () => {
      const tokens = stage.files.flatMap((name) => /^A\.json\.(.*)\.open$/.exec(name)?.[1] ?? []);
      return (await followed.read(path, { tokens, unnamed: [] })).trace.spans;
    };
    const root = tracer.startSpan("root", inA);
    tracer.startSpan("chat", inA, below(root)).end();
    expect(shape(await look())).toEqual({ chat: "A" });
    root.end();
    expect(shape(await look())).toEqual({ chat: "root", root: "A" });
    expect(shape((await readTrace(path)).trace.spans)).toEqual({ chat: "root", root: "A" });
    await provider.shutdown();
  });
});
