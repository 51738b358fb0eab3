/** Mutations of bytes: as corruption, as editors, and as other programs that write JSON. */
import { bigValues, keys, rawBytes, values } from "./fuzz-words.mjs";

const newline = 0x0a;
const token = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]|\s+|[\s\S]/g;
/** Larger inputs than this are mutated as bytes, because cutting them into tokens would take too long. */
const tokenBytes = 100_000;
/** No input grows beyond this. */
const maxBytes = 4_000_000;

/** The mutations of one seeded source of random numbers. */
export class Mutations {
  #random;
  #other;

  /** @param other returns the bytes of another input, for pieces of it */
  constructor(random, other) {
    this.#random = random;
    this.#other = other;
  }

  below(n) {
    return Math.floor(this.#random() * n);
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  chance(one) {
    return this.below(one) === 0;
  }

  /** A few mutations, one after another. */
  mutate(bytes) {
    let mutated = bytes;
    for (let rounds = 1 + this.below(4); rounds > 0; rounds--) mutated = this.#once(mutated);
    // Most inputs are rejected at once if the tail is not at the offset that it names.
    if (!this.chance(3)) mutated = realigned(mutated);
    return mutated.subarray(0, maxBytes);
  }

  #once(bytes) {
    if (this.chance(10)) return this.#wholly(bytes);
    if (this.chance(3)) return this.#byLines(bytes);
    if (this.chance(3) || bytes.length > tokenBytes) return this.#asBytes(bytes);
    return this.#asTokens(bytes);
  }

  #wholly(bytes) {
    const text = bytes.toString("utf8");
    switch (this.below(8)) {
      case 0:
        return Buffer.concat([Buffer.from("\ufeff"), bytes]);
      case 1:
        return Buffer.from(text.replaceAll("\n", "\r\n"));
      case 2:
        return Buffer.concat([bytes, Buffer.alloc(1 + this.below(5000))]);
      case 3:
        return Buffer.from(text, "utf16le");
      case 4:
        return Buffer.from(text.replaceAll("\n", ""));
      case 5:
        return Buffer.concat([bytes, bytes]);
      default:
        try {
          return Buffer.from(JSON.stringify(JSON.parse(text), null, this.below(3)));
        } catch {
          return bytes.subarray(0, this.below(bytes.length + 1));
        }
    }
  }

  #byLines(bytes) {
    const lines = linesOf(bytes);
    const at = this.below(lines.length);
    const line = lines[at] ?? Buffer.alloc(0);
    const put = (...those) => Buffer.concat([...lines.slice(0, at), ...those, ...lines.slice(at + 1)]);
    const others = linesOf(this.#other());
    switch (this.below(8)) {
      case 0:
        return put();
      case 1:
        return put(line, line);
      case 2:
        return put(this.pick(lines), line);
      case 3:
        return put(this.pick(others), line);
      case 4:
        return put(line, this.pick(others));
      case 5:
        return put(line.subarray(0, this.below(line.length + 1)));
      case 6:
        return put(line.subarray(0, -1), Buffer.from("\r\n"));
      default:
        return put(line.subarray(0, -1), this.pick(others));
    }
  }

