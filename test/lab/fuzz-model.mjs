/** What a simple reader finds in bytes, and the rules that hold for every directory, however odd its files are. */
import { isUtf8 } from "node:buffer";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A broken promise. */
export class Broken extends Error {}

export function must(isKept, text) {
  if (!isKept) throw new Broken(typeof text === "function" ? text() : text);
}

const statuses = ["running", "completed", "error", "crashed"];
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isSpan = (value) => isObject(value) && typeof value.spanId === "string" && value.spanId !== "";
const isRoot = ({ kind, parentSpanId }) => kind === "session" && parentSpanId === null;
// A marker replaces other spans, and gets another id when it is made again.
const isMarker = ({ name, attributes }) =>
  (typeof name === "string" && name.includes("elided")) || attributes?.elided !== undefined;

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Ids of spans that must be kept. `undefined` where the bytes are no document. */
function documentIds(bytes) {
  const text = bytes.toString("utf8");
  const value = parse(text.startsWith("\ufeff") ? text.slice(1) : text);
  if (!isObject(value) || !Array.isArray(value.spans)) return undefined;
  return idsOf(value.spans);
}

const idsOf = (spans) =>
  spans.filter((span) => isSpan(span) && !isRoot(span) && !isMarker(span)).map(({ spanId }) => spanId);

/** Ids of the spans in a file that is no whole document, while each line of it is a span. */
export function soundIds(bytes) {
  const known = documentIds(bytes);
  if (known) return known;
  const end = bytes.lastIndexOf(0x0a, bytes.length - 2);
  const lines = bytes.subarray(bytes.indexOf(0x0a) + 1, end + 1);
  const count = lines.filter((byte) => byte === 0x0a).length;
  const ids = [];
  return eachSpan(lines, (span) => ids.push(...idsOf([span]))) === count ? ids : undefined;
}

/** Ids of spans in whole lines of an append log. */
export function lineIds(bytes) {
  const ids = [];
  eachSpan(bytes, (span) => ids.push(...idsOf([span])));
  return ids;
}

/** The member occurs twice: which span it is depends on the reader. */
const isDoubled = (line, { spanId }) => {
  const [, first = spanId] = /^\{"spanId":"([^"\\]*)"/.exec(line.subarray(0, 400).toString("utf8")) ?? [];
  return first !== spanId;
};

function eachSpan(bytes, onSpan) {
  let count = 0;
  for (let from = 0; ; ) {
    const end = bytes.indexOf(0x0a, from);
    if (end < 0) return count;
    const line = bytes.subarray(bytes[from] === 0x2c ? from + 1 : from, end);
    from = end + 1;
    const span = isUtf8(line) ? parse(line.toString("utf8")) : undefined;
    if (!isSpan(span) || isDoubled(line, span)) continue;
    count++;
    onSpan(span);
  }
}

/** Ids of spans of whole records of a journal. */
export function liveIds(bytes) {
  const ids = [];
  for (let from = 0; ; ) {
    const end = bytes.indexOf(0x0a, from);
    if (end < 0) return ids;
    const record = parse(bytes.subarray(from, end).toString("utf8"));
    from = end + 1;
    if (isObject(record)) ids.push(...idsOf([record.span]));
  }
}

