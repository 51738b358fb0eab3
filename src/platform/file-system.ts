/**
 * The file-system port. Only this file imports `node:fs`; tests replace the port by faulty, slow and counting ones. Each
 * call exists twice under one name, synchronous and asynchronous, so that an operation (`gensync.ts`) runs in either form.
 *
 * No call follows a symlink in the last place of its path, except those on the traces directory itself, which a user
 * may have made a link: `readdir`, `isDirectory`, `mkdirs` and `syncDirectory`. A lock is the only other directory;
 * `lock.ts` refuses links before it lists one.
 */
import nodeFs from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import type { Ground } from "./ground.js";
import { ownCalls } from "./own-work.js";

/** What is asked about a file. Device and inode are exact: Windows file ids do not fit a number. */
export interface FileStat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: number;
  readonly nlink: number;
  readonly mtimeMs: number;
  readonly ctimeNs: bigint;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly uid: number;
  readonly gid: number;
  /** The permissions alone. */
  readonly mode: number;
}

/**
 * How a file is opened. No mode follows a symlink in the last place (O_NOFOLLOW, where the platform has the flag).
 * - `create`: read and append; the file must not exist (O_EXCL); mode 0600
 * - `createSynced`: like `create`, and each write returns when its bytes are on the disk (O_DSYNC)
 * - `append`: read and append; the file must exist
 * - `read`: read only; does not wait for the other end of a pipe
 */
type OpenMode = "create" | "createSynced" | "append" | "read";

/** Every file-system call of this package. All throw Node's `ErrnoException`s. */
export interface FileCalls {
  open(path: string, mode: OpenMode): number;
  close(fd: number): void;
  /** Writes at the end; returns the number of bytes that were written, which may be fewer than given. */
  write(fd: number, bytes: Uint8Array, offset: number, length: number): number;
  /** Reads at a position; returns the number of bytes that were read. */
  read(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number;
  fdatasync(fd: number): void;
  fstat(fd: number): FileStat;
  /** `undefined` when there is no such file. */
  lstat(path: string): FileStat | undefined;
  /** Whether something bears the name. A symlink counts as nothing: no byte is read or written through one. */
  exists(path: string): boolean;
  /** Like {@link exists}, but a symlink counts as its target. For the look after each record: 1.1 µs instead of 1.8. */
  existsQuickly(path: string): boolean;
  /** Whether the path leads to a directory, through a symlink or not. */
  isDirectory(path: string): boolean;
  rename(from: string, to: string): void;
  /** Throws ELOOP when `from` is a symlink: link(2) follows a symlink on macOS, and gives it a second name on Linux. */
  link(from: string, to: string): void;
  unlink(path: string): void;
  /** Creates the directory (0700) and its parents; returns the topmost directory that was created. */
  mkdirs(path: string): string | undefined;
  mkdir(path: string): void;
  rmdir(path: string): void;
  /** Names, unsorted. */
  readdir(path: string): string[];
  /** Sets both times to now; of a symlink the times of the link itself. */
  touch(path: string): void;
  /** Gives a file an owner, a group and permissions. Throws where one of them is refused. */
  adopt(path: string, like: Pick<FileStat, "uid" | "gid" | "mode">): void;
  /** Makes renames and new names in a directory durable. Does nothing on Windows. */
  syncDirectory(path: string): void;
  readText(path: string): string;
  readlink(path: string): string;
}

/** The same calls, each returning a promise. */
export type AsyncFileCalls = {
  [K in keyof FileCalls]: (...args: Parameters<FileCalls[K]>) => Promise<ReturnType<FileCalls[K]>>;
};

/** The port. */
export interface FileSystem {
  readonly sync: FileCalls;
  readonly async: AsyncFileCalls;
  /** What the directory refuses that these calls are made in. Absent: nothing is known to be refused. */
  readonly ground?: Ground | undefined;
  /** Windows: no rename replaces a file that is open, in this process or another one. Ask `locksOpenFiles` of `ground.ts`. */
  readonly locksOpenFiles?: boolean | undefined;
  /** Windows: characters that no name can have. */
  readonly refusedInNames?: RegExp | undefined;
}

// The default import is the object whose functions instrumentations replace, in CommonJS and in ES modules.
const fs = ownCalls(nodeFs);

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR } = nodeFs.constants;
// Absent on Windows.
const O_DSYNC = nodeFs.constants.O_DSYNC ?? 0;
// Absent on Windows, where creating a symlink is a privilege.
const O_NOFOLLOW = nodeFs.constants.O_NOFOLLOW ?? 0;
// Without O_NONBLOCK, opening a named pipe waits until a process writes to the pipe, on the main thread as well.
const O_NONBLOCK = nodeFs.constants.O_NONBLOCK ?? 0;

