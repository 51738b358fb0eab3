/**
 * Tools that were called repeatedly with the same input: found among the last ten calls, and kept once found.
 *
 * The result depends only on the tool calls in order of completion: it is equal whether calls are counted as they end,
 * read from a document's lines, or merged from the totals of parts.
 */
import { isRecord, jsonText } from "./json-value.js";
import { hasLongText, type LongJson, longJson } from "./long-json.js";
import type { ToolCallKey, ToolLoop } from "./trace-file.js";

/** A loop is a number of equal calls among so many successive calls. */
const windowCalls = 10;

/** Equal calls within the window that make a loop. */
const loopCalls = 3;

/** Loops kept. A session with more loops keeps the first ones. */
const maxLoops = 100;

/** Tool loops as an elision marker holds them. */
export interface ToolLoopsJson {
  /** Without descriptions. */
  readonly loops: readonly Pick<ToolLoop, "tool" | "inputHash" | "count">[];
  /** The last ten calls. */
  readonly calls: readonly ToolCallKey[];
  /** The first nine calls: windows that begin in the part before this one end among them. */
  readonly firstCalls: readonly ToolCallKey[];
}

export class ToolLoops {
  #window: Call[] = [];
  readonly #first: Call[] = [];
  readonly #loops = new Map<string, { tool: string; inputHash: string; count: number }>();

  /** `stated`: the loops and the last calls so far. */
  constructor({ loops, calls }: Partial<Pick<ToolLoopsJson, "loops" | "calls">> = {}) {
    this.#mergeLoops({ loops: list(loops) });
    this.#window = list(calls).filter(isCall).map(Call.of).slice(-windowCalls);
  }

  /** Adds a call that has ended. */
  add(tool: string, input: unknown): void {
    this.#push(new Call(tool, input));
  }

  /** Adds the loops of calls that ended after those counted here. */
  merge(other: Partial<ToolLoopsJson>): void {
    const calls = list(other.calls).filter(isCall).map(Call.of);
    // Loops are in the order in which they were found. Without the first calls, the loops of `other` come before those
    // that its last calls show; with them, after those that its first calls show.
    if (!other.firstCalls) this.#mergeLoops(other);
    const first = other.firstCalls && list(other.firstCalls).filter(isCall).map(Call.of);
    for (const call of first ?? calls) this.#push(call);
    if (calls.length >= windowCalls) this.#window = calls.slice(-windowCalls);
    if (other.firstCalls) this.#mergeLoops(other);
  }

  /** Another run begins: its calls make no loop with those of the run before. */
  beginRun(): void {
    this.#window = [];
  }

  /** The last calls, for a session that is resumed. */
  calls(): ToolCallKey[] {
    return this.#window.map((call) => call.key());
  }

  /** Loops in the order in which they were found, for a summary. */
  loops(): ToolLoop[] {
    return [...this.#loops.values()].map((loop) => ({
      ...loop,
      description: `${loop.tool} called ${loop.count} times with same input (hash: ${loop.inputHash})`,
    }));
  }

  toJson(): ToolLoopsJson {
    const loops = [...this.#loops.values()].map((loop) => ({ ...loop }));
    return { loops, calls: this.calls(), firstCalls: this.#first.map((call) => call.key()) };
  }

  #push(call: Call): void {
    if (this.#first.length < windowCalls - 1) this.#first.push(call);
    if (this.#window.push(call) > windowCalls) this.#window.shift();
    let count = 0;
    for (const other of this.#window) if (other === call || call.isSameAs(other)) count++;
    if (count >= loopCalls) this.#found(call.key(), count);
  }

  #mergeLoops({ loops }: Partial<ToolLoopsJson>): void {
    for (const loop of list(loops)) {
      if (typeof loop?.tool !== "string" || !Number.isFinite(loop.count)) continue;
      const hash = typeof loop.inputHash === "string" ? loop.inputHash : "";
      this.#found({ tool: loop.tool, inputHash: hash }, loop.count);
    }
  }

  #found({ tool, inputHash }: ToolCallKey, count: number): void {
    const key = `${inputHash} ${tool}`;
    const known = this.#loops.get(key);
    if (known) known.count = Math.max(known.count, count);
    else if (this.#loops.size < maxLoops) this.#loops.set(key, { tool, inputHash, count });
  }
}

/** A call that hashes its input on demand: most calls differ before a hash is needed, and a hash takes 1.3 µs. */
class Call {
  readonly tool: string;
  readonly #input: unknown;
  #hash: string | undefined;
  /** `false` for a call that was read from a file, which has only the hash. */
  readonly #hasInput: boolean;

  constructor(tool: string, input: unknown, hash?: string) {
    this.tool = tool;
    this.#input = input;
    this.#hash = hash;
    this.#hasInput = hash === undefined;
  }

  static of({ tool, inputHash }: ToolCallKey): Call {
    return new Call(tool, undefined, inputHash);
  }

  key(): ToolCallKey {
    return { tool: this.tool, inputHash: this.#inputHash() };
  }

  isSameAs(other: Call): boolean {
    if (this.tool !== other.tool) return false;
    if (this.#hasInput && other.#hasInput && differ(this.#input, other.#input)) return false;
    const hash = this.#inputHash();
    return hash !== "" && hash === other.#inputHash();
  }

  #inputHash(): string {
    this.#hash ??= inputHash(this.tool, this.#input);
    return this.#hash;
  }
}

/** `true` if the JSON of two inputs differs; `false` if the inputs may be equal. */
function differ(a: unknown, b: unknown): boolean {
  if (typeof a === "string" || typeof b === "string") return a !== b;
  if (!isRecord(a) || !isRecord(b)) return false;
  for (const key in a) if (typeof a[key] === "string" && a[key] !== b[key]) return true;
  return false;
}

/**
 * A hash of the tool's name and the input's JSON, in base 36, as the tracer of altimate-code wrote it: equal for a value
 * and for that value read back from a file. Empty without an input: many instrumentations record no input, and two
 * unknown inputs are not equal.
 */
function inputHash(tool: string, input: unknown): string {
  const json = hasLongText(input) ? longJson(input) : (jsonText(input) ?? "");
  if (json === "") return "";
  return hashOf(typeof json === "string" ? json : outlineOf(json), hashOf(tool, 0)).toString(36);
}

/** Characters at each end of a long run of base64 that count. */
const endChars = 4_096;

/** Long base64 by its length and its ends: reading each character takes ten times as long as making the base64. */
function outlineOf({ pieces }: LongJson): string {
  const outlines = pieces.map((piece, at) =>
    at % 2 === 0 ? piece : `${piece.length}:${piece.slice(0, endChars)}${piece.slice(-endChars)}`,
  );
  return outlines.join("");
}

/**
 * The hash of Java's `String.hashCode`, over UTF-16 units, 32 bits with a sign; `from` is the hash of what precedes the
 * text. With SHA-256, a tool call of 5 KB took a tenth longer.
 */
function hashOf(text: string, from: number): number {
  let hash = from;
  for (let index = 0; index < text.length; index++) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0;
  return hash;
}

/** The array; an empty one for a value of another type, which a file of another program may hold. */
const list = <T>(value: readonly T[] | undefined): readonly T[] => (Array.isArray(value) ? value : []);

const isCall = (call: ToolCallKey): boolean =>
  typeof call?.tool === "string" && typeof call.inputHash === "string";