  #asBytes(bytes) {
    const at = this.below(bytes.length + 1);
    const length = this.chance(2) ? this.below(8) : this.below(bytes.length - at + 1);
    const put = (...those) => Buffer.concat([bytes.subarray(0, at), ...those]);
    switch (this.below(7)) {
      case 0: {
        const flipped = Buffer.from(bytes);
        if (at < bytes.length) flipped[at] ^= 1 << this.below(8);
        return flipped;
      }
      case 1:
        return put(Buffer.from([this.below(256)]), bytes.subarray(at + 1));
      case 2:
        return put(bytes.subarray(at + length));
      case 3:
        return put(bytes.subarray(at, at + length), bytes.subarray(at));
      case 4:
        return put(this.pick(rawBytes), bytes.subarray(at));
      case 5:
        return put();
      default: {
        const other = this.#other();
        const from = this.below(other.length + 1);
        return put(other.subarray(from, from + length), bytes.subarray(at));
      }
    }
  }

  #asTokens(bytes) {
    const tokens = bytes.toString("utf8").match(token) ?? [];
    const at = this.below(tokens.length);
    const kind = this.below(6);
    if (kind === 0 && this.chance(4)) insertMember(tokens, at, '"__proto__"', '{"polluted":1}');
    else if (kind === 0) insertMember(tokens, at, this.#key(), this.#value());
    if (kind === 1) replaceValue(tokens, at, this.#value());
    if (kind === 2) renameKey(tokens, at, this.#key());
    if (kind === 3) removeMember(tokens, at);
    if (kind === 4) replaceValue(tokens, at, pieceOf(tokens, this.below(tokens.length)));
    if (kind === 5) tokens[at] = this.chance(2) ? "" : this.#value();
    return Buffer.from(tokens.join(""));
  }

  #key() {
    return JSON.stringify(this.pick(keys));
  }

  #value() {
    return this.chance(60) ? this.pick(bigValues) : this.pick(values);
  }
}

/** With their newlines. */
function linesOf(bytes) {
  const lines = [];
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(newline, from);
    const to = end < 0 ? bytes.length : end + 1;
    lines.push(bytes.subarray(from, to));
    from = to;
  }
  return lines.length > 0 ? lines : [Buffer.alloc(0)];
}

/** The document with the present offset of its last line. */
export function realigned(bytes) {
  const whole = bytes.at(-1) === newline ? bytes.length - 1 : bytes.length;
  const lastLine = bytes.lastIndexOf(newline, whole - 1) + 1;
  const end = bytes.subarray(-64).toString("latin1");
  const match = /"tailStart":(\d+)\}\}\n?$/.exec(end);
  if (!match) return bytes;
  const rest = end.slice(match.index).replace(match[1], String(lastLine));
  return Buffer.concat([bytes.subarray(0, bytes.length - (end.length - match.index)), Buffer.from(rest)]);
}

const isOpening = (text) => text === "{" || text === "[";
const isClosing = (text) => text === "}" || text === "]";

/** The end of the value that starts at `at`. */
function endOf(tokens, at) {
  let depth = 0;
  for (let index = at; index < tokens.length; index++) {
    if (isOpening(tokens[index])) depth++;
    if (isClosing(tokens[index])) depth--;
    if (depth <= 0) return index + 1;
  }
  return tokens.length;
}

/** The first value at or after a token. */
function valueAt(tokens, at) {
  for (let index = at; index < tokens.length; index++) {
    const text = tokens[index];
    const isKey = text.startsWith('"') && tokens[index + 1] === ":";
    if (!isKey && (isOpening(text) || /^["\dtfn-]/.test(text))) return index;
  }
  return at;
}

function replaceValue(tokens, at, value) {
  const from = valueAt(tokens, at);
  tokens.splice(from, endOf(tokens, from) - from, value);
}

function pieceOf(tokens, at) {
  const from = valueAt(tokens, at);
  return tokens.slice(from, endOf(tokens, from)).join("").slice(0, tokenBytes);
}

function insertMember(tokens, at, key, value) {
  const open = tokens.indexOf("{", at);
  if (open < 0) return;
  const separator = tokens[open + 1] === "}" ? "" : ",";
  tokens.splice(open + 1, 0, `${key}:${value}${separator}`);
}

function renameKey(tokens, at, key) {
  const colon = tokens.indexOf(":", at);
  if (colon > 0) tokens[colon - 1] = key;
}

function removeMember(tokens, at) {
  const colon = tokens.indexOf(":", at);
  if (colon <= 0) return;
  const end = endOf(tokens, valueAt(tokens, colon + 1));
  const hasComma = tokens[end] === ",";
  tokens.splice(colon - 1, end - colon + 1 + Number(hasComma));
}
