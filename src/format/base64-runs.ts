/**
 * Long runs of base64 in a text: images, audio and documents in prompts and results. A pass over their characters takes
 * many times as long as making the base64, and finds nothing: they need no escape in JSON, and hold no words. So passes
 * leave them out.
 */
import { randomBytes } from "node:crypto";

/** A shorter text is passed over as a whole. */
export const longChars = 65_536;

/**
 * Runs begin and end at multiples of this number: the rest of a run is passed over as other text. A multiple of four.
 * Decoding steps of 8 KB takes twice as long.
 */
const stepChars = 16_384;

/** Characters at which a step is looked at first. Prose has a space or a line break at one of them. */
const samples = 16;

const decoded = Buffer.allocUnsafeSlow((stepChars / 4) * 3);
const encoded = Buffer.allocUnsafeSlow(stepChars * 3);

/** A part of a text. */
export interface TextPart {
  readonly text: string;
  /** Whether the part is base64 throughout, without padding; also base64url. */
  readonly isBase64: boolean;
}

/** Texts whose parts are remembered. */
const mostRead = 16;

/**
 * The long texts that were read in this turn: a value is measured, and then serialized. Reading a text twice took as long as
 * making its base64. Texts of megabytes must not stay in memory.
 */
const read: { readonly text: string; readonly parts: readonly TextPart[] }[] = [];

/** The parts of a text, in order; one part for a text without long runs of base64. */
export function partsOf(text: string): readonly TextPart[] {
  // Other texts mostly differ at once.
  const known = read.find((one) => one.text.length === text.length && one.text === text);
  if (known) return known.parts;
  const parts = readParts(text);
  if (!mayHaveRuns(text)) return parts;
  if (read.length === 0) queueMicrotask(() => void read.splice(0));
  if (read.length < mostRead) read.push({ text, parts });
  return parts;
}

function readParts(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let from = 0;
  const add = (to: number, isBase64: boolean) => {
    if (to > from) parts.push({ text: text.slice(from, to), isBase64 });
    from = to;
  };
  for (let at = 0; at + stepChars <= text.length; ) {
    if (!isBase64(text, at)) {
      at += stepChars;
      continue;
    }
    const start = at;
    do at += stepChars;
    while (at + stepChars <= text.length && isBase64(text, at));
    add(start, false);
    add(at, true);
  }
  add(text.length, false);
  return parts;
}

/** Whether the text can have a long run of base64. */
export const mayHaveRuns = (text: string): boolean => text.length >= longChars;

/**
 * Whether a step of a text is base64. Decoding is as fast as the machine reads memory (simdutf), and leaves out characters
 * that are no base64.
 */
function isBase64(text: string, at: number): boolean {
  for (let sample = at; sample < at + stepChars; sample += stepChars / samples)
    if (!isBase64Character(text.charCodeAt(sample))) return false;
  const step = text.slice(at, at + stepChars);
  // Decoders look at the lower byte of a wide character only.
  // `Buffer.byteLength` is slower.
  return encoded.write(step) === stepChars && decoded.write(step, "base64") === decoded.length;
}

function isBase64Character(code: number): boolean {
  if (code >= 97) return code <= 122;
  if (code >= 65) return code <= 90 || code === 95;
  return (code >= 47 && code <= 57) || code === 43 || code === 45;
}

/** A character that makes its text, and each part of that, take two bytes per character. */
const wide = /[^\0-\xff]/;

/** Printable ASCII without escapes of JSON. */
const isAscii = (text: string): boolean => /^[ -[\]-~]*$/.test(text);

/** A copy of an ASCII text in one byte per character, which later passes read several times as fast. */
const narrow = (text: string): string => Buffer.from(text, "latin1").toString("latin1");

/** No program can write this text by chance, or know it. */
const secret = randomBytes(16).toString("hex");
const mark = new RegExp(`${secret}:(\\d+);`, "g");

/**
 * Stand-ins for long runs of base64, while a pass works on the rest. A stand-in is a text of a few characters, which needs
 * no escape in JSON.
 */
export class StandIns {
  readonly #texts: string[] = [];

  get size(): number {
    return this.#texts.length;
  }

  /** The stand-in for a text. */
  add(text: string): string {
    return `${secret}:${this.#texts.push(text) - 1};`;
  }

  /** The text with stand-ins for its long runs of base64; the same text if it has none. */
  of(text: string): string {
    if (!mayHaveRuns(text)) return text;
    const parts = partsOf(text);
    if (!parts.some(({ isBase64 }) => isBase64)) return text;
    return parts.map((part) => (part.isBase64 ? this.add(part.text) : part.text)).join("");
  }

  /**
   * As {@link of}, for a text that is JSON: a stand-in takes the place of the whole string in which the run is, if the string
   * has no escapes, so that the string is a part of the text, and not put together from parts.
   */
  ofJson(text: string): string {
    if (!mayHaveRuns(text)) return text;
    let shown = "";
    let from = 0;
    let at = 0;
    const parts = partsOf(text);
    const isWide = parts.some((part) => !part.isBase64 && wide.test(part.text));
    for (const part of parts) {
      const to = at + part.text.length;
      if (part.isBase64 && at >= from) {
        const near = Math.max(from, at - stepChars);
        const before = text.slice(near, at);
        const after = text.slice(to, to + stepChars);
        const [opens, closes] = [before.lastIndexOf('"'), after.indexOf('"')];
        const isWhole = opens >= 0 && closes >= 0;
        const isPlain = isWhole && isAscii(before.slice(opens)) && isAscii(after.slice(0, closes));
        const [begin, end] = isPlain ? [near + opens + 1, to + closes] : [at, to];
        const run = text.slice(begin, end);
        shown += text.slice(from, begin) + this.add(isWide ? narrow(run) : run);
        from = end;
      }
      at = to;
    }
    return from === 0 ? text : shown + text.slice(from);
  }

  /** A text around its stand-ins: at the odd places are the texts that they stand for. */
  pieces(text: string): string[] {
    return this.size === 0
      ? [text]
      : text.split(mark).map((piece, at) => (at % 2 === 0 ? piece : this.#text(piece)));
  }

  /** The text with what its stand-ins stand for. */
  resolve(text: string): string {
    if (this.size === 0 || !text.includes(secret)) return text;
    return text.replace(mark, (_, index: string) => this.#text(index));
  }

  #text(index: string): string {
    return this.#texts[Number(index)] ?? "";
  }
}
