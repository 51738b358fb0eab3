/** Text for a terminal: control characters made visible, cut by columns, and numbers that people read. */
import truncatedWidth from "fast-string-truncated-width";
import { isoOrNull } from "../platform/epoch-time.js";

/**
 * Control characters, and the marks that reorder text. A title or the output of a tool could otherwise move the cursor,
 * change the window's title or hide a part of a line ("Trojan Source", CVE-2021-42574).
 */
const unsafe =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** The text with visible signs in place of control characters; lines and tabs stay. */
export function safeText(text: string): string {
  return text.replace(/\r\n/g, "\n").replace(unsafe, (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "␡" : "�";
  });
}

/** As {@link safeText}, in one line. */
export const oneLine = (text: string): string => safeText(text).replace(/\s+/g, " ").trim();

/** Columns that a safe text takes. */
export function widthOf(text: string): number {
  if (isAscii.test(text)) return text.length;
  const known = widths.get(text);
  if (known !== undefined) return known;
  const { width } = truncatedWidth(text);
  if (text.length < longestKnown && widths.size < mostKnown) widths.set(text, width);
  return width;
}

/** Widths of short texts with other characters: a table has the same words in every row. */
const widths = new Map<string, number>();
const longestKnown = 32;
const mostKnown = 1_000;

/** Most texts: one column for each character. */
const isAscii = /^[\x20-\x7e]*$/;

let graphemes: Intl.Segmenter | undefined;

/** How many characters (UTF-16 units) of a safe text fit into these columns, whole graphemes only. */
function fitting(text: string, columns: number): number {
  if (isAscii.test(text)) return Math.min(text.length, columns);
  // Finding graphemes takes ten times as long as counting columns.
  if (widthOf(text) <= columns) return text.length;
  graphemes ??= new Intl.Segmenter();
  let width = 0;
  for (const { segment, index } of graphemes.segment(text)) {
    width += widthOf(segment);
    if (width > columns) return index;
  }
  return text.length;
}

/** The text, cut to a number of columns, with an ellipsis where something is missing. */
export function cut(text: string, columns: number): string {
  if (columns <= 0) return "";
  if (fitting(text, columns) === text.length) return text;
  return `${text.slice(0, fitting(text, columns - 1))}…`;
}

export const padEnd = (text: string, columns: number): string =>
  text + " ".repeat(Math.max(0, columns - widthOf(text)));

export const padStart = (text: string, columns: number): string =>
  " ".repeat(Math.max(0, columns - widthOf(text))) + text;

/** A text in lines of at most `columns`, broken at spaces where there are any. */
export function wrap(text: string, columns: number): string[] {
  return safeText(text)
    .split("\n")
    .flatMap((line) => wrapLine(line.replaceAll("\t", "  "), columns));
}

function wrapLine(line: string, columns: number): string[] {
  const lines: string[] = [];
  let from = 0;
  // Only as much as may fit is looked at: a word of a megabyte would take quadratic time.
  for (let size = columns * 4; ; ) {
    const rest = line.slice(from, from + size);
    const end = fitting(rest, columns);
    if (end === rest.length) {
      if (from + size >= line.length) return [...lines, rest];
      size *= 2;
      continue;
    }
    const space = rest[end] === " " ? end : rest.lastIndexOf(" ", end);
    // A grapheme that is wider than the line has the line to itself.
    const length = space > 0 ? space : Math.max(end, 1);
    lines.push(rest.slice(0, length));
    from += space > 0 ? length + 1 : length;
  }
}

