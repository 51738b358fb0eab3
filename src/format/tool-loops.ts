/**
 * Tools called again and again with the same input: found among the last ten calls, and kept once found.
 *
 * A function of the tool calls in order of completion, whether counted as they come, read again from a document's
 * lines, or put together of parts.
 */
import { toJsonValue } from "./json-value.js";
import type { ToolCall, ToolLoop } from "./trace-file.js";
import { isRecord } from "./validate.js";

/** Calls that are looked at together. */
const windowCalls = 10;

/** Same calls within the window that make a loop. */
const loopCalls = 3;

/** Loops kept; a session with more of them keeps those that it had first. */
const maxLoops = 100;

/** What is kept of loops, as it stands in a file. */
export interface ToolLoopsRecord {
  /** Without descriptions. */
  readonly loops?: readonly Pick<ToolLoop, "tool" | "inputHash" | "count">[];
  /** The last ten calls. */
  readonly calls?: readonly ToolCall[];
  /** The first nine: windows that begin in a part before this one end among them. */
  readonly firstCalls?: readonly ToolCall[];
}

export class ToolLoops {
  #window: Call[] = [];
  readonly #first: Call[] = [];
  readonly #loops = new Map<string, { tool: string; inputHash: string; count: number }>();

  /** A call has ended. */
  add(tool: string, input: unknown): void {
    this.#push(new Call(tool, input));
  }

  /** Adds what another count has seen after this one. */
  merge(other: ToolLoopsRecord): void {
    const calls = list(other.calls).filter(isCall).map(Call.of);
    // Loops are in the order they were found: before all that the last calls alone tell, after what the first do.
    if (!other.firstCalls) this.#mergeLoops(other);
    const first = other.firstCalls && list(other.firstCalls).filter(isCall).map(Call.of);
    for (const call of first ?? calls) this.#push(call);
    if (calls.length >= windowCalls) this.#window = calls.slice(-windowCalls);
    if (other.firstCalls) this.#mergeLoops(other);
  }

  /** The last calls, for a session that is resumed. */
  calls(): ToolCall[] {
    return this.#window.map((call) => call.record());
  }

  /** Loops in the order they were found, for a summary. */
  loops(): ToolLoop[] {
    return [...this.#loops.values()].map((loop) => ({
      ...loop,
      description: `${loop.tool} called ${loop.count} times with same input (hash: ${loop.inputHash})`,
    }));
  }

  /** As plain data. */
  record(): Required<ToolLoopsRecord> {
    const loops = [...this.#loops.values()].map((loop) => ({ ...loop }));
    return { loops, calls: this.calls(), firstCalls: this.#first.map((call) => call.record()) };
  }

  #push(call: Call): void {
    if (this.#first.length < windowCalls - 1) this.#first.push(call);
    if (this.#window.push(call) > windowCalls) this.#window.shift();
    let count = 0;
    for (const other of this.#window) if (other === call || call.isSameAs(other)) count++;
    if (count >= loopCalls) this.#found(call.record(), count);
  }

  #mergeLoops({ loops }: ToolLoopsRecord): void {
    for (const loop of list(loops)) {
      if (typeof loop?.tool !== "string" || !Number.isFinite(loop.count)) continue;
      const hash = typeof loop.inputHash === "string" ? loop.inputHash : "";
      this.#found({ tool: loop.tool, inputHash: hash }, loop.count);
    }
  }

  #found({ tool, inputHash }: ToolCall, count: number): void {
    const key = `${inputHash} ${tool}`;
    const known = this.#loops.get(key);
    if (known) known.count = Math.max(known.count, count);
    else if (this.#loops.size < maxLoops) this.#loops.set(key, { tool, inputHash, count });
  }
}

/** A call whose input is hashed when that is asked for: most differ at the first look, and a hash takes 1.3 µs. */
class Call {
  readonly tool: string;
  readonly #input: unknown;
  #hash: string | undefined;
  /** Of a call of a file only the hash is known. */
  readonly #hasInput: boolean;

  constructor(tool: string, input: unknown, hash?: string) {
    this.tool = tool;
    this.#input = input;
    this.#hash = hash;
    this.#hasInput = hash === undefined;
  }

  static of({ tool, inputHash }: ToolCall): Call {
    return new Call(tool, undefined, inputHash);
  }

  record(): ToolCall {
    return { tool: this.tool, inputHash: this.#inputHash() };
  }

  isSameAs(other: Call): boolean {
    if (this.tool !== other.tool) return false;
    if (this.#hasInput && other.#hasInput && differ(this.#input, other.#input)) return false;
    const hash = this.#inputHash();
    return hash !== "" && hash === other.#inputHash();
  }

  #inputHash(): string {
    this.#hash ??= inputHash(this.#input);
    return this.#hash;
  }
}

/** Whether the JSON of two inputs differs for sure: `false` tells nothing. */
function differ(a: unknown, b: unknown): boolean {
  if (typeof a === "string" || typeof b === "string") return a !== b;
  if (!isRecord(a) || !isRecord(b)) return false;
  for (const key in a) if (typeof a[key] === "string" && a[key] !== b[key]) return true;
  return false;
}

/**
 * Eight hex digits of the input's JSON: as it was given, and as it is read from a file, the same. Empty without an
 * input: many instrumentations record none, and what is not known is not the same.
 */
function inputHash(input: unknown): string {
  const json = jsonOf(input);
  return json === "" ? "" : fnv1a(json).toString(16).padStart(8, "0");
}

/** FNV-1a over UTF-16 units, 32 bits. SHA-256 made a tool call of 5 KB a tenth dearer. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

function jsonOf(input: unknown): string {
  try {
    return JSON.stringify(input) ?? "";
  } catch {
    return JSON.stringify(toJsonValue(input)) ?? "";
  }
}

/** Files of others may hold anything. */
const list = <T>(value: readonly T[] | undefined): readonly T[] => (Array.isArray(value) ? value : []);

const isCall = (call: ToolCall): boolean =>
  typeof call?.tool === "string" && typeof call.inputHash === "string";
