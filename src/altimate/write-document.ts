/** Writes a whole document that is in memory, in place of the document of its session. */

import {
  type DocumentHead,
  type DocumentTail,
  encodeHead,
  encodeSpan,
  encodeTail,
  inTrace,
  isoTime,
  isRoot,
  isSpan,
} from "../format/document.js";
import { documentPath, nameCandidates, type SessionFiles, tempPath } from "../format/file-names.js";
import { toJsonValue } from "../format/json-value.js";
import type { TraceFile, TraceSpan } from "../format/trace-file.js";
import { type Gensync, io } from "../platform/gensync.js";
import { buildFile } from "../storage/build-file.js";
import { type CommitPorts, commit } from "../storage/commit.js";
import { findDocument, keepDamaged } from "../storage/document-file.js";
import { chunkBytes, writeAll } from "../storage/lines.js";

/** A document as bytes, without the parts that depend on its file name. */
export interface EncodedDocument {
  /** The raw id of the session, if the document has it; else the sanitised id. */
  readonly id: string;
  readonly head: Omit<DocumentHead, "sessionId">;
  readonly lines: readonly Buffer[];
  readonly tail: DocumentTail;
}

/**
 * Copies a document, which the caller may change afterwards. Ended spans become lines in their order; open spans and
 * the session's own span go to the tail. `undefined` for a document without a session id or an array of spans.
 */
export function encodeDocument(trace: TraceFile): EncodedDocument | undefined {
  const { traceId, sessionId, startedAt, endedAt, metadata, summary, layout } = trace;
  const id = trace.id ?? sessionId;
  if (typeof id !== "string" || !Array.isArray(trace.spans)) return undefined;
  const head = {
    id: trace.id,
    traceId: textOr(traceId, ""),
    startedAt: textOr(startedAt, isoTime(Date.now())),
  };
  const last: TraceSpan[] = [];
  const lines: Buffer[] = [];
  for (const span of trace.spans) {
    if (!isSpan(span)) continue;
    const own = inTrace(span, head.traceId);
    if (span.endTime === undefined || isRoot(span)) last.push(own);
    else lines.push(Buffer.from(`${lines.length === 0 ? "" : ","}${encodeSpan(own)}\n`));
  }
  // The session's own span is the last one in every layout.
  const spans = [...last.filter((span) => !isRoot(span)), ...last.filter(isRoot)];
  const { tailStart: _, ...shape } = layout ?? { tailStart: 0 };
  const tail = {
    spans: spans.map((span) => JSON.parse(encodeSpan(span))),
    metadata: toJsonValue(metadata ?? {}),
    summary: toJsonValue(summary ?? {}),
    endedAt: textOr(endedAt, head.startedAt),
    layout: { ...(toJsonValue(shape) as object), v: 1 },
  } as DocumentTail;
  return { id, head, lines, tail };
}

const textOr = (value: unknown, fallback: string): string => (typeof value === "string" ? value : fallback);

/**
 * Replaces the document of the session. If the name belongs to another session, uses the next name. Returns the path;
 * `undefined` when `mayCommit` returned `false`. Throws what the file system throws.
 */
export function* writeDocument(
  ports: CommitPorts,
  dir: string,
  document: EncodedDocument,
  mayCommit: () => boolean,
): Gensync<string | undefined> {
  const { fileSystem } = ports;
  const token = ports.liveness.newToken();
  const first: SessionFiles = { dir, name: nameCandidates(document.id)[0] as string };
  yield* io.mkdirs(dir);
  for (;;) {
    const { files, published } = yield* findDocument(fileSystem, document.id, first);
    try {
      const outcome = yield* buildFile(fileSystem, tempPath(files, token), function* ({ fd, path }) {
        yield* writeWhole(fd, document, files.name);
        if (published?.body.type === "unreadable") yield* keepDamaged(files, token, published);
        const base = published?.identity;
        return yield* commit(ports, { files, token, source: path, by: "move", base, mayCommit });
      });
      if (outcome === "committed") return documentPath(files);
      if (outcome === "fenced") return undefined;
    } finally {
      published?.descriptor.release();
    }
  }
}

function* writeWhole(fd: number, { head, lines, tail }: EncodedDocument, name: string): Gensync<void> {
  let size = 0;
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  function* put(bytes: Buffer, isLast = false): Gensync<void> {
    waiting.push(bytes);
    waitingBytes += bytes.length;
    if (waitingBytes < chunkBytes && !isLast) return;
    yield* writeAll(fd, Buffer.concat(waiting));
    size += waitingBytes;
    waiting = [];
    waitingBytes = 0;
  }
  yield* put(encodeHead({ ...head, sessionId: name }));
  for (const line of lines) yield* put(line);
  yield* put(encodeTail(tail, size + waitingBytes, lines.length === 0), true);
  yield* io.fdatasync(fd);
}
