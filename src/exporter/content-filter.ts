/**
 * What every content value passes before it is written to a file: first the redactor of the user, then the size limits.
 */
import { programContent } from "../format/cap.js";
import { isRecord, setOwn, unreadable } from "../format/json-value.js";
import { inertJson } from "../format/long-json.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { Diagnostics } from "../otel/diagnostics.js";
import { type Limits, limitSpan, limitValue } from "./limits.js";
import type { SessionFacts } from "./session-store.js";

/**
 * Receives each value that can hold content, and returns what is written in its place. `field` names the place of the
 * value in the record: `name`, `statusMessage`, `input`, `output`, `attributes.<key>`, `metadata.<key>`, `model.<key>`,
 * `finishReason`, `tool.callId`, `resource.<key>` and `scope.<key>` for attributes of a resource or scope, or `summary.error` for the reason why a session ended. Of a whole document that is
 * exported, also `summary.<key>`, and the names of members that documents of this package do not have. Values may be
 * structured. Ids, times, numbers, keys and the id of the session, which names the file, are not passed.
 *
 * A redactor is synchronous and must not change the value that it receives. Its result is read once, as JSON. If the
 * redactor throws, returns a promise, or returns no text where the document has a text, the field becomes
 * `[redaction failed]`.
 */
export type Redact = (value: unknown, field: string) => unknown;

const failed = "[redaction failed]";

