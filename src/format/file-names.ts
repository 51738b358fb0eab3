/**
 * From session ids to file names, and back from directory entries to what they are.
 */
import { createHash } from "node:crypto";

/** Longest file name stem in bytes; side files add up to 60 to it, and file systems end at 255. */
const maxNameBytes = 120;

const deviceName = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])$/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const controlCharacters = /[\u0000-\u001f\u007f-\u009f]/g;

/** The id with each of `/ \ . :` turned into `_`; an empty one is `unknown`. The file name of ordinary ids. */
export function safeId(rawId: string): string {
  return rawId.replace(/[/\\.:]/g, "_") || "unknown";
}

/**
 * The names a session may have, in the order to try them. The first is the plain one where the id makes a file
 * name by itself; the next is for when that file belongs to another id. Names differ for different ids.
 */
export function nameCandidates(rawId: string): readonly string[] {
  const plain = safeId(rawId);
  const hash = createHash("sha256").update(rawId).digest("hex");
  const stem = truncate(plain.replace(controlCharacters, "_").toWellFormed(), maxNameBytes - 65);
  const hashed = [8, 16, 64].map((digits) => `${stem}-${hash.slice(0, digits)}`);
  return isPortable(plain) ? [plain, ...hashed] : hashed;
}

function isPortable(name: string): boolean {
  controlCharacters.lastIndex = 0;
  return (
    Buffer.byteLength(name) <= maxNameBytes &&
    !controlCharacters.test(name) &&
    !deviceName.test(name) &&
    !/[ ]$/.test(name) &&
    // A lone surrogate has no UTF-8: two such ids would meet in one name.
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

/** The span id of the session's root: derived from the raw id, so that two writers of one session agree. */
export function sessionSpanId(rawId: string): string {
  return createHash("sha256").update("session span\0").update(rawId).digest("hex").slice(0, 16);
}

/** A directory entry, by its name. */
export type Entry =
  | { readonly type: "document"; readonly name: string }
  | { readonly type: "open" | "live"; readonly name: string; readonly token: string }
  | { readonly type: "lock" | "replayed" | "damaged"; readonly name: string }
  | { readonly type: "temp"; readonly name: string; readonly token: string }
  | { readonly type: "other" };

const token = /^[0-9a-z]+(?:-[0-9a-z]+){4}(?:-recovery)?$/;
const sideFile = /^([^.]+)\.json\.([0-9a-z]+(?:-[0-9a-z]+){4}(?:-recovery)?)\.(open|live)$/;
const tempFile = /^([^.]+)\.json\.tmp\.([0-9a-z-]+)(?:\.[0-9]+)?$/;
const damagedFile = /^([^.]+)\.json\.damaged\.[0-9a-z-]+(?:\.(?:open|live))?$/;

/** Whether a name has the form of an owner's token. */
export const isToken = (name: string): boolean => token.test(name);

/** Reads a directory entry. Session names hold no dot, so nothing is ambiguous. */
export function parseEntry(fileName: string): Entry {
  if (/^[^.]+\.json$/.test(fileName)) return { type: "document", name: fileName.slice(0, -5) };
  if (/^[^.]+\.json\.lock$/.test(fileName)) return { type: "lock", name: fileName.slice(0, -10) };
  if (/^[^.]+\.json\.replayed$/.test(fileName)) return { type: "replayed", name: fileName.slice(0, -14) };
  const side = sideFile.exec(fileName);
  if (side) {
    return { type: side[3] as "open" | "live", name: side[1] as string, token: side[2] as string };
  }
  const damaged = damagedFile.exec(fileName);
  if (damaged) return { type: "damaged", name: damaged[1] as string };
  const temp = tempFile.exec(fileName);
  if (temp) return { type: "temp", name: temp[1] as string, token: temp[2] as string };
  return { type: "other" };
}

/** Where the files of one session are. */
export interface SessionFiles {
  readonly dir: string;
  readonly name: string;
}

export const documentPath = ({ dir, name }: SessionFiles): string => `${dir}/${name}.json`;
export const openPath = (files: SessionFiles, token: string): string =>
  `${documentPath(files)}.${token}.open`;
export const livePath = (files: SessionFiles, token: string): string =>
  `${documentPath(files)}.${token}.live`;
export const lockPath = (files: SessionFiles): string => `${documentPath(files)}.lock`;
/** What of the document was sent to a backend; goes with the document. */
export const replayedPath = (files: SessionFiles): string => `${documentPath(files)}.replayed`;

let temps = 0;
/** A name that no other file has: the token is unique to the writer, the number to the copy of this module. */
export const tempPath = (files: SessionFiles, token: string): string =>
  `${documentPath(files)}.tmp.${token}.${++temps}`;
