/** A session that an attribute of a running span names: the next end below it moves the trace, before any timer runs. */
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { expect, test } from "vitest";
import { TwinStage } from "../support/twin-stage.js";

const twins = new TwinStage();

test.each(["the root", "a span between"])("P2 P11 is that of the trace after a kill: %s", async (which) => {
  const dead = twins.actor();
  const tracer = new BasicTracerProvider({ spanProcessors: [dead.processor] }).getTracer("test");
  const root = tracer.startSpan("root", { root: true });
  const inRoot = trace.setSpan(ROOT_CONTEXT, root);
  const middle = tracer.startSpan("middle", {}, inRoot);
  const leaf = tracer.startSpan("leaf", {}, trace.setSpan(ROOT_CONTEXT, middle));
  (which === "the root" ? root : middle).setAttribute("session.id", "S");
  leaf.end();
  twins.bury();
  await twins.recover();
  expect(twins.files).toEqual(["S.json"]);
  const { spans, summary } = twins.document("S");
  const nameOf = (id: string | null) => spans.find(({ spanId }) => spanId === id)?.name;
  const found = spans
    .filter(({ kind }) => kind !== "session")
    .map(({ name, parentSpanId, interrupted = false }) => [name, nameOf(parentSpanId), interrupted]);
  expect(found.sort()).toEqual([
    ["leaf", "middle", false],
    ["middle", "root", true],
    ["root", "S", true],
  ]);
  expect(summary).toMatchObject({ status: "crashed", interrupted: 2 });
});
