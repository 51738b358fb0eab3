/**
 * Side files of a session, the append log `.open` and the journal `.live`: found by their names, with the state of their
 * owners.
 */

import { decodeHead, decodeTail, tailStartIn } from "../format/document.js";
import { appendLogPath, journalPath, parseEntry, type SessionFiles } from "../format/file-names.js";
import { emptyJournal, replayJournal, replayWhole } from "../format/journal.js";
import { type Clock, nextEvent } from "../platform/clock.js";
import { Descriptor } from "../platform/descriptor.js";
import { type FileSystem, isNoFile } from "../platform/file-system.js";
import { type Gensync, io, pause } from "../platform/gensync.js";
import { isOrphaned, isRecoveryToken, type Liveness } from "../platform/liveness.js";
import type { CommitPorts } from "./commit.js";
import { readHeadLine } from "./document-file.js";
import { maxLineBytes, readRange, scanLines } from "./lines.js";

/** The side files of one owner. */
export interface SideFiles {
  readonly files: SessionFiles;
  readonly token: string;
}

/** The session and the owner of a side file; `undefined` for any other file, at a tenth of the time to parse its name. */
function ownerIn(fileName: string): { readonly name: string; readonly token: string } | undefined {
  if (!fileName.endsWith(".open") && !fileName.endsWith(".live")) return undefined;
  const entry = parseEntry(fileName);
  return entry.type === "open" || entry.type === "live" ? entry : undefined;
}

/** The side files of a directory, by session name. */
export function* listSideFiles(dir: string): Gensync<Map<string, SideFiles[]>> {
  const sessions = new Map<string, SideFiles[]>();
  for (const fileName of yield* io.readdir(dir)) {
    const owner = ownerIn(fileName);
    if (!owner) continue;
    const { name, token } = owner;
    const owners = sessions.get(name) ?? [];
    if (!owners.some((owner) => owner.token === token)) owners.push({ files: { dir, name }, token });
    sessions.set(name, owners);
  }
  return sessions;
}

/** Names of a directory that are parsed in one turn of the event loop. */
export const namesPerTurn = 4_096;

