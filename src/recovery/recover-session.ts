/**
 * Recovers the orphaned files of one session: recorded spans, and open spans as interrupted, go into the document; then
 * the files are removed.
 */

import {
  appendLogPath,
  documentPath,
  journalPath,
  type SessionFiles,
  tempPath,
} from "../format/file-names.js";
import { Descriptor } from "../platform/descriptor.js";
import { type FileCalls, tryUnlink } from "../platform/file-system.js";
import { type Gensync, io, runAsync } from "../platform/gensync.js";
import { locksOpenFiles } from "../platform/ground.js";
import { newRecoveryToken, releaseToken } from "../platform/liveness.js";
import { type CommitPorts, commit, commitFirst } from "../storage/commit.js";
import { findDocument, keepDamaged, type Published } from "../storage/document-file.js";
import { mustProgress } from "../storage/identity.js";
import { SessionLock } from "../storage/lock.js";
import { hasPeerWriters, type SideFiles } from "../storage/side-files.js";
import { finishMoves } from "./finish-moves.js";
import { isIntact, type OrphanedFiles, readSideFiles, takeOver } from "./orphans.js";
import { recoverDocument } from "./recover-document.js";
import type { RecoveredSession, RecoveryFailure } from "./recover-traces.js";

const always = () => true;

/** The environment of a recovery. */
export interface RecoveryPorts extends CommitPorts {
  /** Only reports: takes no file over, and writes nothing. */
  readonly dryRun?: boolean;
}

/** The owners of side files in a directory, by session name, as they were at a time in epoch milliseconds. */
export interface ListedOwners {
  readonly at: number;
  readonly owners: ReadonlyMap<string, readonly SideFiles[]>;
}

/** A listing, and those of its owners whose files a recovery has taken over. */
type FoundOwners = ListedOwners & { readonly taken: readonly SideFiles[] };

/** A document that was committed so long before a listing was so by the clock of any file server, too. */
const clockMillis = 5_000;

/**
 * Whether an earlier listing proves that no other writer has the session: it has only the owners that are recovered now
 * (`taken`), and the document was there before it. A listing for each session took minutes for thousands.
 */
async function isListedAlone(
  { fileSystem }: RecoveryPorts,
  { at, owners, taken }: FoundOwners,
  name: string,
  published: Published | undefined,
): Promise<boolean> {
  if (!(owners.get(name) ?? []).every((owner) => taken.includes(owner))) return false;
  if (!published) return true;
  const { ctimeNs } = await fileSystem.async.fstat(published.descriptor.fd);
  return Number(ctimeNs / 1_000_000n) < at - clockMillis;
}

interface Recovered {
  readonly reports: readonly RecoveredSession[];
  /** Number of owners whose files another recovery took over first. */
  readonly missed: number;
  /** File names of sessions that spans have moved to: those have orphaned files now. */
  readonly targets: readonly string[];
  /** Files that could not be read: they stay for a later recovery, and hold up no other file of the session. */
  readonly failures: readonly RecoveryFailure[];
}

/**
 * Recovers the orphaned files of one session: of several owners, if several writers crashed. `unnamed`: what unnamed logs
 * have of the session, for a dry run; another recovery splits the logs first. `listed`: where the owners were found.
 */
export async function recoverSession(
  ports: RecoveryPorts,
  owners: readonly SideFiles[],
  unnamed: readonly OrphanedFiles[],
  listed?: ListedOwners,
): Promise<Recovered> {
  const orphans: OrphanedFiles[] = [];
  const tokens: string[] = [];
  const reports: RecoveredSession[] = [];
  const targets: string[] = [];
  const failures: RecoveryFailure[] = [];
  let missed = 0;
  try {
    for (const owner of owners) {
      const token = newRecoveryToken(ports.liveness);
      tokens.push(token);
      const own = ports.dryRun ? owner : takeOver(ports.fileSystem.sync, owner, token);
      if (own === undefined) missed++;
      else {
        try {
          orphans.push(await runAsync(ports.fileSystem, readSideFiles(ports, own, false)));
        } catch (error) {
          failures.push({ path: appendLogPath(own.files, own.token), error });
        }
      }
    }
    for (const [id, group] of groupById([...orphans, ...unnamed])) {
      const finished = ports.dryRun ? { left: group, targets: [] } : await finishMoves(ports, group);
      targets.push(...finished.targets);
      const [first, ...rest] = finished.left;
      if (!first) continue;
      // Another recovery that took files first has its share of the session.
      const found = missed === 0 && listed ? { ...listed, taken: owners } : undefined;
      const report = await recoverGroup(ports, id, [first, ...rest], found);
      if (report) reports.push(report);
    }
  } finally {
    for (const { log, files } of orphans) {
      log?.release();
      // On Windows, a dead claim that is a link to the log keeps its name until here.
      if (locksOpenFiles(ports.fileSystem)) new SessionLock(ports.fileSystem.sync, files).leave();
    }
    for (const token of tokens) releaseToken(token);
  }
  return { reports, missed, targets, failures };
}

type Group = [OrphanedFiles, ...OrphanedFiles[]];

/** Two ids that are no file names share a name until their documents get different names. */
function groupById(orphans: readonly OrphanedFiles[]): Map<string, Group> {
  const groups = new Map<string, Group>();
  for (const one of orphans) {
    const id = one.head?.id ?? one.journal.session?.id ?? one.files.name;
    const group = groups.get(id);
    if (group) group.push(one);
    else groups.set(id, [one]);
  }
  return groups;
}

