/**
 * Whether a session can be gone on with: its document, after what dead owners left of it was recovered.
 */

import { isRoot } from "../format/document.js";
import { nameCandidates } from "../format/file-names.js";
import type { SessionHistory } from "../format/history.js";
import { errorCode } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";
import type { CommitPorts } from "../storage/commit.js";
import { findDocument } from "../storage/document-file.js";
import { readHistory } from "../storage/session-history.js";
import { type Patience, recoverInRounds } from "./recover-directory.js";

/** Two seconds: somebody waits to go on with the session. */
const patience: Patience = { looks: 400, millis: 5 };

/** The history of a session that has a usable document: a trace document of its own, with a session span. */
export function* findResumable(
  ports: CommitPorts,
  dir: string,
  id: string,
): Gensync<SessionHistory | undefined> {
  const names = nameCandidates(id);
  if (!(yield* io.isDirectory(dir))) return undefined;
  const [failure] = (yield* recoverInRounds(ports, dir, patience, names)).failures;
  if (failure) throw failure.error;
  try {
    const { published } = yield* findDocument(ports.fileSystem, id, { dir, name: names[0] as string });
    if (!published) return undefined;
    try {
      const spans = [
        ...(published.tail?.spans ?? []),
        ...(published.body.type === "spans" ? published.body.spans : []),
      ];
      return spans.some(isRoot) ? yield* readHistory(published) : undefined;
    } finally {
      published.descriptor.release();
    }
  } catch (error) {
    // A directory in its place, say: nothing to go on from.
    if (errorCode(error) === "EISDIR") return undefined;
    throw error;
  }
}
