/** Spans of a program with the attributes of an elision marker are spans of the program: counted, kept and replayed. */
import type { Attributes, Span } from "@opentelemetry/api";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { replayTraces } from "../../src/replay/replay-traces.js";
import { createSessionTracing } from "../../src/session.js";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.end());

const marker = {
  elided: 1_000,
  totalSpans: 1_003,
  lastElided: "",
  elidedTotals: { spans: 1_000, generations: 1_000 },
};

/** A model call with the attributes of an elision marker. The SDK may refuse objects, and an exporter gets any span. */
function withMarker(span: Span, elidedTotals: unknown): Span {
  const more = { ...marker, elidedTotals, "gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7 };
  Object.assign((span as unknown as { attributes: Attributes }).attributes, more);
  return span;
}

const named = (document: TraceFile, name: string): TraceSpan =>
  document.spans.find((span) => span.name === name) as TraceSpan;

async function replayedNames(): Promise<string[]> {
  const exporter = new InMemorySpanExporter();
  await replayTraces(stage.dir, exporter, { sessions: "ended" });
  return exporter.getFinishedSpans().map(({ name }) => name);
}

/** The process has died, and its sessions are recovered. */
async function recover(): Promise<TraceFile> {
  stage.liveness.bury();
  const { liveness } = stage;
  await recoverDirectory({ fileSystem: nodeFileSystem, liveness, clock: systemClock }, stage.dir);
  return stage.document("s");
}

describe("P14 a span with the attribute of an elision marker", () => {
  it.each<[string, unknown]>([
    ["a list", ["a", "b"]],
    ["an object", marker.elidedTotals],
  ])("P14 as %s is counted and replayed", async (_, value) => {
    const actor = stage.actor();
    actor.end(withMarker(actor.start("s"), value));
    await actor.processor.shutdown();
    const document = stage.document("s");
    expect(document.summary).toMatchObject({ totalGenerations: 1, totalTokens: 7 });
    expect(named(document, "work").attributes?.elidedTotals).toBe(JSON.stringify(value));
    expect(await replayedNames()).toEqual(["work"]);
  });

  it("P14 that a session tracer logs is counted", async () => {
    const tracing = createSessionTracing({ dir: stage.dir });
    const tracer = tracing.tracer("s");
    tracer.logSpan({ name: "mine", startTime: 1, endTime: 2, attributes: marker });
    tracer.logToolCall({ tool: "ls", callID: "c", state: { status: "completed", output: "" } });
    tracer.setSpanAttributes(marker, "tool");
    tracer.setSpanAttributes(marker, "session");
    await tracing.shutdown();
    const document = stage.document("s");
    expect(document.summary).toMatchObject({ totalGenerations: 0, totalToolCalls: 1 });
    const attributes = { ...marker, elidedTotals: JSON.stringify(marker.elidedTotals) };
    for (const name of ["mine", "ls", "s"])
      expect(named(document, name).attributes).toMatchObject(attributes);
    expect((await replayedNames()).sort()).toEqual(["execute_tool ls", "invoke_agent", "mine"]);
  });

  it("P14 is counted when its process has died", async () => {
    const actor = stage.actor();
    actor.end(withMarker(actor.start("s"), marker.elidedTotals));
    withMarker(actor.start("s"), ["a"]);
    await actor.processor.forceFlush();
    const document = await recover();
    expect(document.summary).toMatchObject({ totalGenerations: 2, totalTokens: 14 });
    expect((await replayedNames()).length).toBe(2);
  });

  it("P14 that a session tracer logs is counted when its process has died", async () => {
    const exporter = stage.actor().exporter;
    const tracer = createSessionTracing({ exporters: [exporter] }).tracer("s");
    tracer.logSpan({ name: "mine", startTime: 1, endTime: 2, attributes: marker });
    tracer.logToolCall({ tool: "ls", callID: "c", state: { status: "running" } } as never);
    tracer.setSpanAttributes(marker, "tool");
    const document = await recover();
    expect(document.summary).toMatchObject({ totalGenerations: 0, totalToolCalls: 1 });
    const attributes = { ...marker, elidedTotals: JSON.stringify(marker.elidedTotals) };
    for (const name of ["mine", "ls"]) expect(named(document, name).attributes).toEqual(attributes);
  });

  it("P14 that a redactor made is counted", async () => {
    const redact = (value: unknown, field: string) =>
      field === "attributes.elidedTotals" ? marker.elidedTotals : value;
    const actor = stage.actor({ redact });
    actor.end(withMarker(actor.start("s"), "text"));
    expect((await recover()).summary).toMatchObject({ totalGenerations: 1, totalTokens: 7 });
  });
});
