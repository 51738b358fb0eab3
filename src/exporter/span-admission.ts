/**
 * Decides whether a span is recorded, in which session, and as which span of a document.
 *
 * Reading a span runs code of the host: the `sessionId` option, getters, the redactor. That code may record spans (this
 * span included), end the session, and end the exporter. So the decision is made after the reading, and no code of the
 * host runs between the decision and the write.
 */
import type { Context } from "@opentelemetry/api";
import type { DirectoryUser, SharedSession } from "../directory/shared-directory.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { millis } from "../otel/time.js";
import type { ReadableSpan } from "../otel/types.js";
import { tryOr } from "../platform/errors.js";
import type { SessionStart } from "../storage/session-state.js";
import type { ContentFilter } from "./content-filter.js";
import type { LossReason } from "./fault-log.js";
import { type SessionIdOption, SessionRouter } from "./session-router.js";
import { type ConvertedSpan, SpanConverter } from "./to-trace-span.js";

/** Nesting of readings: a redactor that records a span for each value would recurse without end. */
const maxReadings = 3;

/** A span of a document, and the session that records it. */
export interface AdmittedSpan extends ConvertedSpan {
  readonly session: SharedSession;
}

/** The admission of one exporter. */
export class SpanAdmission {
  readonly #directory: DirectoryUser;
  readonly #router: SessionRouter;
  readonly #converter: SpanConverter;
  readonly #isOpen: () => boolean;
  /** Readings that are under way, one inside the other. */
  #readings = 0;

  /** `isOpen`: whether the exporter accepts spans. */
  constructor(
    directory: DirectoryUser,
    sessionId: SessionIdOption | undefined,
    filter: ContentFilter,
    isOpen: () => boolean,
  ) {
    this.#directory = directory;
    this.#router = new SessionRouter(sessionId);
    this.#converter = new SpanConverter(filter);
    this.#isOpen = isOpen;
  }

  /** Remembers the session that a span names for its trace, before any span of the batch is admitted. */
  learn(span: ReadableSpan): void {
    this.#router.learn(span);
  }

  /** The span in its present state with its session; or why it is lost; or that it was recorded before. */
  admit(span: ReadableSpan, startedIn?: Context): AdmittedSpan | LossReason | "recorded" {
    const directory = this.#directory;
    if (!this.#isOpen()) return "stopped";
    const known = directory.knownEnd(span);
    if (known) return known;
    if (this.#readings >= maxReadings) return "nested";
    let opened: SessionStart;
    let session: SharedSession;
    let read: ConvertedSpan;
    this.#readings++;
    try {
      opened = this.#sessionOf(span);
      if (!this.#isOpen()) return "stopped";
      const admitted = directory.admit(opened);
      if (typeof admitted === "string") return admitted;
      session = admitted;
      read = this.#converter.convert(span, session.rootSpanId, startedIn);
    } finally {
      this.#readings--;
    }
    if (!this.#isOpen()) return "stopped";
    const endedMeanwhile = directory.knownEnd(span);
    if (endedMeanwhile) return endedMeanwhile;
    const admitted = session.isOpen() ? session : directory.admit(opened);
    return typeof admitted === "string"
      ? admitted
      : { session: admitted, span: read.span, metadata: addedMetadata(read, admitted) };
  }

  /** The later state of an admitted span; absent for a turn. */
  read(span: ReadableSpan, { session }: AdmittedSpan, startedIn: Context | undefined): TraceSpan | undefined {
    return this.#converter.convert(span, session.rootSpanId, startedIn).span;
  }

  /** No session records this span: its children become children of the session span. */
  leaveOut(span: ReadableSpan): void {
    this.#converter.leaveOut(span);
  }

  #sessionOf(span: ReadableSpan): SessionStart {
    return {
      id: this.#router.route(span),
      traceId: span.spanContext().traceId,
      startTime: tryOr(() => millis(span.startTime), Date.now()),
    };
  }
}

/**
 * What a span adds to the metadata of its session. The prompt of a session is that of its first root: the input of a later
 * root is the message of a later turn. A turn of a session tracer carries the prompt of its session, and no span.
 */
function addedMetadata({ span, metadata }: ConvertedSpan, session: SharedSession): Partial<SessionMetadata> {
  if (span === undefined || metadata.prompt === undefined || session.metadata().prompt === undefined)
    return metadata;
  const { prompt: _later, ...added } = metadata;
  return added;
}
