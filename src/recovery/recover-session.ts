/**
 * Finishing what dead owners left of one session: their lines, and their open spans as interrupted, go into the
 * document; then their side files go.
 */

import { documentPath, livePath, openPath, type SessionFiles, tempPath } from "../format/file-names.js";
import { Descriptor } from "../platform/descriptor.js";
import { type FileCalls, tryUnlink } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";
import { newRecoveryToken, retire } from "../platform/liveness.js";
import { type CommitPorts, commit } from "../storage/commit.js";
import { findDocument, keepDamaged } from "../storage/document-file.js";
import { othersWrite, type SideFiles } from "../storage/side-files.js";
import { type DeadFiles, isSound, readSideFiles, takeOver } from "./orphans.js";
import { rebuild } from "./rebuild.js";
import type { RecoveredSession } from "./recovery-report.js";

const always = () => true;

/** What a recovery works with. */
export interface RecoveryPorts extends CommitPorts {
  /** Only looks: takes nothing, writes nothing. */
  readonly dryRun?: boolean;
}

/** What was recovered, and of how many owners another recovery was faster in taking the files. */
interface Recovered {
  readonly reports: readonly RecoveredSession[];
  readonly missed: number;
}

/** Recovers all dead owners of one session, which may be several after a crash of twins. */
export function* recoverSession(ports: RecoveryPorts, owners: readonly SideFiles[]): Gensync<Recovered> {
  const dead: DeadFiles[] = [];
  const tokens: string[] = [];
  const reports: RecoveredSession[] = [];
  try {
    for (const owner of owners) {
      const token = newRecoveryToken(ports.liveness);
      tokens.push(token);
      const own = ports.dryRun ? owner : takeOver(ports.fileSystem.sync, owner, token);
      if (own) dead.push(yield* readSideFiles(ports.fileSystem, own, false));
    }
    for (const [id, group] of groupById(dead)) {
      const first = group[0];
      if (first) reports.push(yield* recoverGroup(ports, id, first, group));
    }
  } finally {
    for (const { open } of dead) open?.release();
    for (const token of tokens) retire(token);
  }
  return { reports, missed: owners.length - dead.length };
}

/** Ids that are no file names can share a name until their documents part them. */
function groupById(taken: readonly DeadFiles[]): Map<string, DeadFiles[]> {
  const groups = new Map<string, DeadFiles[]>();
  for (const dead of taken) {
    const id = dead.head?.id ?? dead.live.session?.id ?? dead.files.name;
    groups.set(id, [...(groups.get(id) ?? []), dead]);
  }
  return groups;
}

function* recoverGroup(
  ports: RecoveryPorts,
  id: string,
  first: DeadFiles,
  dead: readonly DeadFiles[],
): Gensync<RecoveredSession> {
  const calls = ports.fileSystem.sync;
  let canLink = dead.length === 1 && (yield* isSound(first));
  for (;;) {
    const { files, published } = yield* findDocument(ports.fileSystem, id, first.files);
    const temp = tempPath(files, first.token);
    let out: Descriptor | undefined;
    try {
      const base = published?.identity;
      const request = { files, token: first.token, base, mayCommit: always };
      if (canLink && !published && first.tail && !ports.dryRun) {
        // Sealed, and only the name is missing.
        const source = openPath(first.files, first.token);
        const outcome = yield* commit(ports, { ...request, source, by: "link" });
        if (outcome === "unlinkable") canLink = false;
        if (outcome !== "committed") continue;
        // Before the side files go: else a power cut could take the name, and leave nothing else.
        yield* io.syncDirectory(files.dir);
        return committedReport(id, files, first, removeSideFiles(calls, dead, new Set()));
      }
      if (!ports.dryRun) out = new Descriptor(ports.fileSystem, yield* io.open(temp, "create"));
      const others = yield* othersWrite(ports, files, id, new Set(dead.map(({ token }) => token)));
      const rebuilt = yield* rebuild({ id, files, published, dead, out: out?.fd, othersLive: others });
      if (ports.dryRun) return rebuilt.report;
      if (rebuilt.report.action === "rebuilt") {
        if (published && rebuilt.isDamaged) yield* keepDamaged(files, first.token, published);
        const outcome = yield* commit(ports, { ...request, source: temp, by: "move" });
        if (outcome !== "committed") continue;
        yield* io.syncDirectory(files.dir);
      }
      return { ...rebuilt.report, keptAs: removeSideFiles(calls, dead, rebuilt.rotten) };
    } finally {
      published?.descriptor.release();
      if (out) {
        out.release();
        tryUnlink(calls, temp);
      }
    }
  }
}

/** Removes what is in the document now; a file with lines that nobody could read is kept under another name. */
function removeSideFiles(
  calls: FileCalls,
  dead: readonly DeadFiles[],
  rotten: ReadonlySet<DeadFiles>,
): string[] {
  const keptAs: string[] = [];
  for (const one of dead) {
    const keep = (path: string, suffix: string) => {
      const kept = `${documentPath(one.files)}.damaged.${one.token}${suffix}`;
      calls.rename(path, kept);
      keptAs.push(kept);
    };
    const [open, live] = [openPath(one.files, one.token), livePath(one.files, one.token)];
    // Its own suffix: a damaged document is kept under the same token.
    if (rotten.has(one)) keep(open, ".open");
    else tryUnlink(calls, open);
    if (one.live.corruptLines > 0) keep(live, ".live");
    else tryUnlink(calls, live);
  }
  return keptAs;
}

const committedReport = (
  id: string,
  files: SessionFiles,
  sealed: DeadFiles,
  keptAs: readonly string[],
): RecoveredSession => ({
  id,
  path: documentPath(files),
  action: "committed",
  status: sealed.tail?.summary.status ?? "crashed",
  recoveredSpans: 0,
  interrupted: [],
  tornBytes: sealed.live.tornBytes,
  corruptLines: sealed.live.corruptLines,
  keptAs,
});