const flags: Record<OpenMode, number> = {
  create: O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW,
  createSynced: O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_DSYNC,
  append: O_RDWR | O_APPEND | O_NOFOLLOW,
  read: O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
};

function toStat(stat: nodeFs.BigIntStats): FileStat {
  return {
    dev: stat.dev,
    ino: stat.ino,
    size: Number(stat.size),
    nlink: Number(stat.nlink),
    mtimeMs: Number(stat.mtimeMs),
    ctimeNs: stat.ctimeNs,
    isFile: stat.isFile(),
    isDirectory: stat.isDirectory(),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mode: Number(stat.mode) & 0o777,
  };
}

/** Windows has no fsync of directories, and syncs a name with its file. */
const canSyncDirectories = process.platform !== "win32";

function syncDirectory(path: string): void {
  if (!canSyncDirectories) return;
  const fd = fs.openSync(path, O_RDONLY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

const isDirectory = (path: string): boolean => {
  try {
    return fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    return false;
  }
};

/**
 * Like mkdir(2) with `recursive`, which in Node never returns below a directory that was deleted, or that takes no entries:
 * a volume that is gone, /proc. No path is tried more than twice here.
 */
function makeDirectories(path: string): string | undefined {
  if (isDirectory(path)) return undefined;
  const missing: string[] = [];
  let made: string | undefined;
  for (let at = path; made === undefined; at = dirname(at)) {
    try {
      fs.mkdirSync(at, { mode: 0o700 });
      made = at;
    } catch (error) {
      if (isDirectory(at)) break;
      if (errorCode(error) !== "ENOENT" || dirname(at) === at) throw error;
      missing.push(at);
    }
  }
  for (const one of missing.reverse()) {
    try {
      fs.mkdirSync(one, { mode: 0o700 });
      made ??= one;
    } catch (error) {
      // Another process was faster.
      if (!isDirectory(one)) throw error;
    }
  }
  return made;
}

const sync: FileCalls = {
  open: (path, mode) => fs.openSync(path, flags[mode], 0o600),
  close: (fd) => fs.closeSync(fd),
  write: (fd, bytes, offset, length) => fs.writeSync(fd, bytes, offset, length),
  read: (fd, bytes, offset, length, position) => fs.readSync(fd, bytes, offset, length, position),
  fdatasync: (fd) => fs.fdatasyncSync(fd),
  fstat: (fd) => toStat(fs.fstatSync(fd, { bigint: true })),
  lstat(path) {
    const stat = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false });
    return stat && toStat(stat);
  },
  existsQuickly: (path) => fs.existsSync(path),
  exists(path) {
    try {
      return fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === false;
    } catch {
      return false;
    }
  },
  isDirectory,
  rename: (from, to) => fs.renameSync(from, to),
  link(from, to) {
    if (fs.lstatSync(from).isSymbolicLink()) throw noRegularFile(from);
    fs.linkSync(from, to);
  },
  unlink: (path) => fs.unlinkSync(path),
  mkdirs: makeDirectories,
  mkdir: (path) => void fs.mkdirSync(path, { mode: 0o700 }),
  rmdir: (path) => fs.rmdirSync(path),
  readdir: (path) => fs.readdirSync(path),
  touch(path) {
    const now = new Date();
    fs.lutimesSync(path, now, now);
  },
  adopt(path, { uid, gid, mode }) {
    const fd = fs.openSync(path, flags.read);
    try {
      // First the owner: a change of the owner can take permissions away (chown(2)).
      fs.fchownSync(fd, uid, gid);
      fs.fchmodSync(fd, mode);
    } finally {
      fs.closeSync(fd);
    }
  },
  syncDirectory,
  readText(path) {
    const fd = fs.openSync(path, flags.read);
    try {
      return fs.readFileSync(fd, "utf8");
    } finally {
      fs.closeSync(fd);
    }
  },
  readlink: (path) => fs.readlinkSync(path),
};

// Not `fs.promises`: loading it takes a sixth of the import of this package.
const openLater = promisify(fs.open);
const closeLater = promisify(fs.close);
const fsyncLater = promisify(fs.fsync);
const lstatLater = promisify<string, nodeFs.BigIntOptions, nodeFs.BigIntStats>(fs.lstat);
const linkLater = promisify(fs.link);
const mkdirLater = promisify<string, nodeFs.MakeDirectoryOptions>(fs.mkdir);
const lutimesLater = promisify(fs.lutimes);
const readFileLater = promisify<string, { encoding: "utf8"; flag: number }, string>(fs.readFile as never);
const fstatLater = promisify<number, nodeFs.BigIntOptions, nodeFs.BigIntStats>(fs.fstat);

