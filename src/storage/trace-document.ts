/**
 * The document of a session that has ended before it had files: written at once, without side files. Until the document
 * has its name, its spans are safe in the unnamed log.
 */

import type { SessionStart } from "../format/beginnings.js";
import { encodeHead, encodeLineIntoScratch, encodeSpan, encodeTail } from "../format/document.js";
import { documentPath, type SessionFiles } from "../format/file-names.js";
import type { SessionEnd } from "../format/session-end.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { type Gensync, io } from "../platform/gensync.js";
import { buildFile } from "./build-file.js";
import { commitFirst } from "./commit.js";
import { writeAll } from "./lines.js";
import { SessionState } from "./session-state.js";
import type { WriterPorts } from "./session-writer.js";

const always = () => true;

/** A session with all its spans. */
export interface WholeSession {
  readonly start: SessionStart;
  readonly metadata: Partial<SessionMetadata>;
  /** Ended spans. */
  readonly spans: readonly TraceSpan[];
  readonly end: SessionEnd;
}

/** Where the document goes, and the temporary name and the owner of the file until then. */
export interface DocumentPlace {
  readonly files: SessionFiles;
  readonly token: string;
  readonly temp: string;
}

/**
 * Writes the document, without a sync of the directory. Returns in the turn of the commit. `false`: there is a document of that name already, or a cap applies; then the session is to be
 * resumed instead. Throws when the file system refuses.
 */
export function* writeWholeDocument(
  ports: WriterPorts,
  { files, token, temp }: DocumentPlace,
  { start, metadata, spans, end }: WholeSession,
): Gensync<boolean> {
  if (ports.maxSpans > 0 && spans.length + 1 > ports.maxSpans) return false;
  if (yield* io.exists(documentPath(files))) return false;
  const session = new SessionState(start, files.name, token);
  session.learn(metadata);
  const bytes = [encodeHead(session.head)];
  let size = (bytes[0] as Buffer).length;
  for (const [index, span] of spans.entries()) {
    const line = encodeLineIntoScratch(encodeSpan(span), start.traceId, (text) =>
      Buffer.from(index === 0 ? text.subarray(1) : text),
    );
    bytes.push(line);
    size += line.length;
    session.count(span);
  }
  bytes.push(encodeTail(session.tail(ports.clock.now(), end), size, spans.length === 0));
  return yield* buildFile(ports.fileSystem, temp, function* (file) {
    yield* writeAll(file.fd, Buffer.concat(bytes));
    yield* io.fdatasync(file.fd);
    const request = {
      files,
      token,
      source: file.path,
      by: "move",
      base: undefined,
      mayCommit: always,
    } as const;
    return (yield* commitFirst(ports, request)) === "committed";
  });
}
