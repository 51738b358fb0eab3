/**
 * Sessions that use every feature of a session tracer: every method, every kind of span, and values, keys and times
 * as hostile as JSON can represent.
 */
import { type Tracer, trace } from "@opentelemetry/api";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { hostileValues, keysOfOurs, manyAttributes, strangeTexts, strangeTimes } from "./wide-values.js";

const tokens = { input: 100, output: 50, reasoning: 7, cache: { read: 30, write: 4 } };
const at = (start: number, end: number) => ({ time: { start, end } });

/** Every method, with ordinary values. */
export function ordinary(tracer: SessionTracer): void {
  tracer.enrichFromAssistant({
    modelID: "claude",
    providerID: "anthropic",
    agent: "builder",
    variant: "high",
  });
  tracer.applyOwuiContext({ userId: "user-1", modelId: "webui/model", agent: "chatter" });
  tracer.setTitle("A title", "what was asked");
  tracer.setPrompt("what was asked at last");
  tracer.logUserMessage("first question");
  tracer.logStepStart({ id: "1", messageID: "m1" });
  tracer.logText({ text: "thinking … ", messageID: "m1" });
  tracer.logToolCall({
    tool: "bash",
    callID: "call-1",
    state: {
      status: "completed",
      input: { command: "ls", flags: ["-l"] },
      output: "a\nb",
      ...at(1_000, 2_500),
    },
  });
  tracer.setSpanAttributes(
    { "de.tables": ["a", "b"], "de.rows": 12, "de.ok": true, "de.cost": 0.25 },
    "tool",
  );
  tracer.logToolCall({
    tool: "read",
    callID: "call-2",
    state: { status: "error", input: { path: "/x" }, error: "ENOENT: no such file", ...at(3_000, 3_001) },
  });
  tracer.setSpanAttributes({ "de.model": "fct_orders" }, "generation");
  tracer.logStepFinish({ id: "1", messageID: "m1", reason: "tool-calls", cost: 0.0125, tokens });
  tracer.logSpan({
    name: "compile",
    startTime: 4_000,
    endTime: 5_000,
    input: { sql: "select 1" },
    output: [1, 2],
  });
  tracer.logUserMessage("x".repeat(5_000));
  tracer.logStepStart({ id: "2", messageID: "m2" });
  tracer.logStepStart({ id: "3", messageID: "m3" });
  tracer.logToolCall({
    tool: "slow",
    callID: "call-3",
    messageID: "m2",
    state: { status: "running", input: 1 },
  });
  tracer.logToolCall({ tool: "never ends", callID: "call-4", state: { status: "pending" } });
  tracer.logToolCall({ tool: "slow", callID: "call-3", state: { status: "completed", output: "done" } });
  for (let n = 0; n < 4; n++)
    tracer.logToolCall({
      tool: "loop",
      callID: `loop-${n}`,
      state: { status: "completed", input: { q: 1 } },
    });
  tracer.logText({ text: "answer", messageID: "m2" });
  tracer.logStepFinish({ id: "2", messageID: "m2", reason: "stop", cost: 1, tokens });
  tracer.logStepFinish({ id: "3", messageID: "m3", reason: "", cost: 0, tokens: {} });
  tracer.endTurn();
  tracer.logToolCall({
    tool: "big",
    callID: "big",
    state: { status: "completed", output: "ä".repeat(20_000) },
  });
  tracer.logStepStart({ id: "open at the end" });
}

