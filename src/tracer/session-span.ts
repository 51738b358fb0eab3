/** One span of a session: the exact record, and the OpenTelemetry span that carries the record. */
import {
  type Attributes,
  type Context,
  type Span,
  type SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { mergeOwn } from "../format/json-value.js";
import {
  ATTR_CRASH_SAFE_FILE_END_TIME,
  ATTR_CRASH_SAFE_FILE_START_TIME,
} from "../otel/semantic-conventions.js";
import { hrTimeOf, laterOf, millis } from "../otel/time.js";
import type { HrTime } from "../otel/types.js";
import { type Attachment, attach, type ExactSpan, withAttachment } from "../projection/exact-span.js";
import { exactAttributes, setExactTime } from "../projection/to-attributes.js";
import type { SpanStarter } from "./input-types.js";

/** A span that is not started yet, without its parent. */
export interface SpanDraft {
  /** The name of the OpenTelemetry span. */
  readonly name: string;
  readonly kind: SpanKind;
  /** Attributes at the start, for samplers and processors. Those of the record are set at the end. */
  readonly attributes: Attributes;
  readonly record: ExactSpan;
}

/** What a span starts with. */
export interface SpanOpening extends SpanDraft {
  readonly tracer: SpanStarter;
  /** Holds the parent span and the session's id. */
  readonly parent: Context;
}

export class SessionSpan {
  /** The span that it was started in; absent directly under the turn. */
  readonly parent: SessionSpan | undefined;
  readonly #otel: Span;
  readonly #parent: Context;
  readonly #startTime: HrTime;
  /** The attributes that this class has set: other attributes on the span are from the host. */
  readonly #own: Attributes[];
  #record: ExactSpan;
  /** The attributes, which are copied when the record is read: the cost of a merge does not grow with them. */
  #attributes: Record<string, unknown> | undefined;
  #hasNewAttributes = false;

  constructor({ tracer, parent, name, kind, attributes, record }: SpanOpening, under?: SessionSpan) {
    this.parent = under;
    this.#record = record;
    this.#parent = parent;
    this.#startTime = hrTimeOf(record.startTime);
    this.#own = [attributes];
    const attachment: Attachment = { type: "span", read: () => this.record, own: this.#own };
    const options = { kind, attributes, startTime: this.#startTime };
    this.#otel = tracer.startSpan(name, options, withAttachment(parent, attachment));
    // For processors that get the span at its end only.
    attach(this.#otel, attachment);
  }

  get record(): ExactSpan {
    if (this.#hasNewAttributes) {
      this.#record = { ...this.#record, attributes: { ...this.#attributes } };
      this.#hasNewAttributes = false;
    }
    return this.#record;
  }

  get hasEnded(): boolean {
    return this.#record.endTime !== undefined;
  }

  get ids(): { readonly spanId: string; readonly traceId: string } {
    return this.#otel.spanContext();
  }

  /** The context for spans that start in this span. */
  get context(): Context {
    return trace.setSpan(this.#parent, this.#otel);
  }

  /** Changes the record, but not its attributes. The OpenTelemetry span gets the changes at {@link commit}. */
  change(changes: Omit<Partial<ExactSpan>, "attributes">): void {
    this.#record = { ...this.record, ...changes };
  }

  /** Merges attributes into those of the record. */
  merge(attributes: Readonly<Record<string, unknown>>): void {
    this.#attributes ??= { ...this.#record.attributes };
    mergeOwn(this.#attributes, attributes);
    this.#hasNewAttributes = true;
  }

  /** Ends the OpenTelemetry span at the record's end time, which hands the span to the processors. */
  commit(): void {
    const { record } = this;
    const endTime = laterOf(this.#startTime, hrTimeOf(record.endTime ?? record.startTime));
    const times: Attributes = {};
    if (millis(this.#startTime) !== record.startTime)
      setExactTime(times, ATTR_CRASH_SAFE_FILE_START_TIME, record.startTime);
    if (record.endTime !== undefined && millis(endTime) !== record.endTime)
      setExactTime(times, ATTR_CRASH_SAFE_FILE_END_TIME, record.endTime);
    const attributes = exactAttributes(record, times);
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
