/**
 * Unnamed logs of a directory: spans of a process whose sessions were not known yet.
 *
 * The log of a dead process is split into journals, one per session, as a writer of each session would have left them.
 * The recovery of those sessions does the rest, by union: split twice, a log has the same result.
 */

import { encodeSpan } from "../format/document.js";
import {
  journalPath,
  nameCandidates,
  parseEntry,
  type SessionFiles,
  unnamedPath,
} from "../format/file-names.js";
import {
  encodeJournalSpan,
  encodeOwner,
  encodeSession,
  type JournaledSession,
  replayJournal,
} from "../format/journal.js";
import type { TraceSpan } from "../format/trace-file.js";
import { awaitedAfterAll } from "../format/under-way.js";
import { type SplitLog, splitUnnamedLog, type UnnamedSession } from "../format/unnamed-log.js";
import { errorCode, tryUnlink } from "../platform/file-system.js";
import { type Gensync, io, runSync } from "../platform/gensync.js";
import {
  detectorOf,
  isOrphaned,
  isRecoveryToken,
  newRecoveryToken,
  releaseToken,
} from "../platform/liveness.js";
import { RecentMap } from "../platform/recent-map.js";
import { buildFile } from "../storage/build-file.js";
import type { CommitPorts } from "../storage/commit.js";
import { canName } from "../storage/document-file.js";
import { readRange, scanLines, writeAll } from "../storage/lines.js";
import { type StatePorts, tryOpen } from "../storage/side-files.js";
import type { Ghosts } from "./ghosts.js";
import type { OrphanedFiles } from "./orphans.js";
import type { RecoveryFailure } from "./recover-traces.js";

/** The unnamed log of one process. */
interface FoundLog {
  readonly token: string;
  /** `gone`: since the directory was read, a recovery has taken it, or its spans have reached their sessions. */
  readonly state: "orphaned" | "owned" | "gone";
  readonly lastWrite: number;
  /** Changes with every record: a log grows only. */
  readonly version: string;
}

/** The names of the sessions in a log, by its path, for the version that was read: a listing reads each log once. */
const knownNames = new RecentMap<string, { readonly version: string; readonly names: ReadonlySet<string> }>(
  1_024,
);

/** The tokens of the unnamed logs of a directory. */
function* listUnnamedTokens(dir: string): Gensync<string[]> {
  const entries = (yield* io.readdir(dir)).map(parseEntry);
  return entries.flatMap((entry) => (entry.type === "unnamed" ? [entry.token] : []));
}

/** The unnamed logs of a directory, or those of these owners, with the state of their owners. */
function* listUnnamedLogs(
  { liveness, clock }: CommitPorts,
  dir: string,
  tokens?: readonly string[],
): Gensync<FoundLog[]> {
  const found: FoundLog[] = [];
  for (const token of tokens ?? (yield* listUnnamedTokens(dir))) {
    const stat = yield* io.lstat(unnamedPath(dir, token));
    if (stat === undefined) found.push({ token, state: "gone", lastWrite: 0, version: "" });
    if (!stat?.isFile) continue;
    const { mtimeMs: lastWrite, ino, size } = stat;
    const state = isOrphaned(liveness, token, lastWrite, clock.now()) ? "orphaned" : "owned";
    found.push({ token, state, lastWrite, version: `${ino} ${size}` });
  }
  return found;
}

/** State of the unnamed log of one process. `absent`: it was listed and does not exist any more. */
export function* unnamedLogState(
  { liveness, clock }: StatePorts,
  dir: string,
  token: string,
): Gensync<"orphaned" | "owned" | "absent"> {
  const stat = yield* io.lstat(unnamedPath(dir, token));
  if (!stat?.isFile) return "absent";
  return isOrphaned(liveness, token, stat.mtimeMs, clock.now()) ? "orphaned" : "owned";
}

/** The logs of dead processes, split. */
interface SplitLogs {
  readonly failures: readonly RecoveryFailure[];
  /** Whether another recovery may have taken a log over: it gives sessions more orphaned files. */
  readonly hasRecovery: boolean;
}

