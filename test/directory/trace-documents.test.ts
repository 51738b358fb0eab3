/**
 * The document of a trace that named no session, while it is being written: a name, a span or the crash fence comes at
 * each of the calls of the file system.
 */
import { ROOT_CONTEXT, type Tracer, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { setSessionId } from "../../src/otel/session-context.js";
import { provisionalFence } from "../../src/otel/types.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import type { Durability } from "../../src/storage/durability.js";
import { type Actor, Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

const tracerOf = ({ processor }: Actor): Tracer =>
  new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");

/** Names of the spans of a document, with its session span first. */
const namesIn = (id: string) =>
  stage
    .document(id)
    .spans.filter(({ kind }) => kind !== "session")
    .map(({ name }) => name)
    .sort();

/** A trace that has ended without a name, and whose document is being written: the Nth call waits. */
async function writingAt(nth: number, durability: Durability) {
  const actor = stage.actor({ durability });
  const tracer = tracerOf(actor);
  actor.fileSystem.mark();
  const held = actor.fileSystem.holdNumber(nth, "done");
  const root = tracer.startSpan("root", { root: true });
  const inRoot = trace.setSpan(ROOT_CONTEXT, root);
  tracer.startSpan("early", {}, inRoot).end();
  root.end();
  const flushed = actor.processor.forceFlush();
  const isReached = await Promise.race([held.reached.then(() => true), flushed.then(() => false)]);
  return { actor, tracer, inRoot, held, flushed, isReached, id: root.spanContext().traceId };
}

/** Runs `act` at each call that the writing of a document makes. */
async function atEachCall(
  durability: Durability,
  act: (writing: Awaited<ReturnType<typeof writingAt>>) => Promise<void>,
): Promise<void> {
  for (let nth = 1; ; nth++) {
    const writing = await writingAt(nth, durability);
    try {
      await act(writing);
    } catch (error) {
      throw new Error(`at call ${nth}`, { cause: error });
    }
    writing.held.release();
    await writing.actor.processor.shutdown();
    stage.clear();
    if (writing.isReached) continue;
    expect(nth).toBeGreaterThan(2);
    return;
  }
}

describe.each(["process", "interval", "each"] as const)("durability %s", (durability) => {
  it("P11 a name that comes meanwhile takes all spans to its session", async () => {
    await atEachCall(durability, async ({ actor, tracer, inRoot, held, flushed }) => {
      tracer.startSpan("chat", {}, setSessionId(inRoot, "S")).end();
      held.release();
      await flushed;
      await actor.processor.forceFlush();
      expect(stage.files.filter((name) => name.endsWith(".json"))).toEqual(["S.json"]);
      expect(namesIn("S")).toEqual(["chat", "early", "root"]);
      await actor.processor.shutdown();
      expect(stage.files).toEqual(["S.json"]);
      expect(namesIn("S")).toEqual(["chat", "early", "root"]);
    });
  });

  it("P11 a span that comes meanwhile is in the same document, once", async () => {
    await atEachCall(durability, async ({ actor, tracer, inRoot, held, flushed, id }) => {
      tracer.startSpan("late", {}, inRoot).end();
      held.release();
      await flushed;
      await actor.processor.shutdown();
      expect(stage.files).toEqual([`${id}.json`]);
      expect(namesIn(id)).toEqual(["early", "late", "root"]);
    });
  });

  it.each(["crash", "hook"])(
    "P3 after the fence there is the document, and nothing else: %s",
    async (how) => {
      await atEachCall(durability, async ({ actor, held, flushed, id }) => {
        if (how === "crash") actor.processor.crash("enough");
        else actor.processor[provisionalFence]("SIGTERM", "SIGTERM");
        // The process may end here.
        expect(stage.files).toEqual([`${id}.json`]);
        const bytes = stage.bytes(id);
        expect(namesIn(id)).toEqual(["early", "root"]);
        held.release();
        await flushed;
        await actor.processor.shutdown();
        expect(stage.bytes(id)).toBe(bytes);
        expect(stage.files).toEqual([`${id}.json`]);
      });
    },
  );
});

describe("traces that end together", () => {
  it("P13 have their documents written side by side, at most two at a time", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(actor);
    const most = { syncs: 0 };
    let onTwo = () => {};
    const two = new Promise<void>((resolve) => {
      onTwo = resolve;
    });
    const counted = actor.fileSystem.hold((name) => {
      if (name !== "fdatasync") return false;
      const others = actor.fileSystem.underway.filter((one) => one === name).length;
      most.syncs = Math.max(most.syncs, others + 1);
      if (most.syncs === 2) onTwo();
      return false;
    }, "issued");
    const held = actor.fileSystem.hold((name) => name === "fdatasync", "issued");
    for (let i = 0; i < 20; i++) tracer.startSpan("root", { root: true }).end();
    const down = actor.processor.shutdown();
    await two;
    held.release();
    await down;
    counted.release();
    expect(stage.files).toHaveLength(20);
    expect(stage.files.every((name) => name.endsWith(".json"))).toBe(true);
    expect(most.syncs).toBe(2);
  });
});

describe("P5 a flush while a trace without a name is open", () => {
  it("P5 makes what has ended readable, and decides nothing", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(actor);
    const root = tracer.startSpan("root", { root: true });
    tracer.startSpan("early", {}, trace.setSpan(ROOT_CONTEXT, root)).end();
    await actor.processor.forceFlush();
    expect(stage.files.filter((name) => name.endsWith(".json"))).toEqual([]);
    const { traceId } = root.spanContext();
    const path = `${stage.dir}/${traceId}.json`;
    const { traces, total } = await listTraces(stage.dir);
    expect(traces.map((one) => [one.path, one.id, one.bytes])).toEqual([[path, traceId, 0]]);
    expect(total).toBe(1);
    const shown = (await readTrace(path)).trace.spans.map(({ name, endTime }) => [
      name,
      endTime !== undefined,
    ]);
    expect(shown.sort()).toEqual(
      [
        [traceId, false],
        ["early", true],
        ["root", false],
      ].sort(),
    );
    root.setAttribute("session.id", "S");
    root.end();
    await actor.processor.forceFlush();
    expect((await listTraces(stage.dir)).traces.map(({ id }) => id)).toEqual(["S"]);
    await actor.processor.shutdown();
    expect(stage.files).toEqual(["S.json"]);
  });
});

