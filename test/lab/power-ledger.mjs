/**
 * What was promised to `programs/power-writer.mjs` or `disk-writer.mjs`, and which promised records the documents
 * lack. Spans and tool calls are known by their ids. Facts of a session are numbered, and a later fact may have
 * reached the disk without an acknowledgement.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Reads all documents of a directory, and reports those that are not whole. */
export function readDocuments(dir) {
  const documents = new Map();
  const broken = [];
  for (const name of readdirSync(dir).filter((file) => file.endsWith(".json"))) {
    const text = readFileSync(join(dir, name), "utf8");
    try {
      const document = JSON.parse(text);
      if (!Array.isArray(document.spans)) throw new Error("it has no spans");
      documents.set(document.id, document);
    } catch (error) {
      broken.push(`${name} (${text.length} bytes) is no document: ${error.message.slice(0, 80)}`);
    }
  }
  return { documents, broken };
}

const newest = (value) => Number(/\d+$/.exec(String(value ?? "-1"))?.[0] ?? -1);

export class PowerLedger {
  entries = [];
  #flushing = new Map();
  #flushed = 0;
  lag = 0;
  /** Words that promise nothing, such as `begun`. */
  onWord = () => {};
  #rest = "";

  /** Reads the output of the writer, in pieces of any size. */
  hear(chunk) {
    const lines = (this.#rest + chunk).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) this.#take(JSON.parse(line));
  }

  #take(words) {
    const { at, lag } = words.pop();
    this.lag = Math.max(this.lag, lag);
    const [verb, first] = words;
    if (verb === "flushing") this.#flushing.set(first, this.entries.length);
    else if (verb === "flushed") this.#flushed = Math.max(this.#flushed, this.#flushing.get(first));
    else if (["started", "ended", "call", "fact"].includes(verb)) this.entries.push({ words, at });
    else this.onWord(...words);
  }

  /** Promised by an acknowledged flush. */
  get flushed() {
    return this.entries.slice(0, this.#flushed);
  }

  /** Promised because they were acknowledged before that time. */
  before(at) {
    return this.entries.filter((entry) => entry.at <= at);
  }

  /** The entries that the documents lack. */
  missing(entries, documents) {
    const found = new Map();
    for (const [session, document] of documents) {
      const byId = new Map(document.spans.map((span) => [span.spanId, span]));
      const byCall = new Map(document.spans.map((span) => [span.tool?.callId, span]));
      const root = document.spans.find(({ kind }) => kind === "session");
      found.set(session, { document, byId, byCall, root });
    }
    return entries.filter(({ words }) => !holds(words, found.get(words[1])));
  }
}

function holds([verb, , what, ...rest], session) {
  if (!session) return false;
  const { document, byId, byCall, root } = session;
  if (verb === "started") {
    const [n, bytes] = rest;
    const span = byId.get(what);
    return span?.attributes?.n === n && span.attributes.payload === String(n % 10).repeat(bytes);
  }
  if (verb === "ended") return byId.has(what) && !byId.get(what).interrupted;
  if (verb === "call") {
    const [{ output, late }] = rest;
    const span = byCall.get(what);
    return span?.output === output && (late === undefined || span.attributes?.late === late);
  }
  const { title, mood } = what;
  if (title !== undefined) return newest(document.metadata.title) >= newest(title);
  return newest(root?.attributes?.mood) >= newest(mood);
}

/** Entries as text. */
export const textOf = (entries) => {
  const counts = new Map();
  for (const { words } of entries) counts.set(words[0], (counts.get(words[0]) ?? 0) + 1);
  const first = entries[0]?.words.map((word) => JSON.stringify(word)).join(" ");
  return `${[...counts].map(([verb, count]) => `${count} ${verb}`).join(", ")} (first: ${first})`;
};
