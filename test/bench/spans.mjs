/** The spans of all workloads: real spans of the SDK, equal for every contender. */
import { trace as api, ROOT_CONTEXT } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";

const words = "the agent reads a file, thinks about it, and writes down what it found; ";

/** Text of a length, different for each number, so that no cache or compression helps. Flat in memory. */
export function text(bytes, number) {
  const repeated = `${number} ${words.repeat(Math.ceil(bytes / words.length))}`;
  return Buffer.from(repeated.slice(0, bytes), "latin1").toString("latin1");
}

const toolCall = {
  name: "execute_tool",
  start: (number) => ({
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": ["bash", "read", "grep", "edit"][number % 4],
    "gen_ai.tool.type": "function",
    "gen_ai.tool.call.id": `call_${number}`,
    "gen_ai.tool.call.arguments": JSON.stringify({ path: `src/file-${number}.ts`, note: text(300, number) }),
    "agent.step": number,
    "agent.retry": false,
    "agent.workspace": "/workspace/project",
  }),
  end: (number) => ({ "gen_ai.tool.call.result": text(4_300, number) }),
};

const generation = {
  name: "chat large",
  start: (number) => ({
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "acme",
    "gen_ai.request.model": "large",
    "gen_ai.input.messages": JSON.stringify([
      { role: "user", parts: [{ type: "text", content: text(2_000, number) }] },
    ]),
  }),
  end: (number) => ({
    "gen_ai.response.model": "large-1",
    "gen_ai.response.finish_reasons": ["tool_calls"],
    "gen_ai.usage.input_tokens": 4_000 + (number % 100),
    "gen_ai.usage.output_tokens": 300,
    "gen_ai.output.messages": JSON.stringify([
      { role: "assistant", parts: [{ type: "text", content: text(2_000, number) }] },
    ]),
  }),
};

const small = {
  name: "step",
  start: (number) => ({ "agent.step": number }),
  end: () => ({ "agent.ok": true }),
};

const huge = {
  name: "execute_tool",
  start: toolCall.start,
  end: (number) => ({ "gen_ai.tool.call.result": text(1_000_000, number) }),
};

/** The shape of the n-th span. An agent's turn is one generation and the eight tool calls that it requested. */
const shapes = {
  agent: (number) => (number % 9 === 0 ? generation : toolCall),
  tools: () => toolCall,
  small: () => small,
  huge: () => huge,
};

export class SpanMaker {
  #tracer = new BasicTracerProvider().getTracer("bench");
  #shapeOf;
  #sessionOf;
  #parents = new Map();

  /** @param sessions ids, used in turns */
  constructor(shape, sessions) {
    this.#shapeOf = shapes[shape];
    this.#sessionOf = (number) => sessions[number % sessions.length];
  }

  /** A started span with its first attributes. */
  start(number) {
    const { name, start } = this.#shapeOf(number);
    const sessionId = this.#sessionOf(number);
    const attributes = { "session.id": sessionId, ...start(number) };
    const span = this.#tracer.startSpan(name, { attributes }, this.#parents.get(sessionId) ?? ROOT_CONTEXT);
    // The first span of a session is the parent of all later ones: one trace each.
    if (!this.#parents.has(sessionId)) this.#parents.set(sessionId, api.setSpan(ROOT_CONTEXT, span));
    return span;
  }

  end(span, number) {
    span.setAttributes(this.#shapeOf(number).end(number)).end();
    return span;
  }

  /** A span that has ended before any processor got it. */
  ended(number) {
    return this.end(this.start(number), number);
  }
}