/** One listing of the owners of side files, for all sessions that end together: with a listing for each, they took minutes. */
export class OwnersListing {
  readonly #dir: string;
  /** The event at which the listing began. */
  #begunAt = 0;
  #owners: ReadonlyMap<string, string | undefined> = new Map();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /**
   * Whether a listing that began after this event has side files of a session for this owner only. A new listing is made
   * where the last one began before. `false` proves nothing.
   */
  *hasOnly(name: string, token: string, after: number): Gensync<boolean> {
    if (this.#begunAt <= after) yield* this.#list();
    return !this.#owners.has(name) || this.#owners.get(name) === token;
  }

  /** Forgets the listing. */
  clear(): void {
    this.#begunAt = 0;
    this.#owners = new Map();
  }

  *#list(): Gensync<void> {
    const begunAt = nextEvent();
    const owners = new Map<string, string | undefined>();
    let names = 0;
    for (const fileName of yield* io.readdir(this.#dir)) {
      if (++names % namesPerTurn === 0) yield* pause(0);
      const owner = ownerIn(fileName);
      if (!owner) continue;
      const { name, token } = owner;
      // `undefined`: several owners.
      owners.set(name, owners.has(name) && owners.get(name) !== token ? undefined : token);
    }
    this.#begunAt = begunAt;
    this.#owners = owners;
  }
}

/** What the state of an owner is found with. */
export interface StatePorts {
  readonly liveness: Pick<Liveness, "verdict" | "leaseMillis">;
  readonly clock: Pick<Clock, "now">;
}

/**
 * State of the side files of one owner. `absent`: they were listed and do not exist any more; `foreign`: the names are
 * borne by directories, links, pipes or sockets, which hold no records.
 */
export function* sideFileState(
  { liveness, clock }: StatePorts,
  { files, token }: SideFiles,
): Gensync<"orphaned" | "owned" | "absent" | "foreign"> {
  // The owner touches its journal as a heartbeat. Without a journal, the time of the append log counts.
  const journal = yield* io.lstat(journalPath(files, token));
  const stat = journal?.isFile ? journal : yield* io.lstat(appendLogPath(files, token));
  if (!stat?.isFile) return journal === undefined && stat === undefined ? "absent" : "foreign";
  return isOrphaned(liveness, token, stat.mtimeMs, clock.now()) ? "orphaned" : "owned";
}

/**
 * Whether a writer other than these owners writes to the session and will publish it again. That is neither a recovery
 * nor an owner whose append log has a tail: such an owner is ending the session, and if another writer is left, that
 * writer has to know. Nor is it one that a process hook has fenced, as long as the verdict stands.
 */
export function* hasPeerWriters(
  ports: CommitPorts,
  files: SessionFiles,
  id: string,
  owners: ReadonlySet<string>,
): Gensync<boolean> {
  for (const owner of (yield* listSideFiles(files.dir)).get(files.name) ?? []) {
    if (owners.has(owner.token) || isRecoveryToken(owner.token)) continue;
    const state = yield* sideFileState(ports, owner);
    if (state === "orphaned" || state === "foreign") continue;
    if (!(yield* isWriting(ports.fileSystem, owner, id))) continue;
    if (!(yield* isFenced(ports.fileSystem, owner))) return true;
  }
  return false;
}

/** Whether an append log belongs to this session and still grows. Two ids can share a name until one is published. */
function* isWriting(fileSystem: FileSystem, { files, token }: SideFiles, id: string): Gensync<boolean> {
  const log = yield* tryOpen(fileSystem, appendLogPath(files, token));
  // Not created yet, or taken over by mistake. An owner that ends removes its append log last.
  if (!log) return yield* io.exists(journalPath(files, token));
  try {
    const { size } = yield* io.fstat(log.fd);
    const tailStart = tailStartIn(yield* readRange(log.fd, Math.max(0, size - 64), size));
    const head = decodeHead(yield* readHeadLine(log.fd, size));
    if (head && head.id !== id) return false;
    if (tailStart === undefined || tailStart < 1 || tailStart >= size) return true;
    if (size - tailStart > maxLineBytes) return true;
    // The last bytes of a span can look like the end of a tail. They do not decode as a tail.
    const tail = yield* readRange(log.fd, tailStart - 1, size);
    return tail[0] !== 0x0a || decodeTail(tail.subarray(1)) === undefined;
  } finally {
    log.release();
  }
}

/** Bytes at the beginning of a journal that have its session, but for metadata of unusual size. */
const journalBeginning = 65_536;

/** Whether the verdict of a process hook stands on this owner: its journal begins with the verdict, or else never has it. */
function* isFenced(fileSystem: FileSystem, { files, token }: SideFiles): Gensync<boolean> {
  const journal = yield* tryOpen(fileSystem, journalPath(files, token));
  if (!journal) return false;
  try {
    const { size } = yield* io.fstat(journal.fd);
    const beginning = yield* readRange(journal.fd, 0, Math.min(size, journalBeginning));
    if (!replayJournal(beginning).session?.fenced?.end) return false;
    const state = emptyJournal();
    yield* scanLines(journal.fd, 0, size, (line) => replayWhole(state, line));
    return state.session?.fenced?.end !== undefined;
  } finally {
    journal.release();
  }
}

/** Opens a file; `undefined` where there is none. A symlink, a directory, a pipe or a socket counts as none. */
export function* tryOpen(fileSystem: FileSystem, path: string): Gensync<Descriptor | undefined> {
  let file: Descriptor | undefined;
  try {
    file = new Descriptor(fileSystem, yield* io.open(path, "read"));
    if ((yield* io.fstat(file.fd)).isFile) return file;
    file.release();
    return undefined;
  } catch (error) {
    file?.release();
    if (isNoFile(error)) return undefined;
    throw error;
  }
}