/** The reason why this is no document in the library's format. Empty if it is one. */
export function faultOf(bytes) {
  if (!isUtf8(bytes)) return "is not UTF-8";
  const document = parse(bytes.toString("utf8"));
  if (!isObject(document) || !Array.isArray(document.spans)) return "does not parse";
  if (document.version !== 2) return `has version ${JSON.stringify(document.version)}`;
  for (const key of ["traceId", "sessionId", "startedAt", "endedAt"])
    if (typeof document[key] !== "string") return `has no ${key}`;
  const { metadata, spans, summary } = document;
  if (!isObject(metadata) || !isObject(summary)) return "has no metadata or summary";
  if (!statuses.includes(summary.status)) return `has the status ${brief(summary.status)}`;
  if (summary.error !== undefined && typeof summary.error !== "string")
    return `has the error ${brief(summary.error)}`;
  for (const key of ["totalTokens", "totalCost", "totalToolCalls", "totalGenerations", "duration"])
    if (typeof summary[key] !== "number") return `has ${key} ${brief(summary[key])}`;
  if (!spans.every(isSpan)) return "has what is no span among its spans";
  const roots = spans.filter(isRoot).length;
  // Corruption can make a session span of a line.
  if (roots === 0) return "has no session span";
  // Span ids are unique within a trace.
  const ids = spans
    .filter((span) => !isRoot(span))
    .map(({ spanId, traceId }) => `${traceId || document.traceId} ${spanId}`);
  const twice = ids.find((id, index) => ids.indexOf(id) < index);
  if (twice !== undefined) return `has the span ${brief(twice)} twice`;
  const tailStart = document.layout?.tailStart;
  if (bytes[tailStart - 1] !== 0x0a || bytes.indexOf(0x0a, tailStart) !== bytes.length - 1)
    return `has no tail at ${brief(tailStart)}`;
  return undefined;
}

export function brief(value) {
  try {
    return String(JSON.stringify(value)).slice(0, 60);
  } catch {
    return typeof value;
  }
}

/** The content of a directory, by name. For entries that are no files, their kind. */
export function contentsOf(dir) {
  const contents = new Map();
  for (const name of readdirSync(dir).sort()) {
    const path = join(dir, name);
    const stat = lstatSync(path);
    contents.set(name, stat.isFile() ? readFileSync(path) : `mode ${stat.mode >> 12}`);
  }
  return contents;
}

/** The differences between two states of a directory. */
export function changesOf(before, after) {
  const names = new Set([...before.keys(), ...after.keys()]);
  const isSame = (a, b) => a === b || (Buffer.isBuffer(a) && Buffer.isBuffer(b) && a.equals(b));
  return [...names].filter((name) => !isSame(before.get(name), after.get(name)));
}

/** Ids in the documents of a directory. */
export function idsInDocuments(contents) {
  const ids = new Set();
  for (const [name, bytes] of contents) {
    if (!name.endsWith(".json") || !Buffer.isBuffer(bytes)) continue;
    const spans = parse(bytes.toString("utf8"))?.spans;
    for (const span of Array.isArray(spans) ? spans : []) if (span?.spanId) ids.add(span.spanId);
  }
  return ids;
}

/** The spans of a removed file are in a document, or the file is kept unchanged. */
export function mustKeep(what, bytes, ids, contents) {
  if ([...contents.values()].some((kept) => Buffer.isBuffer(kept) && kept.equals(bytes))) return;
  must(ids !== undefined, `${what} is gone, and was kept nowhere`);
  mustHave(what, ids, contents);
}

/** The spans are in documents. */
export function mustHave(what, ids, contents) {
  const there = idsInDocuments(contents);
  const lost = ids.filter((id) => !there.has(id));
  must(lost.length === 0, () => `${what} lost the spans ${brief(lost)}`);
}

const plain = [Object.prototype, Array.prototype, Function.prototype, String.prototype, Number.prototype];
const namesOf = (prototype) => Reflect.ownKeys(prototype).map(String).join();
const prototypesBefore = plain.map(namesOf);

/** No input has changed the prototypes that all objects share. */
export function mustBeUnpolluted() {
  must(
    plain.every((prototype, index) => namesOf(prototype) === prototypesBefore[index]),
    "a prototype was polluted",
  );
}

/** Each object of a result has a prototype of the language, and none from the input. */
export function mustBePlain(what, result) {
  const rest = [result];
  const seen = new Set();
  while (rest.length > 0) {
    const value = rest.pop();
    if (typeof value !== "object" || value === null || Buffer.isBuffer(value) || seen.has(value)) continue;
    seen.add(value);
    const prototype = Object.getPrototypeOf(value);
    const isOwn = prototype === null || Object.hasOwn(prototype, "constructor");
    must(
      isOwn && !(prototype && Object.hasOwn(prototype, "polluted")),
      `${what} has an object whose prototype was set`,
    );
    if (seen.size > 200_000) return;
    for (const key of Object.keys(value)) rest.push(value[key]);
  }
}
