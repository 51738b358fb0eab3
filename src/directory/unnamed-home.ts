/**
 * A trace whose session is not known yet, as an exporter records spans in it.
 */

import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import type { SpanHome } from "./shared-directory.js";
import type { UnnamedTrace } from "./unnamed-trace.js";
import type { UnnamedTraces } from "./unnamed-traces.js";

/** A trace whose session is not known yet. */
export class UnnamedHome implements SpanHome {
  readonly id = undefined;
  readonly rootSpanId = null;
  readonly #unnamed: UnnamedTraces;
  readonly #trace: UnnamedTrace;

  constructor(unnamed: UnnamedTraces, trace: UnnamedTrace) {
    this.#unnamed = unnamed;
    this.#trace = trace;
  }

  isOpen(): boolean {
    return true;
  }

  metadata(): Partial<SessionMetadata> {
    return this.#trace.metadata;
  }

  recordStart(
    source: object,
    span: TraceSpan,
    read: () => TraceSpan,
    metadata: Partial<SessionMetadata>,
    sessionOf: () => string | undefined,
  ): "recorded" | "full" {
    this.#unnamed.learn(this.#trace, metadata);
    return this.#unnamed.recordStart(this.#trace, { source, span, read, sessionOf });
  }

  recordEnd(source: object, span: TraceSpan, metadata: Partial<SessionMetadata>): "recorded" | "full" {
    this.#unnamed.learn(this.#trace, metadata);
    return this.#unnamed.recordEnd(this.#trace, source, span);
  }

  learn(metadata: Partial<SessionMetadata>): void {
    this.#unnamed.learn(this.#trace, metadata);
  }

  /** A provisional span that names its session has moved already. */
  moveOut<T>(_span: unknown, _to: string, record: () => T): T {
    return record();
  }
}
