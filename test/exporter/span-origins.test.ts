/**
 * Resources and instrumentation scopes: a document has each once, spans name it, and replay gives it back. A resource
 * whose detectors have not finished is never read early.
 */
import { createTraceState, DiagLogLevel, diag, ROOT_CONTEXT, TraceFlags, trace } from "@opentelemetry/api";
import { type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { setSessionId } from "../../src/otel/session-context.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { replayTraces } from "../../src/replay/replay-traces.js";
import { type Actor, Stage } from "../support/session-stage.js";

let stage: Stage;
let logged: string[];
beforeEach(() => {
  stage = new Stage();
  logged = [];
  const log = (message: string) => void logged.push(message);
  diag.setLogger({ error: log, warn: log, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);
});
afterEach(async () => {
  diag.disable();
  await stage.end();
});

const shop = { "service.name": "shop", "host.cpus": 4, "process.command_args": ["node", "shop.js"] };
const inSession = (id: string) => setSessionId(ROOT_CONTEXT, id);

const tracerOf = (
  { processor }: Actor,
  resource: Resource,
  ...scope: Parameters<BasicTracerProvider["getTracer"]>
) => new BasicTracerProvider({ resource, spanProcessors: [processor] }).getTracer(...scope);

/** All processes are dead, and their sessions are recovered. */
async function recovered(): Promise<void> {
  stage.liveness.bury();
  const ports = { fileSystem: nodeFileSystem, liveness: stage.liveness, clock: systemClock };
  expect(await recoverDirectory(ports, stage.dir)).toMatchObject({ failures: [] });
}

/** A promise that the test settles. */
function detector(): { readonly value: Promise<string>; finish(value: string): void } {
  let finish = (_: string) => {};
  const value = new Promise<string>((resolve) => {
    finish = resolve;
  });
  return { value, finish: (given) => finish(given) };
}

/** The attributes of the resource of each span in a document. */
const resourcesIn = (id: string) => {
  const { spans, resources = {} } = stage.document(id);
  return spans
    .filter(({ kind }) => kind !== "session")
    .map(({ resource = "none" }) => resources[resource]?.attributes);
};

describe("P11 a resource", () => {
  it("P11 is in the document once, and each span names it", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(
      actor,
      resourceFromAttributes(shop, { schemaUrl: "https://schemas.test/1" }),
      "app",
    );
    for (const name of ["a", "b"]) tracer.startSpan(name, {}, inSession("ses")).end();
    await actor.processor.forceFlush();
    const { resources, spans, metadata } = stage.document("ses");
    expect(Object.values(resources ?? {})).toEqual([
      { attributes: shop, schemaUrl: "https://schemas.test/1" },
    ]);
    const [key] = Object.keys(resources ?? {});
    expect(spans.filter(({ kind }) => kind === "span").map(({ resource }) => resource)).toEqual([key, key]);
    expect(metadata).toEqual({});
    expect(logged).toEqual([]);
  });

  it("P2 is recovered with an open span of a process that was killed before its first document", async () => {
    const actor = stage.actor();
    tracerOf(actor, resourceFromAttributes(shop), "app").startSpan("open", {}, inSession("ses"));
    expect(stage.bytesIfAny("ses")).toBeUndefined();
    stage.liveness.bury();
    const { trace } = await readTrace(`${stage.dir}/ses.json`);
    expect(Object.values(trace.resources ?? {})).toEqual([{ attributes: shop }]);
    await recovered();
    expect(resourcesIn("ses")).toEqual([shop]);
  });

  it("P11 of each of two processes stays with its spans, also when one resumes after the other", async () => {
    const [one, other, third] = [stage.actor(), stage.actor(), stage.actor()];
    const resource = (name: string) => resourceFromAttributes({ "service.name": name });
    const [first, second] = [tracerOf(one, resource("one"), "app"), tracerOf(other, resource("two"), "app")];
    first.startSpan("a", {}, inSession("ses")).end();
    second.startSpan("b", {}, inSession("ses")).end();
    await one.processor.shutdown();
    await other.processor.shutdown();
    tracerOf(third, resource("one"), "app").startSpan("c", {}, inSession("ses")).end();
    await third.processor.shutdown();
    const { spans, resources = {} } = stage.document("ses");
    const named = spans
      .filter(({ kind }) => kind === "span")
      .map(({ name, resource = "" }) => [name, resources[resource]?.attributes["service.name"]]);
    expect(Object.fromEntries(named)).toEqual({ a: "one", b: "two", c: "one" });
    expect(Object.keys(resources)).toHaveLength(2);
  });

  it("P11 goes with a span that names its session late, and into the document of a trace", async () => {
    const actor = stage.actor();
    const tracer = tracerOf(actor, resourceFromAttributes(shop), "app");
    const late = tracer.startSpan("late");
    late.setAttribute("session.id", "ses");
    late.end();
    const unnamed = tracer.startSpan("unnamed");
    unnamed.end();
    await actor.processor.shutdown();
    expect(resourcesIn("ses")).toEqual([shop]);
    expect(resourcesIn(unnamed.spanContext().traceId)).toEqual([shop]);
  });

  it("P2 of a span without a session is recovered from the log of a dead process", async () => {
    const actor = stage.actor();
    const span = tracerOf(actor, resourceFromAttributes(shop), "app").startSpan("open");
    await recovered();
    expect(resourcesIn(span.spanContext().traceId)).toEqual([shop]);
  });

  it("P9 passes the redactor", async () => {
    const actor = stage.actor({
      redact: (value, field) => (field === "resource.service.name" ? "[x]" : value),
    });
    tracerOf(actor, resourceFromAttributes(shop), "app").startSpan("a", {}, inSession("ses")).end();
    await actor.processor.shutdown();
    expect(stage.bytes("ses")).not.toContain('"shop"');
    expect(resourcesIn("ses")).toEqual([{ ...shop, "service.name": "[x]" }]);
  });
});

describe("P11 a resource whose detectors have not finished", () => {
  it("P11 is written as far as it is known, and completed when they have; nothing is read early", async () => {
    const actor = stage.actor();
    const host = detector();
    const resource = resourceFromAttributes({ ...shop, "host.id": host.value });
    const tracer = tracerOf(actor, resource, "app");
    tracer.startSpan("a", {}, inSession("ses")).end();
    tracer.startSpan("b", {}, inSession("other"));
    tracer.startSpan("unnamed");
    host.finish("h1");
    await actor.processor.forceFlush();
    const whole = { ...shop, "host.id": "h1" };
    expect([resourcesIn("ses"), resourcesIn("other")]).toEqual([[whole], [whole]]);
    expect(logged).toEqual([]);
  });

  it("P2 has its completed record after a kill, and its first record before that", async () => {
    const actor = stage.actor();
    const host = detector();
    const resource = resourceFromAttributes({ ...shop, "host.id": host.value });
    const unnamed = tracerOf(actor, resource, "app").startSpan("unnamed").spanContext().traceId;
    tracerOf(actor, resource, "app").startSpan("open", {}, inSession("ses"));
    const read = async () => {
      const { trace } = await readTrace(`${stage.dir}/ses.json`);
      return Object.values(trace.resources ?? {}).map(({ attributes }) => attributes["host.id"]);
    };
    expect(await read()).toEqual([undefined]);
    host.finish("h1");
    await resource.waitForAsyncAttributes?.();
    await expect.poll(read).toEqual(["h1"]);
    await recovered();
    const whole = { ...shop, "host.id": "h1" };
    expect([resourcesIn("ses"), resourcesIn(unnamed)]).toEqual([[whole], [whole]]);
  });

  it("P5 a shutdown waits for them, and not for ever", async () => {
    const actor = stage.actor();
    const never = new Promise<string>(() => {});
    tracerOf(actor, resourceFromAttributes({ ...shop, "host.id": never }), "app")
      .startSpan("a", {}, inSession("ses"))
      .end();
    await actor.processor.shutdown();
    expect(resourcesIn("ses")).toEqual([shop]);
    expect(stage.document("ses").summary.status).toBe("completed");
    expect(logged).toEqual([]);
  });

  it("P11 is not read early under a stock processor, nor for the metadata of the session", async () => {
    const actor = stage.actor();
    const host = detector();
    const resource = resourceFromAttributes({ "service.version": "1.2", "host.id": host.value });
    const provider = new BasicTracerProvider({
      resource,
      spanProcessors: [new SimpleSpanProcessor(actor.exporter)],
    });
    provider
      .getTracer("app")
      .startSpan("a", { attributes: { "session.id": "ses" } })
      .end();
    host.finish("h1");
    await provider.forceFlush();
    await provider.shutdown();
    expect(stage.document("ses").metadata).toEqual({ version: "1.2" });
    expect(resourcesIn("ses")).toEqual([{ "service.version": "1.2", "host.id": "h1" }]);
    expect(logged).toEqual([]);
  });
});

describe("P11 replay", () => {
  /** What a direct export of a span has, as far as its origin is concerned. */
  const originOf = (span: ReadableSpan) => ({
    name: span.name,
    resource: [span.resource.attributes, span.resource.schemaUrl],
    scope: span.instrumentationScope,
    traceState: span.spanContext().traceState?.serialize(),
    vendor: span.spanContext().traceState?.get("vendor"),
  });

  it("P11 gives the resource, the scope and the trace state of each span back", async () => {
    const actor = stage.actor();
    const direct = new InMemorySpanExporter();
    const resource = resourceFromAttributes(shop, { schemaUrl: "https://schemas.test/1" });
    const provider = new BasicTracerProvider({
      resource,
      spanProcessors: [actor.processor, new SimpleSpanProcessor(direct)],
    });
    const context = {
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      traceFlags: TraceFlags.SAMPLED,
      isRemote: true,
      traceState: createTraceState("vendor=1,other=2"),
    };
    const remote = trace.setSpanContext(inSession("ses"), context);
    provider
      .getTracer("app", "1.0", { schemaUrl: "https://schemas.test/2" })
      .startSpan("a", {}, remote)
      .end();
    provider.getTracer("plain").startSpan("b", {}, inSession("ses")).end();
    await actor.processor.shutdown();
    const replayed = new InMemorySpanExporter();
    await replayTraces(stage.dir, replayed, { sessions: "ended" });
    const expected = direct.getFinishedSpans().map(originOf);
    expect(replayed.getFinishedSpans().map(originOf)).toEqual(
      expected.map((one) => ({ ...one, scope: definedOf(one.scope) })),
    );
    expect(new Set(replayed.getFinishedSpans().map((span) => span.resource)).size).toBe(1);
  });

  it("P11 names a service without a name as the replay does", async () => {
    const actor = stage.actor();
    const resource = resourceFromAttributes({ "service.name": "unknown_service:node", "host.id": "h1" });
    tracerOf(actor, resource, "app").startSpan("a", {}, inSession("ses")).end();
    await actor.processor.shutdown();
    const replayed = new InMemorySpanExporter();
    const given = { attributes: { "service.name": "shop", extra: 1 } };
    await replayTraces(stage.dir, replayed, { sessions: "ended", resource: given });
    expect(replayed.getFinishedSpans().map((span) => span.resource.attributes)).toEqual([
      { "service.name": "shop", "host.id": "h1" },
    ]);
  });
});

const definedOf = (scope: object) =>
  Object.fromEntries(Object.entries(scope).filter(([, value]) => value !== undefined));
