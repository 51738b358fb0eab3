/**
 * What a dialect sees of a span: its attributes, and the fields to read them into.
 *
 * An attribute that becomes a field leaves the attributes; one that cannot (wrong type, or it contradicts
 * what an earlier dialect said) stays. So nothing is lost and nothing is written twice, whichever dialects
 * overlap on a span.
 */

import { setOwn } from "../format/json-value.js";
import type { SpanKind, TokenUsage } from "../format/trace-file.js";
import { decode, type Encoding, unflatten } from "./content.js";

/** A vocabulary of attributes that some instrumentation writes. */
export interface Dialect {
  readonly name: string;
  /** Asked for every span, so keep it to a few lookups. */
  matches(view: SpanView): boolean;
  /** Moves attributes into fields. Of several dialects on one span the first to fill a field wins. */
  read(view: SpanView): void;
}

/** Everything a dialect can say about a span. Token counts are as the GenAI conventions count them. */
export interface SpanFields {
  /** Never `session`: only the tracer that owns the session makes that span. */
  kind?: Exclude<SpanKind, "session">;
  /** Whether a session tracer recorded an error; the status may be somebody else's. */
  isError?: boolean;
  /** Of an error, where its status cannot have it. */
  statusMessage?: string;
  /** As the document has them, where the counts do not give them back. */
  tokens?: TokenUsage;
  /** Of the span in the document, where its OpenTelemetry name is another. */
  name?: string;
  /** Epoch milliseconds, where the span's own times could not be those. */
  startTime?: number;
  endTime?: number;
  toolName?: string;
  toolCallId?: string;
  toolDurationMs?: number;
  interrupted?: true;
  modelId?: string;
  /** The model that was asked for; a dated version of it may have answered. */
  requestedModel?: string;
  providerId?: string;
  variant?: string;
  finishReason?: string;
  cost?: number;
  /** With cached tokens. */
  inputTokens?: number;
  /** With reasoning tokens. */
  outputTokens?: number;
  cacheReadTokens?: number;
  cacheWriteTokens?: number;
  reasoningTokens?: number;
  input?: unknown;
  output?: unknown;
  agent?: string;
  userId?: string;
  title?: string;
  tags?: string[];
  prompt?: string;
  owuiModel?: string;
  /** The root of a turn: what hangs under it hangs under the session, and it is no span of the document. */
  isTurn?: true;
  /** Stands directly under a turn. */
  isTopLevel?: true;
  /** `conversation`: the span's input may hold the user's words, and its model is the session's. */
  role?: "conversation";
}

type TextField =
  | "name"
  | "prompt"
  | "owuiModel"
  | "toolName"
  | "toolCallId"
  | "modelId"
  | "requestedModel"
  | "providerId"
  | "variant"
  | "finishReason"
  | "agent"
  | "userId"
  | "title";
type NumberField =
  | "startTime"
  | "endTime"
  | "toolDurationMs"
  | "cost"
  | "inputTokens"
  | "outputTokens"
  | "cacheReadTokens"
  | "cacheWriteTokens"
  | "reasoningTokens";
type ContentField = "input" | "output";

/** One span's attributes while they are being read. */
export class SpanView {
  readonly fields: SpanFields = {};
  /** Keys that repeat a token count of the document, and which one. */
  readonly restated: [key: string, part: keyof TokenUsage][] = [];
  /** The attributes that no field has taken. */
  readonly attributes: Map<string, unknown>;
  /** Keys of attributes that were JSON text: plain values, however deep. */
  readonly parsed = new Set<string>();
  /** The instrumentation scope's name. */
  readonly scope: string;

  constructor(attributes: Map<string, unknown>, scope: string) {
    this.attributes = attributes;
    this.scope = scope;
  }

  has(key: string): boolean {
    return this.attributes.has(key);
  }

  /** The text under the key, which stays an attribute. */
  text(key: string): string | undefined {
    const value = this.attributes.get(key);
    return typeof value === "string" && value !== "" ? value : undefined;
  }

  /** Copies the first text among the keys into the field: the session wants it, the span keeps it. */
  hint(field: TextField, ...keys: string[]): void {
    for (const key of keys) {
      const value = this.text(key);
      if (value !== undefined) this.fields[field] ??= value;
    }
  }

  /** Moves the first text among the keys into the field; those that say the same go with it. */
  takeText(field: TextField, ...keys: string[]): void {
    for (const key of keys) {
      const value = this.text(key);
      if (value === undefined) continue;
      this.fields[field] ??= value;
      if (this.fields[field] === value) this.attributes.delete(key);
    }
  }

  /** Like {@link takeText} for the first element of a list; further elements keep the list where it is. */
  takeFirstText(field: TextField, key: string): void {
    const list = this.attributes.get(key);
    if (!Array.isArray(list) || typeof list[0] !== "string") {
      this.takeText(field, key);
      return;
    }
    this.fields[field] ??= list[0];
    if (list.length === 1 && this.fields[field] === list[0]) this.attributes.delete(key);
  }

  /** Like {@link takeText} for numbers; one that is not finite counts 0. */
  takeNumber(field: NumberField, ...keys: string[]): void {
    for (const key of keys) {
      const value = this.attributes.get(key);
      if (typeof value !== "number" && typeof value !== "bigint") continue;
      const number = Number.isFinite(Number(value)) ? Number(value) : 0;
      this.fields[field] ??= number;
      if (this.fields[field] === number) this.attributes.delete(key);
    }
  }

  /** Says that the key repeats a part of `tokens`; it is dropped if it does, and stays if it differs. */
  restates(part: keyof TokenUsage, ...keys: string[]): void {
    for (const key of keys) if (this.has(key)) this.restated.push([key, part]);
  }

  /** Moves the first content among the keys into the field, unless that is filled. */
  takeContent(field: ContentField, encoding: Encoding, ...keys: string[]): void {
    for (const key of keys) {
      if (this.fields[field] !== undefined || !this.has(key)) continue;
      this.fields[field] = decode(this.attributes.get(key), encoding);
      this.attributes.delete(key);
    }
  }

  /** Moves several attributes into one object under the names given, unless the field is filled. */
  takeMembers(
    field: ContentField,
    members: Record<string, readonly [key: string, encoding: Encoding]>,
  ): void {
    if (this.fields[field] !== undefined) return;
    const content: Record<string, unknown> = {};
    for (const [name, [key, encoding]] of Object.entries(members)) {
      if (!this.has(key)) continue;
      setOwn(content, name, decode(this.attributes.get(key), encoding));
      this.attributes.delete(key);
    }
    this.fields[field] = content;
  }

  /** Moves `<prefix>.<n>.<path>` attributes into the field as one array, unless that is filled. */
  takeFlattened(field: ContentField, prefix: string): void {
    if (this.fields[field] !== undefined) return;
    const list = unflatten(this.attributes, `${prefix}.`);
    if (list.length > 0) this.fields[field] = list;
  }
}
