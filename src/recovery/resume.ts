/**
 * Whether a session can be resumed: recovers its orphaned files first, then reads its document.
 */

import { isRoot } from "../format/document.js";
import { nameCandidates } from "../format/file-names.js";
import type { SessionHistory } from "../format/history.js";
import { errorCode } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import type { CommitPorts } from "../storage/commit.js";
import { findDocument } from "../storage/document-file.js";
import { readHistory } from "../storage/session-history.js";
import { type RetryPolicy, recoverInRounds } from "./recover-directory.js";

/** Two seconds: the caller waits to continue the session. */
const retry: RetryPolicy = { attempts: 400, delayMillis: 5 };

/** The history of a session; `undefined` unless the session has a trace document with a session span. */
export async function findResumable(
  ports: CommitPorts,
  dir: string,
  id: string,
): Promise<SessionHistory | undefined> {
  const { fileSystem } = ports;
  const names = nameCandidates(id);
  if (!(await fileSystem.async.isDirectory(dir))) return undefined;
  const [failure] = (await recoverInRounds(ports, dir, retry, names)).failures;
  if (failure) throw failure.error;
  try {
    const first = { dir, name: names[0] as string };
    const { published } = await runAsync(fileSystem, findDocument(fileSystem, id, first));
    if (!published) return undefined;
    try {
      const spans = [
        ...(published.tail?.spans ?? []),
        ...(published.body.type === "spans" ? published.body.spans : []),
      ];
      return spans.some(isRoot) ? await runAsync(fileSystem, readHistory(published)) : undefined;
    } finally {
      published.descriptor.release();
    }
  } catch (error) {
    // A directory has the name of the document: there is nothing to resume.
    if (errorCode(error) === "EISDIR") return undefined;
    throw error;
  }
}
