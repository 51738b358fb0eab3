/**
 * The user's redactor, applied to every field of a record before it is serialised for any file.
 */
import type { SessionFacts } from "./session-recorder.js";
import type { SessionMetadata, TraceSpan } from "./trace-file.js";

/**
 * Gets each value that can hold content, and returns what may be written in its place. `field` is its place in
 * the record: `name`, `statusMessage`, `input`, `output`, `attributes.<key>`, `metadata.<key>`. Values may be
 * structured. Must not change what it is given. If it throws, the field becomes `[redaction failed]`.
 */
export type Redact = (value: unknown, field: string) => unknown;

const failed = "[redaction failed]";

function apply(redact: Redact, value: unknown, field: string): unknown {
  try {
    return redact(value, field);
  } catch {
    return failed;
  }
}

const asText = (value: unknown): string => (typeof value === "string" ? value : failed);

/** A copy of the span with its content redacted. */
export function redactSpan(redact: Redact, span: TraceSpan): TraceSpan {
  const copy: TraceSpan = { ...span, name: asText(apply(redact, span.name, "name")) };
  if (span.statusMessage !== undefined) {
    copy.statusMessage = asText(apply(redact, span.statusMessage, "statusMessage"));
  }
  if (span.input !== undefined) copy.input = apply(redact, span.input, "input");
  if (span.output !== undefined) copy.output = apply(redact, span.output, "output");
  if (span.attributes) copy.attributes = redactEntries(redact, span.attributes, "attributes");
  return copy;
}

/** A copy of what is known of a session as a whole, redacted as its session span and metadata are. */
export function redactFacts(redact: Redact, facts: SessionFacts): SessionFacts {
  const { name, input, attributes, metadata } = facts;
  return {
    ...(name !== undefined && { name: asText(apply(redact, name, "name")) }),
    ...(input !== undefined && { input: apply(redact, input, "input") }),
    ...(attributes && { attributes: redactEntries(redact, attributes, "attributes") }),
    ...(metadata && { metadata: redactMetadata(redact, metadata) }),
  };
}

/** A copy of the metadata, redacted. */
export const redactMetadata = (
  redact: Redact,
  metadata: Partial<SessionMetadata>,
): Partial<SessionMetadata> => redactEntries(redact, metadata as Record<string, unknown>, "metadata");

function redactEntries(
  redact: Redact,
  from: Readonly<Record<string, unknown>>,
  at: string,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(from).map(([key, value]) => [key, apply(redact, value, `${at}.${key}`)]),
  );
}