/** `undefined` for a session without any record: only its files are removed. */
async function recoverGroup(
  ports: RecoveryPorts,
  id: string,
  orphans: Group,
  listed: FoundOwners | undefined,
): Promise<RecoveredSession | undefined> {
  const { fileSystem } = ports;
  const run = <T>(operation: Gensync<T>): Promise<T> => runAsync(fileSystem, operation);
  const [first] = orphans;
  const canSync = fileSystem.ground?.copyMode !== "createSynced";
  let canLink = canSync && orphans.length === 1 && (await run(isIntact(first)));
  for (let attempt = 1; ; attempt++) {
    mustProgress(attempt, documentPath(first.files));
    const { files, published } = await run(findDocument(fileSystem, id, first.files));
    const temp = tempPath(files, first.token);
    let held = published?.descriptor;
    let out: Descriptor | undefined;
    try {
      const base = published?.identity;
      const owner = first.log && (await run(io.fstat(first.log.fd)));
      const request = { files, token: first.token, base, owner, mayCommit: always };
      if (canLink && !published && first.tail && !ports.dryRun) {
        // The append log is finalized, and only the name is missing.
        const source = appendLogPath(first.files, first.token);
        const outcome = await run(commit(ports, { ...request, source, by: "link" }));
        if (outcome === "unlinkable") canLink = false;
        if (outcome !== "committed") continue;
        // Before the side files go: otherwise a power cut could undo the new name and leave no file at all.
        await fileSystem.async.syncDirectory(files.dir);
        return committedReport(id, files, first, removeSideFiles(fileSystem.sync, orphans, new Set()));
      }
      if (!ports.dryRun) {
        const mode = fileSystem.ground?.copyMode ?? "create";
        out = new Descriptor(fileSystem, await fileSystem.async.open(temp, mode));
        fileSystem.ground?.probeInodes(fileSystem.sync, out.fd, temp);
      }
      const tokens = new Set(orphans.map(({ token }) => token));
      const hasPeers =
        !(listed && (await isListedAlone(ports, listed, files.name, published))) &&
        (await run(hasPeerWriters(ports, files, id, tokens)));
      const isDead = (token: string) => ports.liveness.verdict(token) === "dead";
      const input = { id, files, published, orphans, out: out?.fd, hasPeers, isDead };
      const recovered = await run(recoverDocument(input));
      if (recovered.isEmpty && !ports.dryRun) removeSideFiles(fileSystem.sync, orphans, new Set());
      if (recovered.isEmpty) return undefined;
      if (ports.dryRun) return recovered.report;
      if (recovered.report.action === "rebuilt") {
        if (published && recovered.isPublishedCorrupt)
          await run(keepDamaged(fileSystem, files, first.token, published));
        if (locksOpenFiles(fileSystem)) held = void held?.release();
        const isClosed = locksOpenFiles(fileSystem) && closeLinks(fileSystem.sync, orphans);
        const committing = { ...request, source: temp, by: "move" } as const;
        const outcome = await run(base ? commit(ports, committing) : commitFirst(ports, committing));
        if (outcome !== "committed") {
          if (isClosed) throw new Error(`${request.files.name} was changed by another process meanwhile`);
          continue;
        }
        await fileSystem.async.syncDirectory(files.dir);
      }
      return { ...recovered.report, keptAs: removeSideFiles(fileSystem.sync, orphans, recovered.corrupt) };
    } finally {
      held?.release();
      if (out) {
        out.release();
        tryUnlink(fileSystem.sync, temp);
      }
    }
  }
}

/**
 * Closes append logs with a second name: that of a writer that died in its last commit is the document as well, which no
 * rename replaces while it is open. Returns whether there was one.
 */
function closeLinks(calls: FileCalls, orphans: readonly OrphanedFiles[]): boolean {
  const linked = orphans.filter(({ log }) => log !== undefined && calls.fstat(log.fd).nlink > 1);
  for (const { log } of linked) log?.close();
  return linked.length > 0;
}

/**
 * Removes files whose content is in the document now, and the lock that their owner may have left. A file with corrupt
 * lines is kept under another name.
 */
function removeSideFiles(
  calls: FileCalls,
  orphans: readonly OrphanedFiles[],
  corrupt: ReadonlySet<OrphanedFiles>,
): string[] {
  const keptAs: string[] = [];
  for (const one of orphans) {
    const keep = (path: string, suffix: string) => {
      const kept = `${documentPath(one.files)}.damaged.${one.token}${suffix}`;
      calls.rename(path, kept);
      keptAs.push(kept);
    };
    const [log, journal] = [appendLogPath(one.files, one.token), journalPath(one.files, one.token)];
    // A suffix, because a corrupt document is kept under the same token.
    if (corrupt.has(one)) keep(log, ".open");
    else tryUnlink(calls, log);
    if (one.journal.corruptLines > 0) keep(journal, ".live");
    else tryUnlink(calls, journal);
    new SessionLock(calls, one.files).leave();
  }
  return keptAs;
}

const committedReport = (
  id: string,
  files: SessionFiles,
  { tail, journal }: OrphanedFiles,
  keptAs: readonly string[],
): RecoveredSession => ({
  id,
  path: documentPath(files),
  action: "committed",
  status: tail?.summary.status ?? "crashed",
  recoveredSpans: 0,
  interrupted: [],
  tornBytes: journal.tornBytes,
  corruptLines: journal.corruptLines,
  keptAs,
});
