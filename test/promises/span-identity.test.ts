/**
 * Span ids are unique within a trace only: two traces of one session may use one span id. Each of the two spans is in the
 * document once, in its own state, whatever happens to the session.
 */
import { type Context, ROOT_CONTEXT, type Span, type Tracer } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import type { Actor } from "../support/session-stage.js";
import { TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const attributes = { "session.id": id };
const spanId = "b7ad6b7169203331";
const traces = { a: "a".repeat(32), b: "b".repeat(32), c: "c".repeat(32) };
type TraceName = keyof typeof traces;

const twins = new TwinStage();

/** A tracer whose next span has the given ids. */
class FixedIds {
  readonly #tracer: Tracer;
  #traceId = "";
  #spanId = "";

  constructor({ processor }: Actor) {
    const idGenerator = { generateTraceId: () => this.#traceId, generateSpanId: () => this.#spanId };
    this.#tracer = new BasicTracerProvider({ spanProcessors: [processor], idGenerator }).getTracer("test");
  }

  /** The span of the trace with the span id that all traces use. */
  start(name: TraceName, parent: Context = ROOT_CONTEXT): Span {
    return this.startAs(name, spanId, parent);
  }

  startAs(name: TraceName, spanId: string, parent: Context = ROOT_CONTEXT): Span {
    this.#traceId = traces[name];
    this.#spanId = spanId;
    return this.#tracer.startSpan(`span of ${name}`, { attributes }, parent);
  }
}

type State = "open" | "ended" | "interrupted";

/** The spans with the common id, by the trace that their name has, with their states; checks the trace ids. */
function statesIn(document: TraceFile): Record<string, State[]> {
  const found: Record<string, State[]> = {};
  for (const span of document.spans) {
    if (span.spanId !== spanId) continue;
    const name = span.name.at(-1) as TraceName;
    expect(span.traceId ?? document.traceId).toBe(traces[name]);
    const state = span.endTime === undefined ? "open" : span.interrupted ? "interrupted" : "ended";
    found[name] = [...(found[name] ?? []), state];
  }
  return found;
}

const states = () => statesIn(twins.document(id));
const totalSpans = () => twins.document(id).spans.length - 1;

/** The states that the two spans have when something happens to their session. */
const pairs = [
  { a: "open", b: "open" },
  { a: "open", b: "ended" },
  { a: "ended", b: "open" },
  { a: "ended", b: "ended" },
] as const;

function begin(actor: Actor, pair: (typeof pairs)[number]): { a: Span; b: Span } {
  const ids = new FixedIds(actor);
  const spans = { a: ids.start("a"), b: ids.start("b") };
  for (const name of ["b", "a"] as const) if (pair[name] === "ended") spans[name].end();
  return spans;
}

/** The states after a crash. */
const crashed = (pair: (typeof pairs)[number]) => ({
  a: [pair.a === "ended" ? "ended" : "interrupted"],
  b: [pair.b === "ended" ? "ended" : "interrupted"],
});

describe.each(pairs)("P2 P7 two traces that use one span id ($a and $b)", (pair) => {
  const now = { a: [pair.a], b: [pair.b] };

  test("are both in a published document, and for readers beside its writer", async () => {
    const actor = twins.actor();
    begin(actor, pair);
    await actor.processor.forceFlush();
    expect(states()).toEqual(now);
    expect(totalSpans()).toBe(2);
    const { trace, damage } = await readTrace(`${twins.stage.dir}/${id}.json`);
    expect(statesIn(trace)).toEqual(now);
    expect(damage).toEqual({ tornBytes: 0, corruptLines: 0 });
  });

  test("are both ended in the end", async () => {
    const actor = twins.actor();
    const spans = begin(actor, pair);
    await actor.processor.forceFlush();
    for (const span of [spans.a, spans.b]) if (span.isRecording()) span.end();
    await actor.processor.shutdown();
    expect(states()).toEqual({ a: ["ended"], b: ["ended"] });
    expect(twins.files).toEqual([`${id}.json`]);
  });

  test.each([false, true])("are both in a fenced document (published before: %s)", async (isPublished) => {
    const actor = twins.actor();
    begin(actor, pair);
    if (isPublished) await actor.processor.forceFlush();
    actor.processor.crash("gone");
    expect(states()).toEqual(crashed(pair));
    expect(twins.files).toEqual([`${id}.json`]);
  });

  test.each([false, true])("are both recovered after a kill (published before: %s)", async (isPublished) => {
    const actor = twins.actor();
    begin(actor, pair);
    if (isPublished) await actor.processor.forceFlush();
    twins.bury();
    const { sessions } = await twins.recover();
    expect(sessions).toHaveLength(1);
    expect(states()).toEqual(crashed(pair));
    expect(twins.files).toEqual([`${id}.json`]);
  });

  test("are both there after a kill, a resume, and another kill", async () => {
    begin(twins.actor(), pair);
    twins.bury();
    const resumed = twins.actor();
    await resumed.exporter.resumeSession(id);
    new FixedIds(resumed).start("c").end();
    await resumed.processor.forceFlush();
    expect(states()).toEqual({ ...crashed(pair), c: ["ended"] });
    new FixedIds(resumed).startAs("c", "1".repeat(16)).end();
    twins.bury();
    await twins.recover();
    expect(states()).toEqual({ ...crashed(pair), c: ["ended"] });
    expect(totalSpans()).toBe(4);
  });

  test("are both there beside a peer writer with a third one", async () => {
    const [one, other] = [twins.actor(), twins.actor()];
    const spans = begin(one, pair);
    await one.processor.forceFlush();
    const third = new FixedIds(other).start("c");
    await other.processor.forceFlush();
    expect(states()).toEqual({ ...now, c: ["open"] });
    await one.processor.forceFlush();
    third.end();
    await other.processor.forceFlush();
    for (const span of [spans.a, spans.b]) if (span.isRecording()) span.end();
    await one.processor.shutdown();
    expect(states()).toEqual({ a: ["ended"], b: ["ended"], c: ["ended"] });
    await other.processor.shutdown();
    expect(states()).toEqual({ a: ["ended"], b: ["ended"], c: ["ended"] });
    expect(totalSpans()).toBe(3);
  });

  test("are both there when a peer writer is killed and this one goes on", async () => {
    const [one, other] = [twins.actor(), twins.actor()];
    begin(one, pair);
    await one.processor.forceFlush();
    const third = new FixedIds(other).start("c");
    await other.processor.forceFlush();
    for (const token of twins.stage.liveness.tokens.slice(0, 1)) twins.stage.liveness.dead.add(token);
    await twins.recover();
    expect(states()).toMatchObject(crashed(pair));
    third.end();
    await other.processor.shutdown();
    expect(states()).toEqual({ ...crashed(pair), c: ["ended"] });
  });
});
