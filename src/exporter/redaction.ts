/**
 * The user's redactor, applied to every field of a record before it is serialised for any file.
 */
import { inertJson } from "../format/json-value.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import type { SessionFacts } from "./session-recorder.js";

/**
 * Gets each value that can hold content, and returns what may be written in its place. `field` is its place in
 * the record: `name`, `statusMessage`, `input`, `output`, `attributes.<key>`, `metadata.<key>`, `model.<key>`,
 * `finishReason`, `tool.callId`; `summary.error` for why a session ended. Values may be structured. It is not given
 * ids, times, numbers, keys, and the session's id, which names the file.
 *
 * Synchronous, and must not change what it is given. What it answers is read once, as JSON. If it throws, or answers with a promise, or with no text where
 * the document has one, the field becomes `[redaction failed]`.
 */
export type Redact = (value: unknown, field: string) => unknown;

const failed = "[redaction failed]";

function apply(redact: Redact, value: unknown, field: string): unknown {
  try {
    const shown = redact(value, field);
    if (!(shown instanceof Promise)) return inertJson(shown);
    // Nobody else looks after it, and one that rejects would end the process.
    shown.catch(() => {});
  } catch {
    // As below.
  }
  return failed;
}

/** @internal A text of the document, redacted. */
export function redactText(redact: Redact, text: string, field: string): string {
  const shown = apply(redact, text, field);
  return typeof shown === "string" ? shown : failed;
}

/** @internal A copy of the span with its content redacted; its members stand in the same order. */
export function redactSpan(redact: Redact, span: TraceSpan): TraceSpan {
  const { statusMessage, model, finishReason, tool, input, output, attributes } = span;
  const copy: TraceSpan = { ...span, name: redactText(redact, span.name, "name") };
  if (statusMessage !== undefined) copy.statusMessage = redactText(redact, statusMessage, "statusMessage");
  if (model) {
    copy.model = { ...model };
    for (const key of ["modelId", "providerId", "variant"] as const) {
      const text = model[key];
      if (text !== undefined) copy.model[key] = redactText(redact, text, `model.${key}`);
    }
  }
  if (finishReason !== undefined) copy.finishReason = redactText(redact, finishReason, "finishReason");
  if (tool?.callId !== undefined)
    copy.tool = { ...tool, callId: redactText(redact, tool.callId, "tool.callId") };
  if (input !== undefined) copy.input = apply(redact, input, "input");
  if (output !== undefined) copy.output = apply(redact, output, "output");
  if (attributes) copy.attributes = redactEntries(redact, attributes, "attributes");
  return copy;
}

/** @internal A copy of what is known of a session as a whole, redacted as its session span and metadata are. */
export function redactFacts(redact: Redact, facts: SessionFacts): SessionFacts {
  const { name, input, attributes, metadata } = facts;
  return {
    ...(name !== undefined && { name: redactText(redact, name, "name") }),
    ...(input !== undefined && { input: apply(redact, input, "input") }),
    ...(attributes && { attributes: redactEntries(redact, attributes, "attributes") }),
    ...(metadata && { metadata: redactMetadata(redact, metadata) }),
  };
}

/** @internal A copy of the metadata, redacted. */
export const redactMetadata = (
  redact: Redact,
  metadata: Partial<SessionMetadata>,
): Partial<SessionMetadata> => redactEntries(redact, metadata as Record<string, unknown>, "metadata");

function redactEntries(
  redact: Redact,
  from: Readonly<Record<string, unknown>>,
  at: "attributes" | "metadata",
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(from).map(([key, value]) => {
      const field = `${at}.${key}`;
      if (at === "metadata" && typeof value === "string") return [key, redactText(redact, value, field)];
      const shown = apply(redact, value, field);
      // Tags stay a list, for those who read them.
      return [key, at === "metadata" && Array.isArray(value) && !Array.isArray(shown) ? [failed] : shown];
    }),
  );
}