/** Values that JSON represents and attributes do not, at every place where a caller may put one. */
export function hostile(tracer: SessionTracer): void {
  tracer.logUserMessage("hostile values");
  tracer.logStepStart({ id: "hostile" });
  hostileValues.forEach((value, index) => {
    tracer.logToolCall({
      tool: `input ${index}`,
      callID: `input ${index}`,
      state: { status: "completed", input: value, output: value },
    });
    tracer.setSpanAttributes({ value, nested: { value }, list: [value, value] }, "tool");
    tracer.logSpan({
      name: `span ${index}`,
      startTime: 1,
      endTime: 2,
      input: value,
      output: value,
      attributes: { value },
    });
  });
  tracer.logToolCall({ tool: "keys", callID: "keys", state: { status: "completed" } });
  tracer.setSpanAttributes(keysOfOurs, "tool");
  tracer.logToolCall({ tool: "many", callID: "many", state: { status: "completed", input: 1, output: "o" } });
  tracer.setSpanAttributes(manyAttributes(300), "tool");
  tracer.setSpanAttributes(keysOfOurs, "generation");
  tracer.logSpan({ name: "keys", startTime: 1, endTime: 2, attributes: keysOfOurs });
  tracer.logStepFinish({
    id: "hostile",
    reason: "stop",
    cost: -1,
    tokens: { input: -5, output: -1, cache: { read: 3 } },
  });
  tracer.logStepStart({ id: "huge" });
  const cost = 1e300;
  tracer.logStepFinish({
    id: "huge",
    cost,
    tokens: { input: 0.1, output: 1e300, reasoning: 0.3, cache: { read: 0.2 } },
  });
  // A sum of them is no number.
  tracer.logStepStart({ id: "beyond" });
  tracer.logStepFinish({
    id: "beyond",
    cost,
    tokens: { input: -1e308, output: 1e308, reasoning: 1e308, cache: { write: -1e308 } },
  });
  for (const text of strangeTexts) strange(tracer, text);
  for (const [start, end] of strangeTimes) {
    tracer.logToolCall({
      tool: "time",
      callID: `${start} ${end}`,
      state: { status: "completed", ...at(start, end) },
    });
    tracer.logToolCall({ tool: "time", state: { status: "error", error: "e", ...at(start, end) } });
    tracer.logSpan({ name: "time", startTime: start, endTime: end });
  }
  tracer.logSpan({ name: "failed", startTime: 1, endTime: 2, status: "error" });
  tracer.logToolCall({ tool: "failed", state: { status: "error", error: "" } });
}

function strange(tracer: SessionTracer, text: string): void {
  tracer.logUserMessage(text);
  tracer.logStepStart({ id: text, messageID: text });
  tracer.logToolCall({ tool: text, callID: text, state: { status: "completed", input: text, output: text } });
  tracer.setSpanAttributes({ text, list: [text, "x"] }, "tool");
  tracer.logToolCall({ tool: text, state: { status: "error", input: { [text]: text }, error: text } });
  tracer.logSpan({ name: text, startTime: 1, endTime: 2, input: text, output: { text } });
  tracer.logText({ text });
  tracer.logStepFinish({ id: text, reason: text, cost: 0, tokens });
}

/** What other instrumentation does in and to the spans of a session. */
export function mixed(tracer: SessionTracer, foreign: Tracer): void {
  const start = (name: string) => foreign.startSpan(name, { attributes: { "http.method": "GET" } });
  tracer.logUserMessage("mixed");
  tracer.withContext(() => start("under the turn").end());
  tracer.logStepStart({ id: "mixed" });
  tracer.withContext(() => {
    trace.getActiveSpan()?.setAttribute("gen_ai.response.id", "resp-1").addEvent("first token", { n: 1 });
    // Errors of other code: the generation continues, and ends normally.
    trace.getActiveSpan()?.setAttribute("error.type", "timeout").setStatus({ code: 2, message: "slow" });
    start("under the generation").end();
  });
  tracer.logToolCall({ tool: "fetch", callID: "f", state: { status: "running", input: { url: "u" } } });
  tracer.withContext(() => {
    trace.getActiveSpan()?.setAttributes({ "http.status": 503, "user.id": "somebody" });
    trace.getActiveSpan()?.recordException(new TypeError("no route"));
    const span = start("under the tool");
    span.addLink({ context: span.spanContext(), attributes: { why: "itself" } });
    span.end();
  });
  tracer.logToolCall({ tool: "fetch", callID: "f", state: { status: "error", error: "no route" } });
  tracer.setSpanAttributes({ late: true }, "tool");
  tracer.logStepFinish({ id: "mixed", reason: "stop" });
}