/** Messages wait until the span is recorded: the redactor is called in between. */
const diagnostics = new Diagnostics("redact", { isDeferred: true });

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
    return this.assembled(this.#redact ? redactSpan(this.#redact, withoutOriginal(span)) : span);
  }

  /** Whether a redactor decides what is written: it does not see the attributes as the instrumentation set them. */
  get redacts(): boolean {
    return this.#redact !== undefined;
  }

  /** The limits only: for a span whose parts were redacted one by one. */
  assembled(span: TraceSpan): TraceSpan {
    const limited = limitSpan(this.#limits, span);
    return limited === span || span.original === undefined
      ? limited
      : limitSpan(this.#limits, withoutOriginal(span));
  }

  /** Name, input, attributes and metadata of a session as a whole. */
  facts(facts: SessionFacts): SessionFacts {
    const shown = this.#redact ? redactFacts(this.#redact, facts) : (inertJson(facts) as SessionFacts);
    return programContent(limitValue(this.#limits, shown));
  }

  metadata(metadata: Partial<SessionMetadata>): Partial<SessionMetadata> {
    return limitValue(this.#limits, this.#redact ? redactMetadata(this.#redact, metadata) : metadata);
  }

  /** Attributes of a resource or of an instrumentation scope. */
  origin(attributes: Record<string, unknown>, at: "resource" | "scope"): Record<string, unknown> {
    return limitValue(this.#limits, this.#redact ? redactEntries(this.#redact, attributes, at) : attributes);
  }

  /** The reason why a session ended, for its summary. */
  error(message: string): string {
    return limitValue(
      this.#limits,
      this.#redact ? redactedBy(this.#redact, message, "summary.error") : message,
    );
  }

  /**
   * A copy of a whole document of a caller, of any shape. The redactor also gets members that documents of this package
   * do not have.
   */
  document(document: object): Record<string, unknown> {
    return mapMembers(plainMembers(document), (value, key) => {
      if (key === "spans" && Array.isArray(value))
        return Array.from(value, (span: unknown) => this.#documentSpan(span));
      return limitValue(this.#limits, this.#redact ? redactMember(this.#redact, key, value) : value);
    });
  }

  #documentSpan(span: unknown): TraceSpan {
    const redact = this.#redact;
    // The span is only written: as JSON, which may have any shape.
    if (!redact)
      return isRecord(span)
        ? this.assembled(span as unknown as TraceSpan)
        : limitSpan(this.#limits, span as TraceSpan);
    const plain = inertJson(span);
    if (!isRecord(plain)) return limitSpan(this.#limits, apply(redact, plain, "spans") as TraceSpan);
    delete plain.original;
    const shown = mapMembers(plain, (value, key) => redactSpanMember(redact, key, value));
    return limitSpan(this.#limits, shown as unknown as TraceSpan);
  }
}

/** The values of the span have changed: the originals would have what is not to be there, or would refer to it. */
function withoutOriginal(span: TraceSpan): TraceSpan {
  if (span.original === undefined) return span;
  const { original: _, ...rest } = span;
  return rest;
}

/** The members of an object, each read once. A member that cannot be read is replaced by a marker. */
function plainMembers(source: object): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  const own = source as Record<string, unknown>;
  const from = typeof own.toJSON === "function" ? inertJson(source) : source;
  for (const key of Object.keys(from as object)) setOwn(plain, key, readMember(from as typeof own, key));
  return plain;
}

function readMember(source: Record<string, unknown>, key: string): unknown {
  try {
    return source[key];
  } catch (error) {
    return unreadable(error);
  }
}

function mapMembers(
  from: Readonly<Record<string, unknown>>,
  map: (value: unknown, key: string) => unknown,
): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(from)) setOwn(copy, key, map(value, key));
  return copy;
}

type Check = (value: unknown) => boolean;
const isText: Check = (value) => typeof value === "string";
const isNumber: Check = (value) => typeof value === "number";
const isTextOrNull: Check = (value) => value === null || typeof value === "string";

/** Members that a redactor does not get while they have this type: ids, times and numbers. */
const plainOfDocument: Readonly<Record<string, Check>> = {
  version: isNumber,
  id: isText,
  traceId: isText,
  sessionId: isTextOrNull,
  startedAt: isText,
  endedAt: isText,
};
const plainOfSpan: Readonly<Record<string, Check>> = {
  spanId: isText,
  parentSpanId: isTextOrNull,
  kind: isText,
  startTime: isNumber,
  endTime: isNumber,
  status: isText,
  interrupted: (value) => typeof value === "boolean",
  cost: isNumber,
  traceId: isText,
  resource: isText,
  scope: isText,
  remoteParentSpanId: isText,
  traceState: isText,
};
const plainOfSummary: Readonly<Record<string, Check>> = { status: isText, lastActivityAt: isText };

/** A member of a document of a caller, other than its spans. */
function redactMember(redact: Redact, key: string, value: unknown): unknown {
  if (plainOfDocument[key]?.(value)) return value;
  const plain = inertJson(value);
  if (key === "metadata" && isRecord(plain)) return redactEntries(redact, plain, "metadata");
  if (key !== "summary" || !isRecord(plain)) return redactAny(redact, plain, key);
  return mapMembers(plain, (member, name) => {
    const field = `summary.${name}`;
    if (isNumber(member) || plainOfSummary[name]?.(member)) return member;
    if (name === "tokens" && isRecord(member)) return redactTexts(redact, member, field);
    if ((name === "loops" || name === "topTools") && Array.isArray(member))
      return member.map((one: unknown) => redactTexts(redact, one, field));
    return redactAny(redact, member, field);
  });
}

function redactSpanMember(redact: Redact, key: string, value: unknown): unknown {
  if (plainOfSpan[key]?.(value)) return value;
  if (key === "attributes" && isRecord(value)) return redactEntries(redact, value, "attributes");
  if ((key === "tokens" || key === "model" || key === "tool") && isRecord(value))
    return mapMembers(value, (member, name) =>
      isNumber(member) ? member : redactAny(redact, member, `${key}.${name}`),
    );
  return key === "input" || key === "output" ? apply(redact, value, key) : redactAny(redact, value, key);
}

/** A text stays a text, since readers of documents expect one there. */
const redactAny = (redact: Redact, value: unknown, field: string): unknown =>
  typeof value === "string" ? redactedBy(redact, value, field) : apply(redact, value, field);

/** The members of a record, with the numbers as they are. */
const redactTexts = (redact: Redact, value: unknown, field: string): unknown =>
  isRecord(value)
    ? mapMembers(value, (member) => (isNumber(member) ? member : redactAny(redact, member, field)))
    : redactAny(redact, value, field);

/** The redacted value as plain JSON. Never throws. */
function apply(redact: Redact, value: unknown, field: string): unknown {
  try {
    const shown = redact(value, field);
    if (typeof shown === "function") {
      diagnostics.failure(`returned a function, so that fields are "${failed}"`, undefined);
      return failed;
    }
    if (!(shown instanceof Promise)) return inertJson(shown);
    // A rejection without a handler would end the process.
    shown.catch(() => {});
    diagnostics.failure(`returned a promise, so that fields are "${failed}"; make it synchronous`, undefined);
  } catch (error) {
    diagnostics.failure(`threw, so that fields are "${failed}"; check the redactor`, error);
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
  at: "attributes" | "metadata" | "resource" | "scope",
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
