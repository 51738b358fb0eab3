/**
 * What the file system of one directory refuses, found by the first call that needs it and remembered: each refusal costs
 * what the refused thing gives, is reported once, and never stops documents.
 */
import { dirname } from "node:path";
import { messageOf } from "./errors.js";
import { type AsyncFileCalls, errorCode, type FileCalls, type FileSystem, tryUnlink } from "./file-system.js";

/** What a file system or a runtime can refuse. */
export type Capability =
  | "sync"
  | "directorySync"
  | "hardLinks"
  | "stableInodes"
  | "openFiles"
  | "nameCharacters";

/** A thing that the ground refuses. */
export interface Refusal {
  readonly capability: Capability;
  /** The code of the error that showed it, such as `EINVAL`. */
  readonly code: string;
  /** What happened, and what it costs. */
  readonly message: string;
}

/**
 * Codes with which a sync is refused for good: fsync(2) on FUSE, 9p and special files, and the permission model of Node.
 * EIO, ENOSPC and EDQUOT are faults: the bytes may be lost.
 */
const syncRefused = new Set([
  "EINVAL",
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
  "EPERM",
  "EROFS",
  "ERR_ACCESS_DENIED",
]);

/** A directory can be entered and not be opened, too. */
const directorySyncRefused = new Set([...syncRefused, "EACCES", "EISDIR", "EBADF"]);

/**
 * link(2): EPERM and ENOTSUP if the file system has no hard links, EACCES on Android, ERR_ACCESS_DENIED of Node's
 * permission model, EMLINK and EXDEV on unusual mounts.
 */
const linkRefused = new Set([
  "EPERM",
  "EACCES",
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
  "EMLINK",
  "EXDEV",
  "EINVAL",
  "ERR_ACCESS_DENIED",
]);

/** open(2) of a name with characters that the file system refuses: FAT, exFAT and NTFS on Linux say EINVAL. */
const nameRefused = new Set(["EINVAL", "EILSEQ"]);

/** Whether a failed link means that there are no hard links here. */
export const isUnlinkable = (error: unknown): boolean => linkRefused.has(errorCode(error) ?? "");

/** rename(2) over a file that another program holds open: a later attempt can succeed. */
const renameHeld = new Set(["EPERM", "EACCES", "EBUSY"]);

/** Whether a rename failed because another program holds the file, as far as the error shows. */
export const isHeld = (error: unknown): boolean => renameHeld.has(errorCode(error) ?? "");

const costs: Readonly<Record<Capability, string>> = {
  sync: "documents are written without a sync, so a power cut can take the newest ones; the death of a process takes nothing",
  directorySync: "a power cut can take back the name of a new document; the death of a process takes nothing",
  hardLinks: "final documents are copied instead of linked, which takes longer; nothing is lost",
  stableInodes: "documents are compared by their content, which takes longer; nothing is lost",
  nameCharacters:
    'sessions whose ids have one of < > " | ? * get names without them, with a hash; nothing is lost',
  openFiles:
    "a document that another program holds open is replaced when it is closed: by a retry, a later publish or recovery",
};

const otherInodes = (what: string): Error =>
  Object.assign(new Error(`${what} different inode numbers`), { code: "INODES" });

/** The capabilities of one directory. All are there until a call shows that they are not. */
export class Ground {
  readonly #refusals = new Map<Capability, Refusal>();
  readonly #onRefused: (refusal: Refusal) => void;
  /** Node's permission model refuses every sync of a descriptor. A descriptor that syncs each write is allowed. */
  readonly #isRestricted: boolean;
  #hasProbedInodes = false;
  #hasProbedNames = false;
  /** A rename that was refused, perhaps since this process holds the file. The next rename to that path shows it. */
  #heldRename: { readonly to: string; readonly error: unknown } | undefined;

  /** `onRefused` is called once for each capability that is refused. */
  constructor(onRefused: (refusal: Refusal) => void = () => {}) {
    this.#onRefused = onRefused;
    this.#isRestricted = (process as { readonly permission?: unknown }).permission !== undefined;
  }