/** Splits the logs of dead processes into journals of their sessions. A log that fails stays for the next recovery. */
export function* splitOrphanedLogs(ports: CommitPorts, dir: string, ghosts: Ghosts): Gensync<SplitLogs> {
  const failures: RecoveryFailure[] = [];
  let hasRecovery = false;
  for (const { token, state } of yield* listUnnamedLogs(ports, dir)) {
    const isTaken = state === "gone" && !ghosts.isKnown(token);
    hasRecovery ||= isTaken || (state === "owned" && isRecoveryToken(token));
    if (state !== "orphaned") continue;
    try {
      hasRecovery = (yield* splitOrphanedLog(ports, dir, token)) === "taken" || hasRecovery;
    } catch (error) {
      failures.push({ path: unnamedPath(dir, token), error });
    }
  }
  return { failures, hasRecovery };
}

/** `taken`: another recovery was faster. */
function* splitOrphanedLog(ports: CommitPorts, dir: string, token: string): Gensync<"split" | "taken"> {
  const { fileSystem, liveness } = ports;
  const own = newRecoveryToken(liveness);
  const path = unnamedPath(dir, own);
  try {
    const lastWrite = fileSystem.sync.lstat(unnamedPath(dir, token))?.mtimeMs;
    try {
      // If the owner is alive after all, it misses its file at the next record and begins a new one.
      fileSystem.sync.rename(unnamedPath(dir, token), path);
    } catch (error) {
      if (errorCode(error) === "ENOENT") return "taken";
      throw error;
    }
    const { sessions, corruptLines } =
      (yield* readUnnamedLog(ports, dir, own)) ?? splitUnnamedLog(Buffer.alloc(0));
    for (const session of sessions) yield* writeJournal(ports, dir, own, session, { token, lastWrite });
    // Before the log goes: a power cut must not take both.
    yield* io.syncDirectory(dir);
    if (corruptLines > 0) fileSystem.sync.rename(path, `${dir}/unnamed.json.damaged.${own}.live`);
    else tryUnlink(fileSystem.sync, path);
    return "split";
  } finally {
    // From here on the journals, or the log, are orphaned.
    releaseToken(own);
  }
}

/** The sessions of an unnamed log; `undefined` if the log is gone. */
function* readUnnamedLog(
  { fileSystem }: Pick<CommitPorts, "fileSystem">,
  dir: string,
  token: string,
): Gensync<SplitLog | undefined> {
  const file = yield* tryOpen(fileSystem, unnamedPath(dir, token));
  if (!file) return undefined;
  try {
    const { size } = yield* io.fstat(file.fd);
    return splitUnnamedLog(yield* readRecords(file.fd, size));
  } finally {
    file.release();
  }
}

/** Bytes of an unnamed log at most: it is read as a whole, and a longer one is left alone. */
const maxLogBytes = 1 << 28;

/** The lines of an unnamed log. A line that is too long, such as the hole of a sparse file, becomes an empty one. */
function* readRecords(fd: number, size: number): Gensync<Buffer> {
  if (size <= maxLogBytes) return yield* readRange(fd, 0, size);
  const lines: Buffer[] = [];
  let bytes = 0;
  yield* scanLines(fd, 0, size, (line) => {
    bytes += line.length + 1;
    if (bytes <= maxLogBytes) lines.push(Buffer.from(line), Buffer.of(0x0a));
  });
  if (bytes > maxLogBytes) throw new Error(`the unnamed log has more than ${maxLogBytes} bytes`);
  return Buffer.concat(lines);
}

/**
 * The file names of the sessions in one unnamed log, those of traces that name none included; `undefined` if the log is
 * gone. Changes nothing.
 */
