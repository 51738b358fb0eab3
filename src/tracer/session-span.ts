/**
 * One span of a session: the exact record, and the OpenTelemetry span that carries it.
 */
import {
  type Attributes,
  type Context,
  type Span,
  type SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import {
  ATTR_CRASH_SAFE_FILE_END_TIME,
  ATTR_CRASH_SAFE_FILE_START_TIME,
} from "../otel/semantic-conventions.js";
import type { HrTime } from "../otel/types.js";
import { type Attachment, attach, type SpanRecord, withAttachment } from "../projection/attached-record.js";
import { millis } from "../projection/read-span.js";
import { recordAttributes, setExactTime } from "../projection/to-attributes.js";

/** A span to be started, without its place. */
export interface SpanDraft {
  /** As OpenTelemetry has it. */
  readonly name: string;
  readonly kind: SpanKind;
  /** Told at once, to samplers and processors; the record's follow at the end. */
  readonly attributes: Attributes;
  readonly record: SpanRecord;
}

/** What a span starts with. */
export interface SpanOpening extends SpanDraft {
  readonly tracer: Tracer;
  /** Holds the parent, and the session. */
  readonly parent: Context;
}

export class SessionSpan {
  readonly #otel: Span;
  readonly #parent: Context;
  readonly #startTime: HrTime;
  /** The attributes that were set. */
  readonly #own: Attributes[];
  #record: SpanRecord;

  constructor({ tracer, parent, name, kind, attributes, record }: SpanOpening) {
    this.#record = record;
    this.#parent = parent;
    this.#startTime = hrTimeOf(record.startTime);
    this.#own = [attributes];
    const attachment: Attachment = { type: "span", read: () => this.#record, own: this.#own };
    const options = { kind, attributes, startTime: this.#startTime };
    this.#otel = tracer.startSpan(name, options, withAttachment(parent, attachment));
    // For processors that are told of its end only.
    attach(this.#otel, attachment);
  }

  get record(): SpanRecord {
    return this.#record;
  }

  get spanId(): string {
    return this.#otel.spanContext().spanId;
  }

  /** For what runs in it. */
  get context(): Context {
    return trace.setSpan(this.#parent, this.#otel);
  }

  /** Changes the record. The OpenTelemetry span gets what changed when it is committed. */
  change(changes: Partial<SpanRecord>): void {
    this.#record = { ...this.#record, ...changes };
  }

  /** Hands it to the processors, as ended at the time the record says. */
  commit(): void {
    const record = this.#record;
    const endTime = latest(this.#startTime, hrTimeOf(record.endTime ?? record.startTime));
    const times: Attributes = {};
    if (millis(this.#startTime) !== record.startTime)
      setExactTime(times, ATTR_CRASH_SAFE_FILE_START_TIME, record.startTime);
    if (record.endTime !== undefined && millis(endTime) !== record.endTime)
      setExactTime(times, ATTR_CRASH_SAFE_FILE_END_TIME, record.endTime);
    const attributes = recordAttributes(record, times);
    if (record.status === "error") {
      const { statusMessage } = record;
      this.#otel.setStatus({
        code: SpanStatusCode.ERROR,
        ...(statusMessage !== undefined && { message: statusMessage }),
      });
    }
    this.#own.push(attributes);
    this.#otel.setAttributes(attributes);
    this.#otel.end(endTime);
  }
}

/** The latest time that OTLP can carry: nanoseconds in 64 bits. */
const maxSeconds = 9_223_372_036;

/** Never a bare number: the SDK takes small ones for times of `performance.now()`. */
export function hrTimeOf(epochMillis: number): HrTime {
  const seconds = Math.floor(epochMillis / 1_000);
  if (!(seconds >= 0)) return [0, 0];
  if (seconds > maxSeconds) return [maxSeconds, 0];
  const nanos = Math.round((epochMillis - seconds * 1_000) * 1e6);
  return nanos >= 1e9 ? [seconds + 1, 0] : [seconds, nanos];
}

const latest = (a: HrTime, b: HrTime): HrTime => (a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]) ? a : b);
