/** One turn of an agent, as spans of the SDK. */
import { ROOT_CONTEXT, SpanStatusCode, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import type { Actor } from "./session-stage.js";

/** A turn of an agent: a generation with a cost, and tools of several names. Returns its trace id. */
export function agentTurn({ processor }: Actor, id: string, number: number): string {
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("agent");
  const start = (name: string, attributes: Record<string, string | number>, parent = ROOT_CONTEXT) =>
    tracer.startSpan(
      name,
      { attributes: { "session.id": id, ...attributes }, startTime: [1_700_000_000 + number, 0] },
      parent,
    );
  const generation = start("chat m", {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "m",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.usage.input_tokens": 100 + number,
    "gen_ai.usage.output_tokens": 10,
    "crash_safe_file.cost": 0.25,
    "crash_safe_file.title": "A title",
    "user.id": "u1",
  });
  for (let i = 0; i < 3 + number; i++) {
    const name = ["ls", "grep", "cat"][i % 3] as string;
    const attributes = { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name };
    start(`execute_tool ${name}`, attributes, trace.setSpan(ROOT_CONTEXT, generation)).end([
      1_700_000_001 + number,
      0,
    ]);
  }
  generation.setStatus({ code: SpanStatusCode.OK }).end([1_700_000_002 + number, 0]);
  return generation.spanContext().traceId;
}
