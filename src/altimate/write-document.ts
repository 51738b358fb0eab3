/** Writes a whole document that a caller has in memory, in place of the document of its session. */

import { documentPath, nameCandidates, type SessionFiles, safeId, tempPath } from "../format/file-names.js";
import { jsonText } from "../format/json-value.js";
import { leadingIds } from "../format/leading-head.js";
import { type Gensync, io } from "../platform/gensync.js";
import { locksOpenFiles } from "../platform/ground.js";
import { buildFile } from "../storage/build-file.js";
import { type CommitPorts, commit } from "../storage/commit.js";
import {
  canName,
  keepDamaged,
  type OpenDocument,
  openDocument,
  probeName,
} from "../storage/document-file.js";
import { chunkBytes, readRange, writeAll } from "../storage/lines.js";

/** A document as JSON, in pieces: a text has at most 512 MB in V8. */
export interface EncodedDocument {
  /** The id that the file is named by. */
  readonly id: string;
  readonly pieces: readonly string[];
}

/** Members that precede the spans: retention reads at most the first megabyte of a file. */
const headKeys = ["version", "id", "traceId", "sessionId", "startedAt"];

/**
 * Encodes a document, which the caller may change afterwards: all members, in any shape, and one line per span. A value
 * that JSON cannot carry loses only itself. `layout` is left out: it describes the bytes of the file that the document
 * was read from.
 */
export function encodeDocument(document: Readonly<Record<string, unknown>>): EncodedDocument {
  const keys = Object.keys(document).filter((key) => key !== "layout" && key !== "spans");
  const first = headKeys.filter((key) => keys.includes(key));
  const members = [
    ...first.map((key) => member(key, document[key])),
    ...("spans" in document ? [spansMember(document.spans)] : []),
    ...keys.filter((key) => !first.includes(key)).map((key) => member(key, document[key])),
  ].filter((pieces) => pieces.length > 0);
  const pieces = members.flatMap((one, index) => [index === 0 ? "{" : ",", ...one]);
  return { id: idOf(document), pieces: [...(pieces.length > 0 ? pieces : ["{"]), "}\n"] };
}

function member(key: string, value: unknown): string[] {
  const text = jsonText(value);
  return text === undefined ? [] : [`${JSON.stringify(key)}:${text}`];
}

function spansMember(spans: unknown): string[] {
  if (!Array.isArray(spans)) return member("spans", spans);
  const lines = Array.from(
    spans,
    (span: unknown, index) => `${index === 0 ? "" : ","}${jsonText(span) ?? null}\n`,
  );
  return ['"spans":[\n', ...lines, "]"];
}

/**
 * The id that a document is named by: its raw id, else its session id. Empty without a session id, since the tracer
 * that this package replaces named such a document `unknown.json`.
 */
export function idOf({ id, sessionId }: Readonly<Record<string, unknown>>): string {
  const session = textOf(sessionId);
  return session === "" ? "" : textOf(id) || session;
}

const textOf = (id: unknown): string => (typeof id === "string" || typeof id === "number" ? String(id) : "");

/**
 * Replaces the document of the session. If the name belongs to another session, uses the next name. Returns the path;
 * `undefined` when `mayCommit` returned `false`. Throws what the file system throws.
 */
export function* writeDocument(
  ports: CommitPorts,
  dir: string,
  { id, pieces }: EncodedDocument,
  mayCommit: () => boolean,
): Gensync<string | undefined> {
  const token = ports.liveness.newToken();
  yield* io.mkdirs(dir);
  const names = nameCandidates(id);
  probeName(ports.fileSystem, { dir, name: names[0] as string }, token);
  for (let index = 0; index < names.length; ) {
    const files: SessionFiles = { dir, name: names[index] as string };
    const published = yield* openDocument(ports.fileSystem, files);
    let held = published?.descriptor;
    try {
      if (!published && !(yield* canName(ports.fileSystem, files))) {
        index++;
        continue;
      }
      const owner = published ? yield* ownerOf(published, id) : "this session";
      if (owner === "another session") {
        index++;
        continue;
      }
      const outcome = yield* buildFile(ports.fileSystem, tempPath(files, token), function* ({ fd, path }) {
        yield* writePieces(fd, pieces);
        if (published && owner === "no session")
          yield* keepDamaged(ports.fileSystem, files, token, published);
        const base = published?.identity;
        if (locksOpenFiles(ports.fileSystem)) held = void held?.release();
        return yield* commit(ports, { files, token, source: path, by: "move", base, mayCommit });
      });
      if (outcome === "committed") return documentPath(files);
      if (outcome === "fenced") return undefined;
    } finally {
      held?.release();
    }
  }
  throw new Error(`no file name is left for session ${JSON.stringify(id)}`);
}

/** A member of a document that precedes its spans is in the first of these bytes. */
const leadingBytes = 1 << 20;

/**
 * Which session a file belongs to: by its first bytes, since a document may be as large as the one that replaces it. A
 * file that does not end like an object is damaged, and no document.
 */
function* ownerOf(
  { descriptor: { fd }, size }: OpenDocument,
  id: string,
): Gensync<"this session" | "another session" | "no session"> {
  const end = (yield* readRange(fd, Math.max(0, size - 16), size)).toString("latin1").trimEnd();
  const first = yield* readRange(fd, 0, Math.min(size, leadingBytes));
  const found = end.endsWith("}") ? leadingIds(first.toString("utf8")) : undefined;
  if (!found) return "no session";
  const foundId = idOf(found);
  const isKnownBy = found.id === undefined ? [id, safeId(id)] : [id];
  if (isKnownBy.includes(foundId)) return "this session";
  // A JSON file of another program has no session id.
  return foundId === "" ? "no session" : "another session";
}

function* writePieces(fd: number, pieces: readonly string[]): Gensync<void> {
  let waiting: string[] = [];
  let units = 0;
  for (const piece of pieces) {
    waiting.push(piece);
    units += piece.length;
    if (units < chunkBytes) continue;
    yield* writeAll(fd, Buffer.from(waiting.join("")));
    waiting = [];
    units = 0;
  }
  yield* writeAll(fd, Buffer.from(waiting.join("")));
  yield* io.fdatasync(fd);
}
