/** OTLP/JSON lines, decoded by the code that the official decoder is generated with. */
import root from "otlp-decoder/build/src/generated/root.js";

interface Message {
  verify(value: object): string | null;
  fromObject(value: object): object;
  encode(message: object): { finish(): Uint8Array };
  decode(bytes: Uint8Array): object;
  toObject(message: object, options: object): object;
}

export interface DecodedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status?: { readonly code?: number; readonly message?: string };
  readonly attributes?: readonly { readonly key: string; readonly value: object }[];
}

/** The spans of one line. Throws where a member has a wrong type or name. */
export function decodedSpans(line: string): DecodedSpan[] {
  const message = ["opentelemetry", "proto", "trace", "v1", "TracesData"].reduce<unknown>(
    (value, key) => (value as Record<string, unknown>)[key],
    root,
  ) as Message;
  // In OTLP's JSON ids are hex, where protobuf's own JSON has base64.
  const value = JSON.parse(line, (key, member) =>
    /^(trace|span|parentSpan)Id$/.test(key) && typeof member === "string"
      ? Buffer.from(member, "hex")
      : member,
  );
  const decoded = message.toObject(message.decode(message.encode(message.fromObject(value)).finish()), {
    longs: String,
  }) as { resourceSpans: { scopeSpans: { spans: DecodedSpan[] }[] }[] };
  const hex = (id: unknown) => Buffer.from((id as Uint8Array | undefined) ?? []).toString("hex");
  return decoded.resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        ...span,
        traceId: hex(span.traceId),
        spanId: hex(span.spanId),
        parentSpanId: hex(span.parentSpanId),
      })),
    ),
  );
}
