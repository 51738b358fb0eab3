/** The attributes of a span as its instrumentation set them: the inverse of `projection/original-attributes.ts`. */

import { isRecord, setOwn } from "../format/json-value.js";
import type { OriginalAttributes, OriginalPart, OriginalValue, TraceSpan } from "../format/trace-file.js";

/** The attributes of a span and of its events, as they were; `undefined` if the document was changed since. */
export function restoredAttributes(
  span: TraceSpan,
  own: Readonly<Record<string, unknown>>,
): Record<string, unknown> | undefined {
  if (!isRecord(span.original)) return undefined;
  try {
    return restored(span, span.original, span.original.values, own);
  } catch {
    return undefined;
  }
}

/** The attributes of the events, by position: those that became fields. */
export function restoredEvents(span: TraceSpan): Readonly<Record<string, Record<string, unknown>>> {
  const { original } = span;
  if (!isRecord(original) || !isRecord(original.events)) return {};
  try {
    return Object.fromEntries(
      Object.entries(original.events).map(([at, values]) => [at, restored(span, original, values, {})]),
    );
  } catch {
    return {};
  }
}

function restored(
  span: TraceSpan,
  { at = [] }: OriginalAttributes,
  values: Readonly<Record<string, OriginalValue>>,
  own: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const attributes = { ...own };
  const found = at.map((pointer) => valueAt(span, pointer));
  for (const [key, value] of Object.entries(values)) {
    if (value === null) delete attributes[key];
    else setOwn(attributes, key, decoded(value, found, own[key]));
  }
  return attributes;
}

function decoded(value: OriginalValue, found: readonly unknown[], kept: unknown): unknown {
  if (Array.isArray(value)) return value.map((part) => partText(part, found)).join("");
  if (typeof value !== "object" || value === null) return value;
  if ("list" in value) return value.list.map((one) => decoded(one, found, undefined));
  if ("number" in value) return Number(value.number);
  if ("json" in value) return JSON.parse(value.json.map((part) => partText(part, found)).join(""));
  if ("isBytes" in value) return Buffer.from(textIn(kept), "base64");
  return found[value.at];
}

function partText(part: OriginalPart, found: readonly unknown[]): string {
  if (typeof part === "string") return part;
  if (typeof part === "number") return JSON.stringify(found[part]);
  if (Array.isArray(part)) return textIn(found[part[0]]);
  return JSON.stringify(part.json.map((one) => partText(one, found)).join(""));
}

function textIn(value: unknown): string {
  if (typeof value !== "string") throw new Error("no text");
  return value;
}

/** @throws if the document has nothing there */
function valueAt(span: TraceSpan, pointer: string): unknown {
  let value: unknown = span;
  for (const name of pointer.split("/").slice(1)) {
    if (typeof value !== "object" || value === null) throw new Error(pointer);
    value = (value as Record<string, unknown>)[name.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  if (value === undefined) throw new Error(pointer);
  return value;
}
