/**
 * Whether a session can be gone on with: its document, after what dead owners left of it was recovered.
 */
import type { CommitPorts } from "./commit.js";
import { isDead, listSideFiles, type SideFiles } from "./dead-files.js";
import { errorCode } from "./file-system.js";
import { isRecoveryToken } from "./owner.js";
import { call, type Plan, pause } from "./plan.js";
import { findDocument, isRoot } from "./published.js";
import { recoverSession } from "./recover.js";
import { readHistory } from "./session-history.js";
import { livePath, nameCandidates, openPath } from "./session-name.js";
import type { SessionHistory } from "./session-recorder.js";

/** How often, and how long apart, a session looks whether the recovery that has its files is done. */
const patience = { looks: 400, millis: 5 };

/** The history of a session that has a usable document: a trace document of its own, with a session span. */
export function* findResumable(
  ports: CommitPorts,
  dir: string,
  id: string,
): Plan<SessionHistory | undefined> {
  const names = nameCandidates(id);
  if (!(yield* call("exists", dir))) return undefined;
  yield* recoverDead(ports, dir, names);
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

/** Recovers what dead owners left, or waits, for two seconds at most, until who recovers it just now is done. */
function* recoverDead(ports: CommitPorts, dir: string, names: readonly string[]): Plan<void> {
  for (let looks = 0; looks < patience.looks; looks++) {
    let isUnderWay = false;
    const owners = yield* listSideFiles(dir);
    for (const name of names) {
      const dead: SideFiles[] = [];
      for (const owner of owners.get(name) ?? []) {
        if (yield* isDead(ports, owner)) dead.push(owner);
        else isUnderWay ||= isRecoveryToken(owner.token) || !(yield* isThere(owner));
      }
      // Who is faster in taking them recovers them, we or the housekeeping of some exporter.
      if (dead.length > 0 && (yield* recoverSession(ports, dead)).length < dead.length) isUnderWay = true;
    }
    if (!isUnderWay) return;
    yield* pause(patience.millis);
  }
}

/** Whether an owner that was listed still has files: else a recovery took them since. */
function* isThere({ files, token }: SideFiles): Plan<boolean> {
  return (yield* call("exists", openPath(files, token))) || (yield* call("exists", livePath(files, token)));
}
