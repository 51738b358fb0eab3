/**
 * What all content passes on its way to a file: the host's redactor first, then the limits of what is too long.
 */
import { inertJson } from "../format/json-value.js";
import type { SessionMetadata, SessionSummary, TraceFile, TraceSpan } from "../format/trace-file.js";
import { type Limits, limitSpan, limitValue } from "./limits.js";
import { type Redact, redactFacts, redactMetadata, redactSpan, redactText } from "./redaction.js";
import type { SessionFacts } from "./session-recorder.js";

/** One exporter's; each call returns what may be written, and leaves what it is given alone. */
export class ContentFilter {
  readonly #redact: Redact | undefined;
  readonly #limits: Limits;

  constructor(redact: Redact | undefined, limits: Limits) {
    this.#redact = redact;
    this.#limits = limits;
  }

  /** Redaction and limits; the same object where neither has anything to do. */
  span(span: TraceSpan): TraceSpan {
    return limitSpan(this.#limits, this.#redact ? redactSpan(this.#redact, span) : span);
  }

  /** A span that is put together of what has passed already. */
  assembled(span: TraceSpan): TraceSpan {
    return limitSpan(this.#limits, span);
  }

  facts(facts: SessionFacts): SessionFacts {
    return limitValue(
      this.#limits,
      this.#redact ? redactFacts(this.#redact, facts) : (inertJson(facts) as SessionFacts),
    );
  }

  metadata(metadata: Partial<SessionMetadata>): Partial<SessionMetadata> {
    return limitValue(this.#limits, this.#redact ? redactMetadata(this.#redact, metadata) : metadata);
  }

  /** Why a session ended, as its summary says it. */
  error(message: string): string {
    return limitValue(
      this.#limits,
      this.#redact ? redactText(this.#redact, message, "summary.error") : message,
    );
  }

  /** A whole document of somebody else's. */
  document(trace: TraceFile): TraceFile {
    return {
      ...trace,
      spans: trace.spans.map((span) => this.span(span)),
      metadata: this.metadata(trace.metadata ?? {}),
      summary: this.#redact ? this.#summary(this.#redact, trace.summary) : trace.summary,
    };
  }

  #summary(redact: Redact, summary: SessionSummary): SessionSummary {
    const text = (value: string, field: string) => redactText(redact, value, `summary.${field}`);
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
