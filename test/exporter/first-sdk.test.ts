/** SDK 1.x: its spans have the parent and the scope under names of their own. */
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { BasicTracerProvider, SimpleSpanProcessor, type SpanProcessor } from "sdk-trace-base-1";
import { afterEach, beforeEach, expect, test } from "vitest";
import { setSessionId } from "../../src/otel/session-context.js";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.end());

/** The processor as an SDK of the first line takes it. */
const asFirst = (processor: unknown): SpanProcessor => processor as SpanProcessor;

test.each(["CrashSafeSpanProcessor", "SimpleSpanProcessor of SDK 1.x"])(
  "P11 spans of SDK 1.x have their parents, scope and resource through %s",
  async (name) => {
    const actor = stage.actor();
    const processor =
      name === "CrashSafeSpanProcessor"
        ? asFirst(actor.processor)
        : new SimpleSpanProcessor(
            actor.exporter as unknown as ConstructorParameters<typeof SimpleSpanProcessor>[0],
          );
    const provider = new BasicTracerProvider({ spanProcessors: [processor] });
    const tracer = provider.getTracer("app", "1.0");
    const attributes = { "session.id": "ses" };
    const parent = tracer.startSpan("parent", { attributes }, setSessionId(ROOT_CONTEXT, "ses"));
    tracer.startSpan("child", { attributes }, trace.setSpan(ROOT_CONTEXT, parent)).end();
    parent.end();
    await provider.forceFlush();
    await actor.processor.shutdown();
    const { spans, resources = {} } = stage.document("ses");
    const ids = new Map(spans.map(({ spanId, name }) => [spanId, name]));
    const found = spans
      .filter(({ kind }) => kind === "span")
      .map(({ name, parentSpanId, attributes, resource = "" }) => ({
        name,
        parent: ids.get(parentSpanId ?? ""),
        scope: `${attributes?.["otel.scope.name"]} ${attributes?.["otel.scope.version"]}`,
        sdk: resources[resource]?.attributes["telemetry.sdk.version"],
      }));
    const origin = { scope: "app 1.0", sdk: "1.30.1" };
    expect(found).toEqual([
      { name: "child", parent: "parent", ...origin },
      { name: "parent", parent: "ses", ...origin },
    ]);
    expect(actor.exporter.stats()).toMatchObject({ dropped: 0, faults: 0 });
  },
);
