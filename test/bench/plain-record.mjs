/**
 * A span as a plain object, with the members and about the bytes of a document's line, for contenders without a
 * format of their own.
 */
import { hrTimeToMilliseconds } from "@opentelemetry/core";

const own = new Set([
  "gen_ai.tool.name",
  "gen_ai.tool.call.id",
  "gen_ai.tool.call.arguments",
  "gen_ai.tool.call.result",
]);

export function plainRecord(span) {
  const { attributes, name, startTime, endTime, duration } = span;
  const durationMs = hrTimeToMilliseconds(duration);
  const rest = {};
  for (const key of Object.keys(attributes)) if (!own.has(key)) rest[key] = attributes[key];
  rest["otel.span_name"] = name;
  rest["otel.scope.name"] = span.instrumentationScope.name;
  const tool = attributes["gen_ai.tool.name"];
  const given = attributes["gen_ai.tool.call.arguments"];
  return {
    spanId: span.spanContext().spanId,
    parentSpanId: span.parentSpanContext?.spanId ?? "0000000000000000",
    name: tool ?? name,
    kind: tool ? "tool" : "generation",
    startTime: hrTimeToMilliseconds(startTime),
    endTime: hrTimeToMilliseconds(endTime),
    status: "ok",
    ...(tool && {
      tool: { callId: attributes["gen_ai.tool.call.id"], durationMs },
      input: JSON.parse(given),
      output: attributes["gen_ai.tool.call.result"],
    }),
    attributes: rest,
  };
}