const async: AsyncFileCalls = {
  open: (path, mode) => openLater(path, flags[mode], 0o600),
  close: (fd) => closeLater(fd),
  write: (fd, bytes, offset, length) =>
    new Promise((resolve, reject) =>
      fs.write(fd, bytes, offset, length, null, (error, written) =>
        error ? reject(error) : resolve(written),
      ),
    ),
  read: (fd, bytes, offset, length, position) =>
    new Promise((resolve, reject) =>
      fs.read(fd, bytes, offset, length, position, (error, got) => (error ? reject(error) : resolve(got))),
    ),
  fdatasync: promisify(fs.fdatasync),
  fstat: async (fd) => toStat(await fstatLater(fd, { bigint: true })),
  async lstat(path) {
    try {
      return toStat(await lstatLater(path, { bigint: true }));
    } catch (error) {
      if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
      throw error;
    }
  },
  existsQuickly: (path) => new Promise((resolve) => fs.access(path, (error) => resolve(!error))),
  exists: (path) =>
    new Promise((resolve) => fs.lstat(path, (error, stat) => resolve(!error && !stat.isSymbolicLink()))),
  isDirectory: (path) =>
    new Promise((resolve) => fs.stat(path, (error, stat) => resolve(!error && stat.isDirectory()))),
  rename: promisify(fs.rename),
  async link(from, to) {
    if ((await lstatLater(from, { bigint: true })).isSymbolicLink()) throw noRegularFile(from);
    await linkLater(from, to);
  },
  unlink: promisify(fs.unlink),
  async mkdirs(path) {
    // Most directories exist. Making one is rare, and short.
    return (await async.isDirectory(path)) ? undefined : makeDirectories(path);
  },
  mkdir: (path) => mkdirLater(path, { mode: 0o700 }),
  rmdir: promisify(fs.rmdir),
  // `opendir` reads in pieces, but makes promises for each name: 10,000 names took 26 ms of the main thread instead of 3.
  readdir: promisify<string, string[]>(fs.readdir),
  async touch(path) {
    const now = new Date();
    await lutimesLater(path, now, now);
  },
  // Within the turn of a commit only.
  adopt: async (path, like) => sync.adopt(path, like),
  async syncDirectory(path) {
    if (!canSyncDirectories) return;
    const fd = await openLater(path, O_RDONLY);
    try {
      await fsyncLater(fd);
    } finally {
      await closeLater(fd);
    }
  },
  readText: (path) => readFileLater(path, { encoding: "utf8", flag: flags.read }),
  readlink: promisify<string, string>(fs.readlink),
};

/** The machine's file system. */
export const nodeFileSystem: FileSystem = {
  sync,
  async,
  locksOpenFiles: process.platform === "win32",
  refusedInNames: process.platform === "win32" ? /[<>"|?*]/ : undefined,
};

/** The `code` of a system error, such as `ENOENT`. */
export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** Whether a failed open means that there is no file: nothing, a symlink, or (ENXIO) a socket bears the name, or nothing can. */
export const isNoFile = (error: unknown): boolean =>
  ["ENOENT", "ELOOP", "ENXIO", "ENAMETOOLONG"].includes(errorCode(error) ?? "");

/**
 * Whether a call on a descriptor failed since the file behind it is gone, and only an open by name can succeed: the server of
 * the mount has died (ENOTCONN, FUSE), or the file was replaced or removed on a share (ESTALE, which libuv does not name).
 */
export const isStale = (error: unknown): boolean =>
  ["ENOTCONN", "ESTALE", "Unknown system error -116"].includes(errorCode(error) ?? "");

/** Thrown for a write that succeeded with 0 bytes: an immediate retry would loop. */
export const zeroBytesWritten = (): Error =>
  Object.assign(new Error("write() returned 0 bytes"), { code: "ENOSPC" });

/** Thrown when a symlink bears the name of a file; the code is that of open(2) with O_NOFOLLOW. */
export const noRegularFile = (path: string): Error =>
  Object.assign(new Error(`ELOOP: ${path} is no regular file`), { code: "ELOOP" });

/** Removes a file, where a failure does no harm. Returns whether the file is gone. */
export function tryUnlink(calls: FileCalls, path: string): boolean {
  try {
    calls.unlink(path);
    return true;
  } catch (error) {
    // Swept by the next recovery or retention.
    return errorCode(error) === "ENOENT";
  }
}

/** Removes a directory if it is empty. Returns whether it was removed. */
export function tryRemoveDirectory(calls: FileCalls, path: string): boolean {
  try {
    calls.rmdir(path);
    return true;
  } catch {
    return false;
  }
}
