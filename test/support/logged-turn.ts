/** One turn of a session as agents log it: a question, a generation with a tool call in it, an answer. */
import type { SessionTracer } from "../../src/tracer/session-tracer.js";

/** Ends with its generation. The turn itself ends with the next question, or with its session. */
export function logTurn(tracer: SessionTracer, number: number): void {
  beginTurn(tracer, number);
  const tokens = { input: 3, output: 2, reasoning: 1, cache: { read: 4, write: 0 } };
  tracer.logStepFinish({ id: `step ${number}`, reason: "stop", cost: 0.5, tokens });
}

/** A turn without the end of its generation. */
export function beginTurn(tracer: SessionTracer, number: number): void {
  tracer.logUserMessage(`question ${number}`);
  tracer.logStepStart({ id: `step ${number}` });
  const state = { status: "completed", input: { number }, output: `output ${number}` };
  tracer.logToolCall({ tool: "look", callID: `call ${number}`, state });
  tracer.logText({ text: `answer ${number}` });
}
