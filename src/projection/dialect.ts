/**
 * What a dialect reads of a span: its attributes, and the fields to move them into.
 *
 * An attribute that becomes a field is removed from the attributes. An attribute that cannot become one stays: its type
 * is wrong, or its value contradicts an earlier dialect. So no value is lost and none is written twice, even if several
 * dialects match a span.
 */

import { finite, isRecord } from "../format/json-value.js";
import type { SpanKind, TokenUsage } from "../format/trace-file.js";
import type { ReadableSpan } from "../otel/types.js";
import { tryOr } from "../platform/errors.js";
import { decode, type Encoding, unflatten } from "./content.js";

/** A vocabulary of attributes that some instrumentation writes. `Fields`: the fields that the dialect may fill. */
export interface Dialect<Fields extends SharedFields = SpanFields> {
  readonly name: string;
  /** Called for every span, so it must be a few lookups. */
  matches(view: SpanView<Fields>): boolean;
  /** Moves attributes into fields. If several dialects match a span, the first to fill a field wins. */
  read(view: SpanView<Fields>): void;
}

/** Fields that every dialect may fill, the session tracer's included. */
export interface SharedFields {
  /** Never `session`: a document's session span is not a span of OpenTelemetry. */
  kind?: Exclude<SpanKind, "session">;
  /** The span failed, even if its OpenTelemetry status does not say so. */
  isError?: boolean;
  /** What went wrong; only for a span that failed. The OpenTelemetry status message by default. */
  statusMessage?: string;
  /** The span was ended by a crash, a recovery or a resume. */
  interrupted?: true;
  toolCallId?: string;
  /** The span's own duration by default. */
  toolDurationMs?: number;
  modelId?: string;
  providerId?: string;
  variant?: string;
  finishReason?: string;
  cost?: number;
  /** Cached tokens included, as the GenAI conventions count. */
  inputTokens?: number;
  /** Reasoning tokens included, as the GenAI conventions count. */
  outputTokens?: number;
  cacheReadTokens?: number;
  cacheWriteTokens?: number;
  reasoningTokens?: number;
  input?: unknown;
  output?: unknown;
  /** Of the session. */
  agent?: string;
  /** Of the session. */
  title?: string;
  /** Of the session. */
  tags?: string[];
}

/** The fields that a dialect may fill. `projectSpan` writes each of them: `test/projection/fields.test.ts`. */
export interface SpanFields extends SharedFields {
  /** The span's name in the document, if it is a tool call. */
  toolName?: string;
  /** The model that was requested; a dated version of it may have answered. */
  requestedModel?: string;
  /** Of the session. */
  userId?: string;
  /** `conversation`: the span's input may hold the user's words, and the span's model is the session's. */
  role?: "conversation";
}

/** The fields that only the session tracer's dialect may fill: the session tracer knows its spans exactly. */
export interface TracerFields extends SharedFields {
  /** The token counts of the document, where the counts of the conventions do not determine them. */
  tokens?: TokenUsage;
  /** The span's name in the document, where its OpenTelemetry name differs. */
  name?: string;
  /** Epoch milliseconds, where OpenTelemetry cannot represent the time. */
  startTime?: number;
  /** Epoch milliseconds, where OpenTelemetry cannot represent the time. */
  endTime?: number;
  /** Of the session. */
  prompt?: string;
  /** Of the session. */
  owuiModel?: string;
  /** The span is the root of a turn: it has no span in the document, and its children belong to the session span. */
  isTurn?: true;
  /** The span is a child of a turn. */
  isTopLevel?: true;
}

/** The names of the members of `Fields` that hold any value of type `Value`. */
type FieldOf<Fields, Value> = {
  [Name in keyof Fields]-?: NonNullable<Fields[Name]> extends Value
    ? Value extends NonNullable<Fields[Name]>
      ? Name
      : never
    : never;
}[keyof Fields];

type ContentField = "input" | "output";

/** One span's attributes while dialects read them. */
export class SpanView<Fields extends SharedFields = SpanFields> {
  readonly fields = {} as Fields;
  /** Keys that repeat a token count of the document, and the name of that count. */
  readonly restated: [key: string, part: keyof TokenUsage][] = [];
  /** The attributes that have not become fields. */
  readonly attributes: Map<string, unknown>;
  /** Keys of attributes whose values were parsed from JSON text: plain values, however deep. */
  readonly parsed = new Set<string>();
  /** The instrumentation scope's name. */
  readonly scope: string;
  /** Attributes of events that have become fields, by event. */
  readonly taken = new Map<object, Set<string>>();

  /** The span is a part of a call that another span records: a span of kind `span`, whose counts stay attributes. */
  readonly isPart: boolean;

  readonly #span: Pick<ReadableSpan, "name" | "events">;