describe("P14 the title of a trace without a session", () => {
  const request = { "http.request.method": "GET", "url.path": "/users/7?key=secret" };
  const titleOf = (id: string) => stage.document(id).metadata.title;

  it("P14 is the name of its first top span, with the path of the request", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(actor);
    const ended = tracer.startSpan("GET", { attributes: request, root: true });
    tracer.startSpan("middleware", {}, trace.setSpan(ROOT_CONTEXT, ended)).end();
    ended.end();
    const open = tracer.startSpan("job", { root: true });
    tracer.startSpan("step", {}, trace.setSpan(ROOT_CONTEXT, open)).end();
    await actor.processor.shutdown();
    expect(titleOf(ended.spanContext().traceId)).toBe("GET /users/7");
    expect(titleOf(open.spanContext().traceId)).toBe("job");
  });

  it("P14 of a process that died", async () => {
    const actor = stage.actor();
    const root = tracerOf(actor).startSpan("GET", { attributes: { ...request, "http.route": "/users/:id" } });
    stage.liveness.bury();
    const ports = { fileSystem: nodeFileSystem, clock: systemClock, liveness: stage.liveness };
    await recoverDirectory(ports, stage.dir);
    expect(titleOf(root.spanContext().traceId)).toBe("GET /users/:id");
  });

  it("P14 is none of the session that the trace names later", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(actor);
    const root = tracer.startSpan("GET", { attributes: request, root: true });
    root.end();
    await actor.processor.forceFlush();
    expect(titleOf(root.spanContext().traceId)).toBe("GET /users/7");
    const inA = { attributes: { "session.id": "A" } };
    tracer.startSpan("chat", inA, trace.setSpan(ROOT_CONTEXT, root)).end();
    await actor.processor.shutdown();
    expect(stage.files).toEqual(["A.json"]);
    expect(titleOf("A")).toBeUndefined();
  });
});
