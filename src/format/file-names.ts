/**
 * From session ids to file names, and from names of directory entries to their kinds.
 */
import { createHash } from "node:crypto";

/** The longest session name in bytes. Side files add up to 60 bytes; file systems allow 255. */
const maxNameBytes = 120;

const deviceName = /^(con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])$/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const controlCharacters = /[\u0000-\u001f\u007f-\u009f]/g;

/** Windows and FAT refuse names with these. Elsewhere such a name is taken as it is. */
const refusedCharacters = /[<>"|?*]/g;

/** Whether Windows and FAT refuse a name, which other file systems take. */
export const hasRefusedCharacters = (name: string): boolean => name.search(refusedCharacters) >= 0;

/** The id with `_` for each of `/ \ . :`; `unknown` for an empty id. This is the file name of most ids. */
export function safeId(rawId: string): string {
  return rawId.replace(/[/\\.:]/g, "_") || "unknown";
}

/**
 * The names that a session may have, in the order in which to try them. If the id is a portable file name, the first name
 * is the id; the next name is for the case that this file belongs to another id. Names with a hash differ for different
 * ids.
 */
export function nameCandidates(rawId: string): readonly string[] {
  const plain = safeId(rawId);
  const hash = createHash("sha256").update(rawId).digest("hex");
  const stem = nameStem(plain, maxNameBytes - 65);
  const portable = stem.replace(refusedCharacters, "_");
  const stems = portable === stem ? [stem] : [stem, portable];
  const hashed = stems.flatMap((one) => [8, 16, 64].map((digits) => `${one}-${hash.slice(0, digits)}`));
  return isPortable(plain) ? [plain, ...hashed] : hashed;
}

/** The beginning of a text that is to be part of a file name, without characters that a file name cannot have. */
export const nameStem = (text: string, maxBytes: number): string =>
  truncate(text.replace(controlCharacters, "_").toWellFormed(), maxBytes);

function isPortable(name: string): boolean {
  controlCharacters.lastIndex = 0;
  return (
    Buffer.byteLength(name) <= maxNameBytes &&
    !controlCharacters.test(name) &&
    !deviceName.test(name) &&
    !/[ ]$/.test(name) &&
    // A lone surrogate has no UTF-8 form: two such ids would have one file name.
    name.isWellFormed()
  );
}

function truncate(text: string, maxBytes: number): string {
  let bytes = 0;
  let out = "";
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > maxBytes) break;
    out += character;
  }
  return out;
}

/** The id of the session span. It depends on the raw session id only, so that all writers of a session agree. */
export function sessionSpanId(rawId: string): string {
  return createHash("sha256").update("session span\0").update(rawId).digest("hex").slice(0, 16);
}

/** The kind of a directory entry, by its name. `open` is an append log, `live` a journal. */
export type Entry =
  | { readonly type: "document"; readonly name: string }
  | { readonly type: "open" | "live"; readonly name: string; readonly token: string }
  | { readonly type: "lock" | "replayed" | "damaged"; readonly name: string }
  | { readonly type: "temp"; readonly name: string; readonly token: string }
  /** Spans of one process whose sessions are not known yet. */
  | { readonly type: "unnamed"; readonly token: string }
  | { readonly type: "other" };

const token = /^[0-9a-z]+(?:-[0-9a-z]+){4}(?:-recovery)?$/;
const sideFile = /^([^.]+)\.json\.([0-9a-z]+(?:-[0-9a-z]+){4}(?:-recovery)?)\.(open|live)$/;
/**
 * `<session>.json.tmp.<token>`, with `.<number>` from this package. The tracer that this package replaces has a time in
 * milliseconds for the token, and a number in base 36.
 */
const tempFile = /^([^.]+)\.json\.tmp\.([0-9a-z-]+)(?:\.[0-9a-z]+)?$/;
/** Has no `.json`: version 0.1.0 takes the spans in such a file for those of no session, and leaves the file alone. */
const unnamedFile = /^unnamed\.([0-9a-z]+(?:-[0-9a-z]+){4}(?:-recovery)?)\.live$/;
const damagedFile = /^([^.]+)\.json\.damaged\.[0-9a-z-]+(?:\.(?:open|live))?$/;

/** Whether a text has the form of an owner's token. */
export const isToken = (name: string): boolean => token.test(name);

/** Reads the name of a directory entry. Session names have no dot, so every name has one meaning. */
export function parseEntry(fileName: string): Entry {
  if (/^[^.]+\.json$/.test(fileName)) return { type: "document", name: fileName.slice(0, -5) };
  if (/^[^.]+\.json\.lock$/.test(fileName)) return { type: "lock", name: fileName.slice(0, -10) };
  if (/^[^.]+\.json\.replayed$/.test(fileName)) return { type: "replayed", name: fileName.slice(0, -14) };
  const side = sideFile.exec(fileName);
  if (side) {
    return { type: side[3] as "open" | "live", name: side[1] as string, token: side[2] as string };
  }
  const unnamed = unnamedFile.exec(fileName);
  if (unnamed) return { type: "unnamed", token: unnamed[1] as string };
  const damaged = damagedFile.exec(fileName);
  if (damaged) return { type: "damaged", name: damaged[1] as string };
  const temp = tempFile.exec(fileName);
  if (temp) return { type: "temp", name: temp[1] as string, token: temp[2] as string };
  return { type: "other" };
}

/** The directory and the name of a session's files. */
export interface SessionFiles {
  readonly dir: string;
  readonly name: string;
}

export const documentPath = ({ dir, name }: SessionFiles): string => `${dir}/${name}.json`;
export const appendLogPath = (files: SessionFiles, token: string): string =>
  `${documentPath(files)}.${token}.open`;
export const journalPath = (files: SessionFiles, token: string): string =>
  `${documentPath(files)}.${token}.live`;
export const unnamedPath = (dir: string, token: string): string => `${dir}/unnamed.${token}.live`;
export const lockPath = (files: SessionFiles): string => `${documentPath(files)}.lock`;
/** The checkpoint of a replay: how much of the document a backend has. It is deleted with the document. */
export const replayedPath = (files: SessionFiles): string => `${documentPath(files)}.replayed`;

/** A path as long as the longest of a session's files: a damaged append log that a recovery keeps. */
export const longestPath = (files: SessionFiles): string =>
  `${documentPath(files)}.damaged.${"0".repeat(48)}-recovery.open`;

let temps = 0;
/** A unique path: the token is unique to the writer, the number within this copy of the module. */
export const tempPath = (files: SessionFiles, token: string): string =>
  `${documentPath(files)}.tmp.${token}.${++temps}`;