/** `950ms`, `1.2s`, `2m05s`, `3h12m`, `2d4h`; `?` where it is not known. */
export function shortDuration(millis: number | null): string {
  if (millis === null || !Number.isFinite(millis)) return "?";
  const value = Math.max(0, millis);
  if (value < 1_000) return `${Math.round(value)}ms`;
  if (value < 59_950) return `${(value / 1_000).toFixed(1)}s`;
  const seconds = Math.round(value / 1_000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m${String(seconds % 60).padStart(2, "0")}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h${String(minutes % 60).padStart(2, "0")}m`;
  return `${Math.floor(hours / 24)}d${hours % 24}h`;
}

/** Whether a duration that is at least so long says nothing: less than a millisecond, or not known. */
const saysNothing = (millis: number | null): boolean => millis === null || !(millis >= 1);

/** For a column: `1.4s`, `≥1.4s`, `?`. `isLeast`: the time of the end is not known. */
export function timeInColumn(millis: number | null, isLeast: boolean | undefined): string {
  if (!isLeast) return shortDuration(millis);
  return saysNothing(millis) ? "?" : `≥${shortDuration(millis)}`;
}

/** For a sentence: `1.4s`, `at least 1.4s`, `an unknown time`. `isLeast`: the time of the end is not known. */
export function timeInWords(millis: number | null, isLeast: boolean | undefined): string {
  if (!isLeast) return shortDuration(millis);
  return saysNothing(millis) ? "an unknown time" : `at least ${shortDuration(millis)}`;
}

/** `just now`, `4m ago`, `3h ago`, `12d ago`. */
export function age(millis: number): string {
  if (!Number.isFinite(millis)) return "?";
  if (millis < 1_000) return "just now";
  const units: readonly (readonly [number, string])[] = [
    [86_400_000, "d"],
    [3_600_000, "h"],
    [60_000, "m"],
    [1_000, "s"],
  ];
  for (const [size, unit] of units) if (millis >= size) return `${Math.floor(millis / size)}${unit} ago`;
  return "just now";
}

/** `834`, `12.3k`, `1.2M`. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return "?";
  if (Math.abs(value) >= 1e13) return value.toExponential(1);
  if (Math.abs(value) < 10_000) return groupedNumber(Math.round(value * 100) / 100);
  const [size, unit] = Math.abs(value) < 999_950 ? [1_000, "k"] : [1_000_000, "M"];
  return `${(value / Number(size)).toFixed(1)}${unit}`;
}

/** `1,234,567`. */
export function groupedNumber(value: number): string {
  if (!Number.isFinite(value)) return "?";
  // `toLocaleString` loads the data of the language first: 15 ms at the start of a command.
  const [whole = "", fraction] = String(Math.round(value * 1_000) / 1_000).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** `$0.88`, `$0.0042`. Documents have no currency; programs of this field count in dollars. */
export function money(value: number): string {
  if (!Number.isFinite(value)) return "?";
  const sign = value < 0 ? "-" : "";
  const size = Math.abs(value);
  return `${sign}$${size === 0 || size >= 0.1 ? size.toFixed(2) : size.toFixed(4)}`;
}

/** {@link money} as a part of a list; none where there is no cost: most instrumentations record none. */
export const knownCost = (cost: number | undefined): string[] => (cost ? [money(cost)] : []);

const sizes = ["B", "KB", "MB", "GB"] as const;

/** `950 B`, `1.2 MB`; units are powers of 1,024. */
export function byteCount(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(sizes.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${sizes[power]}`;
}

/** `1 error`, `3 errors`. */
export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${groupedNumber(count)} ${count === 1 ? one : many}`;

/** `03:04:05.123`, in UTC as in all other output. */
export const clockTime = (millis: number): string => isoOrNull(millis)?.slice(11, 23) ?? "?";

/** `2026-01-02 03:04:05Z`: UTC, since traces are read on other machines than those that wrote them. */
export function dateTime(millis: number): string {
  const text = isoOrNull(millis);
  return text === null ? "?" : `${text.slice(0, 19).replace("T", " ")}Z`;
}

/** A longer text does not fit into a line, and takes time to make safe. */
const longestLine = 4_000;

/** The beginning of a value of a span in one line of text: of an input, an output or an attribute. */
export function valueLine(value: unknown): string {
  if (value === undefined || value === null) return "";
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
  return oneLine(text.slice(0, longestLine));
}