export function* sessionNamesIn(
  ports: Pick<CommitPorts, "fileSystem">,
  dir: string,
  token: string,
): Gensync<string[] | undefined> {
  const stat = yield* io.lstat(unnamedPath(dir, token));
  if (!stat?.isFile) return stat && [];
  const split = yield* readUnnamedLog(ports, dir, token);
  return split?.sessions.map(({ session }) => sessionName(ports, dir, session.id));
}

/** Listings at most: each repeats only while a recovery takes logs over. */
const maxListings = 5;

/**
 * What unnamed logs hold of the session with this file name, or of all sessions, as the side files of one owner each.
 * `tokens`: those of the logs, if the caller has read the directory. Changes nothing.
 */
export function* readUnnamedSides(
  ports: CommitPorts,
  dir: string,
  only?: SessionFiles["name"],
  tokens?: readonly string[],
  listing = 1,
): Gensync<OrphanedFiles[]> {
  const found: OrphanedFiles[] = [];
  for (const { token, state: ownerState, lastWrite, version } of yield* listUnnamedLogs(ports, dir, tokens)) {
    const isOrphaned = ownerState === "orphaned";
    const path = unnamedPath(dir, token);
    const known = only === undefined ? undefined : knownNames.get(path);
    if (known?.version === version && only !== undefined && !known.names.has(only)) continue;
    const split = yield* readUnnamedLog(ports, dir, token);
    // It has another name by now, or its spans are in the files of their sessions.
    if (!split && listing < maxListings)
      return yield* readUnnamedSides(ports, dir, only, undefined, listing + 1);
    const sessions = (split?.sessions ?? []).map((one) => ({
      ...one,
      files: { dir, name: sessionName(ports, dir, one.session.id) },
    }));
    if (split) knownNames.set(path, { version, names: new Set(sessions.map(({ files }) => files.name)) });
    for (const { session, spans, files } of sessions) {
      if (only !== undefined && files.name !== only) continue;
      const journal = replayJournal(Buffer.concat(journalOf({ token, lastWrite }, session, spans)));
      const pending = spans.filter(({ endTime }) => endTime !== undefined);
      const none = { log: undefined, head: undefined, tail: undefined, from: 0, to: 0, tornBytes: 0 };
      const awaited = awaitedAfterAll("user", pending);
      const detector = isOrphaned ? detectorOf(ports.liveness, token) : undefined;
      const state = { isAlive: !isOrphaned, lastWrite, awaited, detector };
      found.push({ files, token, ...none, journal, pending, ...state });
    }
  }
  return found;
}

/** The first of the file names that a session may have in a directory. */
export function sessionName(
  { fileSystem }: Pick<CommitPorts, "fileSystem">,
  dir: string,
  id: string,
): string {
  const names = nameCandidates(id);
  return (
    names.find((name) => runSync(fileSystem, canName(fileSystem, { dir, name }))) ?? (names[0] as string)
  );
}

/** The dead writer whose records a recovery writes into a journal. */
export interface DeadWriter {
  readonly token: string;
  /** Epoch milliseconds of the last record. */
  readonly lastWrite: number | undefined;
}

/** Writes the journal of an orphaned owner of a session. `token`: that of the recovery. */
export function* writeJournal(
  ports: CommitPorts,
  dir: string,
  token: string,
  { session, spans }: UnnamedSession,
  writer: DeadWriter,
): Gensync<void> {
  const path = journalPath({ dir, name: sessionName(ports, dir, session.id) }, token);
  yield* buildFile(ports.fileSystem, path, function* (file) {
    yield* writeAll(file.fd, Buffer.concat(journalOf(writer, session, spans)));
    yield* io.fdatasync(file.fd);
    file.markRenamed();
  });
}

const journalOf = (
  { token, lastWrite }: DeadWriter,
  session: JournaledSession,
  spans: readonly TraceSpan[],
): Buffer[] => [
  // What its turn waits for follows from the spans: all of them are in the journal.
  encodeOwner(token, "user", lastWrite),
  encodeSession(session),
  ...spans.map((span) => encodeJournalSpan(encodeSpan(span))),
];