  /** What was refused so far: capability to error code. */
  get refused(): Readonly<Partial<Record<Capability, string>>> {
    return Object.fromEntries([...this.#refusals.values()].map(({ capability, code }) => [capability, code]));
  }

  /** Whether a call has shown that the capability is missing. */
  refuses(capability: Capability): boolean {
    return this.#refusals.has(capability);
  }

  /** What the absence of the capability costs. */
  costOf(capability: Capability): string {
    const hasSyncedWrites = capability === "sync" && this.#isRestricted;
    return hasSyncedWrites
      ? "each write of a document is synced instead, which takes longer; nothing is lost"
      : costs[capability];
  }

  /** Whether no rename replaces a file that is open, as far as is known: this process closes its own files before. */
  get locksOpenFiles(): boolean {
    return this.refuses("openFiles") || this.#heldRename !== undefined;
  }

  /** A rename failed. If {@link isHeld}, this process closes its own files from now on, and tries again. */
  renameFailed(to: string, error: unknown): void {
    if (isHeld(error) && !this.refuses("openFiles")) this.#heldRename ??= { to, error };
  }

  /** A rename succeeded. If the rename to this path was refused while this process held the file, that was the reason. */
  renamed(to: string): void {
    if (this.#heldRename?.to !== to) return;
    this.refuse("openFiles", this.#heldRename.error);
    this.#heldRename = undefined;
  }

  /** The rename was refused to the end, though this process holds no file: another program does, or it is not allowed. */
  renameGivenUp(): void {
    this.#heldRename = undefined;
  }

  /** How a copy is created that is to be durable: each write is synced where the copy cannot be synced as a whole. */
  get copyMode(): "create" | "createSynced" {
    return this.#isRestricted ? "createSynced" : "create";
  }

  /** An error has shown that a capability is missing. */
  refuse(capability: Capability, error: unknown): void {
    if (this.#refusals.has(capability)) return;
    const code = errorCode(error) ?? "UNKNOWN";
    const refusal = { capability, code, message: `${messageOf(error)}: ${this.costOf(capability)}` };
    this.#refusals.set(capability, refusal);
    this.#onRefused(refusal);
  }

  /**
   * Compares the inode of a file that only this process has, once: `fstat` and `lstat` of FUSE file systems can disagree,
   * and an inode number of 0 identifies nothing.
   */
  probeInodes(calls: FileCalls, fd: number, path: string): void {
    if (this.#hasProbedInodes) return;
    this.#hasProbedInodes = true;
    const open = calls.fstat(fd);
    const named = [calls.lstat(path), calls.lstat(path)];
    if (open.ino !== 0n && named.every((stat) => stat?.ino === open.ino && stat.dev === open.dev)) return;
    // The file may be gone: a recovery that takes this process for dead removes it. The next file shows more.
    if (named.includes(undefined)) this.#hasProbedInodes = false;
    else this.refuse("stableInodes", otherInodes("fstat and lstat of one file have"));
  }

  /**
   * Creates and removes a file whose name has characters that some file systems refuse, once. Other errors show nothing.
   */
  probeNames(calls: FileCalls, path: string): void {
    if (this.#hasProbedNames) return;
    try {
      calls.mkdirs(dirname(path));
      calls.close(calls.open(path, "create"));
    } catch (error) {
      if (!nameRefused.has(errorCode(error) ?? "")) return;
      this.refuse("nameCharacters", error);
    }
    this.#hasProbedNames = true;
    tryUnlink(calls, path);
  }

  /** Whether a path has another inode number at each look. For an inode that is not the expected one. */
  changesInodes(calls: FileCalls, path: string): boolean {
    const [first, second] = [calls.lstat(path), calls.lstat(path)];
    if (first?.ino !== second?.ino) this.refuse("stableInodes", otherInodes("two looks at one file found"));
    return this.refuses("stableInodes");
  }
}

/**
 * Whether no rename replaces a file that is open, in this process or another one: known of Windows, and found out elsewhere.
 */
export const locksOpenFiles = ({ locksOpenFiles, ground }: FileSystem): boolean =>
  locksOpenFiles === true || ground?.locksOpenFiles === true;

/**
 * The file system as calls on this ground find it: a sync that is refused for good succeeds, and is remembered. A rename that
 * is refused fails, and is remembered, too.
 */
export function onGround(fileSystem: FileSystem, ground: Ground): FileSystem {
  const { sync, async: later } = fileSystem;
  const isRefusal = (capability: "sync" | "directorySync", error: unknown): boolean => {
    const codes = capability === "sync" ? syncRefused : directorySyncRefused;
    if (!codes.has(errorCode(error) ?? "")) return false;
    ground.refuse(capability, error);
    return true;
  };
  const now =
    <A>(capability: "sync" | "directorySync", call: (on: A) => void) =>
    (on: A): void => {
      if (ground.refuses(capability)) return;
      try {
        call(on);
      } catch (error) {
        if (!isRefusal(capability, error)) throw error;
      }
    };
  const afterwards =
    <A>(capability: "sync" | "directorySync", call: (on: A) => Promise<void>) =>
    async (on: A): Promise<void> => {
      if (ground.refuses(capability)) return;
      try {
        await call(on);
      } catch (error) {
        if (!isRefusal(capability, error)) throw error;
      }
    };
  const rename = (from: string, to: string): void => {
    try {
      sync.rename(from, to);
    } catch (error) {
      ground.renameFailed(to, error);
      throw error;
    }
    ground.renamed(to);
  };
  const onlySync: FileCalls = {
    ...sync,
    // Windows is known to lock open files.
    ...(!fileSystem.locksOpenFiles && { rename }),
    fdatasync: now("sync", sync.fdatasync),
    syncDirectory: now("directorySync", sync.syncDirectory),
  };
  const onlyAsync: AsyncFileCalls = {
    ...later,
    fdatasync: afterwards("sync", later.fdatasync),
    syncDirectory: afterwards("directorySync", later.syncDirectory),
  };
  return { ...fileSystem, sync: onlySync, async: onlyAsync, ground };
}
