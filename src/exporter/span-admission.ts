/**
 * From a span of OpenTelemetry to a span of a document, and to the session that takes it.
 *
 * Reading a span runs code of the host: the `sessionId` option, getters, the redactor. That code may record spans (this
 * one included), end the session, and end the exporter. So what decides about the span is asked after the reading, and
 * no code of the host runs between the answer and the file.
 */
import type { Context } from "@opentelemetry/api";
import type { DirectoryUser, SessionOpened, SharedSession } from "../directory/shared-directory.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { millis } from "../otel/time.js";
import type { ReadableSpan } from "../otel/types.js";
import { tryOr } from "../platform/errors.js";
import type { ContentFilter } from "./content-filter.js";
import type { LossReason } from "./fault-log.js";
import { type SessionIdOption, SessionRouter } from "./session-router.js";
import { type ConvertedSpan, SpanConverter } from "./to-trace-span.js";

/** Readings, one within the other: a redactor that records a span for each value would never come to an end. */
const maxReadings = 3;

/** A span as its document has it, and the session that takes it. */
export interface AdmittedSpan extends ConvertedSpan {
  readonly session: SharedSession;
}

/** An exporter's. */
export class SpanAdmission {
  readonly #directory: DirectoryUser;
  readonly #router: SessionRouter;
  readonly #converter: SpanConverter;
  readonly #isOpen: () => boolean;
  /** Spans that are being read. */
  #readings = 0;

  /** `isOpen`: whether the exporter takes spans. */
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

  /** Learns which session the span's trace belongs to, before any span of a batch is admitted. */
  learn(span: ReadableSpan): void {
    this.#router.learn(span);
  }

  /** The span as it is now, and its session; why it is lost; or that it is recorded already. */
  admit(span: ReadableSpan, startedIn?: Context): AdmittedSpan | LossReason | "recorded" {
    const directory = this.#directory;
    if (!this.#isOpen()) return "stopped";
    const known = directory.knownEnd(span);
    if (known) return known;
    if (this.#readings >= maxReadings) return "nested";
    let opened: SessionOpened;
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
    const fate = directory.knownEnd(span);
    if (fate) return fate;
    const admitted = session.isOpen() ? session : directory.admit(opened);
    return typeof admitted === "string"
      ? admitted
      : { session: admitted, span: read.span, metadata: addedMetadata(read, admitted) };
  }

  /** An admitted span as it is at a later time; absent for a turn. */
  read(span: ReadableSpan, { session }: AdmittedSpan, startedIn: Context | undefined): TraceSpan | undefined {
    return this.#converter.convert(span, session.rootSpanId, startedIn).span;
  }

  /** A span starts, and no session takes it: what hangs under it hangs under the session. */
  leaveOut(span: ReadableSpan): void {
    this.#converter.leaveOut(span);
  }

  #sessionOf(span: ReadableSpan): SessionOpened {
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
