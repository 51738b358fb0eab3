/**
 * What every content value passes before it is written to a file: first the redactor of the user, then the size limits.
 */
import { inertJson } from "../format/json-value.js";
import type { SessionMetadata, SessionSummary, TraceFile, TraceSpan } from "../format/trace-file.js";
import { type Limits, limitSpan, limitValue } from "./limits.js";
import type { SessionFacts } from "./session-store.js";

/**
 * Receives each value that can hold content, and returns what is written in its place. `field` names the place of the
 * value in the record: `name`, `statusMessage`, `input`, `output`, `attributes.<key>`, `metadata.<key>`, `model.<key>`,
 * `finishReason`, `tool.callId`, or `summary.error` for the reason why a session ended. Values may be structured. Ids,
 * times, numbers, keys and the id of the session, which names the file, are not passed.
 *
 * A redactor is synchronous and must not change the value that it receives. Its result is read once, as JSON. If the
 * redactor throws, returns a promise, or returns no text where the document has a text, the field becomes
 * `[redaction failed]`.
 */
export type Redact = (value: unknown, field: string) => unknown;

const failed = "[redaction failed]";

/** @internal The filter of one exporter. Methods return what may be written, and never change their argument. */
export class ContentFilter {
  readonly #redact: Redact | undefined;
  readonly #limits: Limits;

  constructor(redact: Redact | undefined, limits: Limits) {
    this.#redact = redact;
    this.#limits = limits;
  }

  /** The span redacted and within the limits; the same object where neither changes it. */
  span(span: TraceSpan): TraceSpan {
    return limitSpan(this.#limits, this.#redact ? redactSpan(this.#redact, span) : span);
  }

  /** The limits only: for a span whose parts were redacted one by one. */
  assembled(span: TraceSpan): TraceSpan {
    return limitSpan(this.#limits, span);
  }

  /** Name, input, attributes and metadata of a session as a whole. */
  facts(facts: SessionFacts): SessionFacts {
    return limitValue(
      this.#limits,
      this.#redact ? redactFacts(this.#redact, facts) : (inertJson(facts) as SessionFacts),
    );
  }

  metadata(metadata: Partial<SessionMetadata>): Partial<SessionMetadata> {
    return limitValue(this.#limits, this.#redact ? redactMetadata(this.#redact, metadata) : metadata);
  }

  /** The reason why a session ended, for its summary. */
  error(message: string): string {
    return limitValue(
      this.#limits,
      this.#redact ? redactedBy(this.#redact, message, "summary.error") : message,
    );
  }

  /** A whole document that was not assembled by this exporter. */
  document(trace: TraceFile): TraceFile {
    return {
      ...trace,
      spans: trace.spans.map((span) => this.span(span)),
      metadata: this.metadata(trace.metadata ?? {}),
      summary: this.#redact ? this.#summary(this.#redact, trace.summary) : trace.summary,
    };
  }

  #summary(redact: Redact, summary: SessionSummary): SessionSummary {
    const text = (value: string, field: string) => redactedBy(redact, value, `summary.${field}`);
    const { error, narrative, loops, topTools } = summary;
    return {
      ...summary,
      ...(error !== undefined && { error: this.error(error) }),
      ...(narrative !== undefined && { narrative: text(narrative, "narrative") }),
      ...(loops && {
        loops: loops.map((loop) => ({
          ...loop,
          tool: text(loop.tool, "loops"),
          description: text(loop.description, "loops"),
        })),
      }),
      ...(topTools && { topTools: topTools.map((tool) => ({ ...tool, name: text(tool.name, "topTools") })) }),
    };
  }
}

/** The redacted value as plain JSON. Never throws. */
function apply(redact: Redact, value: unknown, field: string): unknown {
  try {
    const shown = redact(value, field);
    if (!(shown instanceof Promise)) return inertJson(shown);
    // A rejection without a handler would end the process.
    shown.catch(() => {});
  } catch {
    // The value is replaced below, like that of a promise.
  }
  return failed;
}

function redactedBy(redact: Redact, text: string, field: string): string {
  const shown = apply(redact, text, field);
  return typeof shown === "string" ? shown : failed;
}

/** A copy of the span; its members keep their order. */
function redactSpan(redact: Redact, span: TraceSpan): TraceSpan {
  const { statusMessage, model, finishReason, tool, input, output, attributes } = span;
  const copy: TraceSpan = { ...span, name: redactedBy(redact, span.name, "name") };
  if (statusMessage !== undefined) copy.statusMessage = redactedBy(redact, statusMessage, "statusMessage");
  if (model) {
    copy.model = { ...model };
    for (const key of ["modelId", "providerId", "variant"] as const) {
      const text = model[key];
      if (text !== undefined) copy.model[key] = redactedBy(redact, text, `model.${key}`);
    }
  }
  if (finishReason !== undefined) copy.finishReason = redactedBy(redact, finishReason, "finishReason");
  if (tool?.callId !== undefined)
    copy.tool = { ...tool, callId: redactedBy(redact, tool.callId, "tool.callId") };
  if (input !== undefined) copy.input = apply(redact, input, "input");
  if (output !== undefined) copy.output = apply(redact, output, "output");
  if (attributes) copy.attributes = redactEntries(redact, attributes, "attributes");
  return copy;
}

/** A copy. Fields have the names that they have in the session span and in the metadata. */
function redactFacts(redact: Redact, facts: SessionFacts): SessionFacts {
  const { name, input, attributes, metadata } = facts;
  return {
    ...(name !== undefined && { name: redactedBy(redact, name, "name") }),
    ...(input !== undefined && { input: apply(redact, input, "input") }),
    ...(attributes && { attributes: redactEntries(redact, attributes, "attributes") }),
    ...(metadata && { metadata: redactMetadata(redact, metadata) }),
  };
}

const redactMetadata = (redact: Redact, metadata: Partial<SessionMetadata>): Partial<SessionMetadata> =>
  redactEntries(redact, metadata as Record<string, unknown>, "metadata");

function redactEntries(
  redact: Redact,
  from: Readonly<Record<string, unknown>>,
  at: "attributes" | "metadata",
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(from).map(([key, value]) => {
      const field = `${at}.${key}`;
      if (at === "metadata" && typeof value === "string") return [key, redactedBy(redact, value, field)];
      const shown = apply(redact, value, field);
      // Tags remain a list, because readers of documents expect one.
      return [key, at === "metadata" && Array.isArray(value) && !Array.isArray(shown) ? [failed] : shown];
    }),
  );
}
