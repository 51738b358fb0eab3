/**
 * Everything that a document made from attributes lacks or has otherwise, with the reason.
 *
 * Each exception is played, and the difference must appear. An exception that attributes have come to represent
 * must be removed.
 */
import { trace } from "@opentelemetry/api";
import { vi } from "vitest";
import { begin, type Play, type Staging, type Way } from "./agreement-stage.js";

/** One thing that attributes do not represent. */
export interface NotCarried {
  readonly what: string;
  readonly why: string;
  /** The path in a document, with the kind of a span in the place of the span. */
  readonly fields: readonly string[];
  /** The ways that show the difference. Default: all. */
  readonly by?: readonly Way[];
  readonly play: Play;
  readonly staging?: Staging;
}

const otlp: readonly Way[] = ["OTLP as JSON", "OTLP as protobuf"];
const later = (millis: number) => vi.setSystemTime(begin + millis);

export const notCarried: readonly NotCarried[] = [
  {
    what: "the name, the input and the attributes of the session span",
    why: "a session is no OpenTelemetry span; its attributes are on its turns",
    fields: ["session.name", "session.input", "session.attributes"],
    async play(tracing) {
      const tracer = tracing.tracer("ses_1", { instance_id: "named", prompt: "asked" });
      tracer.setSpanAttributes({ a: 1 }, "session");
      tracer.logUserMessage("question");
      await tracer.endTrace();
    },
  },
  {
    what: "when the session started and ended",
    why: "its first turn may start later, and nothing is sent at its end",
    fields: [
      "startedAt",
      "endedAt",
      "summary.duration",
      "summary.narrative",
      "session.startTime",
      "session.endTime",
    ],
    async play(tracing) {
      const tracer = tracing.tracer("ses_1");
      later(100);
      tracer.logUserMessage("question");
      later(200);
      await tracer.endTrace();
      later(400);
    },
  },
  {
    what: "how the session ended",
    why: "nothing is sent at its end; a document made of attributes ends with its exporter",
    fields: [
      "summary.status",
      "summary.error",
      "summary.narrative",
      "session.status",
      "session.statusMessage",
      "session.output",
    ],
    async play(tracing) {
      const tracer = tracing.tracer("ses_1");
      tracer.logStepStart({ id: "1" });
      await tracer.endTrace("failed");
    },
  },
  {
    what: "that a crash ended it",
    why: "the same; its open spans do say it",
    fields: [
      "summary.status",
      "summary.error",
      "summary.narrative",
      "session.status",
      "session.statusMessage",
      "session.interrupted",
      "session.output",
    ],
    play(tracing) {
      const tracer = tracing.tracer("ses_1");
      tracer.logStepStart({ id: "1" });
      tracer.flushSync("killed");
    },
  },
  {
    what: "metadata that came after the last turn",
    why: "turns have them",
    fields: ["metadata.title"],
    async play(tracing) {
      const tracer = tracing.tracer("ses_1", { title: "first" });
      tracer.logUserMessage("question");
      tracer.endTurn();
      tracer.setTitle("last");
      await tracer.endTrace();
    },
  },
  {
    what: "that standard attributes of the session are not its metadata",
    why: "both have the same key on a turn, which is what a backend looks for",
    fields: ["metadata.userId", "metadata.environment", "metadata.version", "session.attributes"],
    async play(tracing) {
      const tracer = tracing.tracer("ses_1");
      const attributes = { "user.id": "u", "deployment.environment.name": "e", "service.version": "v" };
      tracer.setSpanAttributes(attributes, "session");
      tracer.logUserMessage("question");
      await tracer.endTrace();
    },
  },
  {
    what: "what a span that has not ended was given since its start",
    why: "OpenTelemetry has it when the span is handed out; carrying it twice doubled the cost of a call",
    fields: ["tool.input", "tool.attributes", "generation.output"],
    by: ["our processor"],
    staging: { end: "still running" },
    async play(tracing) {
      const tracer = tracing.tracer("ses_1");
      tracer.logStepStart({ id: "1" });
      tracer.logText({ text: "so far" });
      const state = { status: "running", input: { command: "sleep" } };
      tracer.logToolCall({ tool: "bash", callID: "1", state });
      tracer.setSpanAttributes({ a: 1 }, "tool");
      await tracer.flush();
    },
  },
  {
    what: "spans that have not ended",
    why: "only the processor of this package exports them",
    fields: [
      ...["order", "tool", "generation", "endedAt"],
      ...["duration", "totalGenerations", "totalToolCalls"].map((name) => `summary.${name}`),
    ],
    by: ["a stock processor", ...otlp],
    staging: { end: "still running" },
    async play(tracing) {
      const tracer = tracing.tracer("ses_1");
      tracer.logUserMessage("question");
      tracer.logStepStart({ id: "1" });
      tracer.logToolCall({ tool: "bash", callID: "1", state: { status: "running" } });
      later(100);
      await tracer.flush();
      later(200);
    },
  },
  {
    what: "the order of spans of several instrumentations",
    why: "OTLP groups the spans of a batch by their scope",
    fields: ["order"],
    by: otlp,
    async play(tracing, foreign) {
      const tracer = tracing.tracer("ses_1");
      tracer.logUserMessage("question");
      tracer.withContext(() => foreign.startSpan("between").end());
      tracer.logSpan({ name: "after", startTime: 1, endTime: 2 });
      await tracer.endTrace();
    },
  },
  {
    what: "keys of attributes, and metadata, that are not valid Unicode",
    why: "protobuf has text in UTF-8; values are carried as JSON, which escapes them",
    fields: ["tool.attributes", "metadata.title"],
    by: ["OTLP as protobuf"],
    async play(tracing) {
      const tracer = tracing.tracer("ses_1", { title: "half \ud83d" });
      tracer.logToolCall({ tool: "bash", state: { status: "completed" } });
      tracer.setSpanAttributes({ "half \ud83d": 1 }, "tool");
      await tracer.endTrace();
    },
  },
  {
    what: "whether the tracer or other code set a key of the conventions",
    why: "attributes do not name the code that set them; those of the tracer win",
    fields: ["generation.model", "generation.attributes"],
    async play(tracing) {
      const tracer = tracing.tracer("ses_1");
      tracer.logStepStart({ id: "1" });
      tracer.withContext(() => {
        trace.getActiveSpan()?.setAttribute("gen_ai.request.model", "other");
        trace.getActiveSpan()?.setAttribute("gen_ai.agent.name", "other");
      });
      await tracer.endTrace();
    },
  },
  {
    what: "an error whose span other code has set to OK",
    why: "the SDK takes no status after that; that it is an error is carried, its message is not",
    fields: ["tool.statusMessage"],
    async play(tracing) {
      const tracer = tracing.tracer("ses_1");
      tracer.logToolCall({ tool: "bash", callID: "1", state: { status: "running" } });
      tracer.withContext(() => trace.getActiveSpan()?.setStatus({ code: 1 }));
      tracer.logToolCall({ tool: "bash", callID: "1", state: { status: "error", error: "no" } });
      await tracer.endTrace();
    },
  },
  {
    what: "what exceeds the limits of a host's provider",
    why: "the SDK cuts values and drops attributes, the caller's last ones first; our own provider has wide limits",
    fields: ["tool.input", "tool.output", "tool.attributes"],
    staging: { host: { attributeCountLimit: 20, attributeValueLengthLimit: 100 } },
    async play(tracing) {
      const tracer = tracing.tracer("ses_1");
      const state = { status: "completed", input: { long: "x".repeat(200) }, output: "y".repeat(200) };
      tracer.logToolCall({ tool: "bash", callID: "1", state });
      const many = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`key ${n}`, n]));
      tracer.setSpanAttributes(many, "tool");
      tracer.logToolCall({
        tool: "bash",
        callID: "2",
        state: { status: "error", error: "no", time: { start: -1 } },
      });
      tracer.setSpanAttributes({ ...many, list: [null] }, "tool");
      await tracer.endTrace();
    },
  },
  {
    what: "that a foreign span ran directly in a turn",
    why: "a host's provider chooses the turn's id, and the turn comes last; the ids of this package's provider are derived from the trace",
    fields: ["span.parentSpanId"],
    by: ["a stock processor", ...otlp],
    staging: { host: {} },
    async play(tracing, foreign) {
      const tracer = tracing.tracer("ses_1");
      tracer.logUserMessage("question");
      tracer.endTurn();
      tracer.withContext(() => foreign.startSpan("inside").end());
      await tracer.endTrace();
    },
  },
];