  constructor(
    attributes: Map<string, unknown>,
    scope: string,
    span: Pick<ReadableSpan, "name" | "events">,
    isPart = false,
  ) {
    this.isPart = isPart;
    if (isPart) this.fields.kind = "span";
    this.attributes = attributes;
    this.scope = scope;
    this.#span = span;
  }

  /** The span's name; empty if it cannot be read. */
  get name(): string {
    return tryOr(() => String(this.#span.name), "");
  }

  /** The span's events; none if they cannot be read. */
  get events(): ReadableSpan["events"] {
    return tryOr(() => this.#span.events, []);
  }

  has(key: string): boolean {
    return this.attributes.has(key);
  }

  /** The text under the key, which stays an attribute. */
  text(key: string): string | undefined {
    const value = this.attributes.get(key);
    return typeof value === "string" && value !== "" ? value : undefined;
  }

  /** Copies the first text among the keys into the field; the attributes stay. */
  hint(field: FieldOf<Fields, string>, ...keys: string[]): void {
    for (const key of keys) {
      const value = this.text(key);
      if (value !== undefined) fill(this.fields, field, value);
    }
  }

  /** Moves the first text among the keys into the field, and removes the keys with an equal text. */
  takeText(field: FieldOf<Fields, string>, ...keys: string[]): void {
    for (const key of keys) {
      const value = this.text(key);
      if (value !== undefined && fill(this.fields, field, value)) this.attributes.delete(key);
    }
  }

  /** Like {@link takeText} for the first element of a list. A list of several elements stays an attribute, too. */
  takeFirstText(field: FieldOf<Fields, string>, key: string): void {
    const given = this.attributes.get(key);
    // Some SDKs cannot hold a list, and instrumentations write JSON text.
    const list = typeof given === "string" ? decode(given, "structure") : given;
    if (!Array.isArray(list) || typeof list[0] !== "string") {
      this.takeText(field, key);
      return;
    }
    if (fill(this.fields, field, list[0]) && list.length === 1) this.attributes.delete(key);
  }

  /** Like {@link takeText} for counts and costs. A negative number is none, and stays an attribute; one that is not finite is 0. */
  takeNumber(field: FieldOf<Fields, number>, ...keys: string[]): void {
    for (const key of this.isPart ? [] : keys) {
      const value = numberAt(this.attributes, key);
      if (value === undefined || value < 0) continue;
      if (fill(this.fields, field, finite(Number(value)))) this.attributes.delete(key);
    }
  }

  /** Like {@link takeNumber} for a number of a caller of the session tracer, which may be negative. */
  takeAnyNumber(field: FieldOf<Fields, number>, key: string): void {
    const value = numberAt(this.attributes, key);
    if (value !== undefined && fill(this.fields, field, finite(Number(value)))) this.attributes.delete(key);
  }

  /** Declares that the keys repeat a part of `tokens`. A key that does is removed; a key whose value differs stays. */
  restates(part: keyof TokenUsage, ...keys: string[]): void {
    for (const key of keys) if (this.has(key)) this.restated.push([key, part]);
  }

  /** Moves the first content among the keys into the field, unless the field is filled. */
  takeContent(field: ContentField, encoding: Encoding, ...keys: string[]): void {
    for (const key of keys) {
      if (this.fields[field] !== undefined || !this.has(key)) continue;
      this.fields[field] = decode(this.attributes.get(key), encoding);
      this.attributes.delete(key);
    }
  }

  /** The value of JSON text under the key; another value as it is. The attribute stays. */
  json(key: string): unknown {
    return decode(this.attributes.get(key), "json");
  }

  /** A copy of the JSON object under the key. What the caller does not move goes back with {@link keepMembers}. */
  members(key: string): Record<string, unknown> | undefined {
    const members = decode(this.attributes.get(key), "structure");
    return isRecord(members) ? { ...members } : undefined;
  }

  /** Sets the attribute to a JSON object of these members. Removes the attribute if there are none. */
  keepMembers(key: string, members: Readonly<Record<string, unknown>>): void {
    if (Object.keys(members).length === 0) this.attributes.delete(key);
    else this.attributes.set(key, JSON.stringify(members));
  }

  /** Moves `<prefix>.<n>.<path>` attributes into the field as one array, unless the field is filled. */
  takeFlattened(field: ContentField, prefix: string): void {
    if (this.fields[field] !== undefined) return;
    const list = unflatten(this.attributes, `${prefix}.`);
    if (list.length > 0) this.fields[field] = list;
  }
}

function numberAt(attributes: ReadonlyMap<string, unknown>, key: string): number | bigint | undefined {
  const value = attributes.get(key);
  return typeof value === "number" || typeof value === "bigint" ? value : undefined;
}

/** Fills a field unless it is filled. Returns whether it has this value now. */
function fill<Name extends PropertyKey>(
  fields: { [Key in Name]?: unknown },
  name: Name,
  value: unknown,
): boolean {
  fields[name] ??= value;
  return fields[name] === value;
}
