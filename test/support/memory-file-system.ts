/**
 * A file system in memory, with names, links and inodes as in POSIX. It checks the library: writes to a file with a
 * document's name, and uses of a closed descriptor, are noted.
 */
import type { AsyncFileCalls, FileCalls, FileStat, FileSystem } from "../../src/platform/file-system.js";

interface Inode {
  readonly ino: bigint;
  readonly isDirectory: boolean;
  bytes: Buffer;
  size: number;
  /** The number of bytes that a power cut leaves. */
  durableSize: number;
  nlink: number;
  mtimeMs: number;
  ctime: bigint;
}

/** Decides when an asynchronous call takes effect, and when its promise settles. */
export type Ordering = (label: string) => Promise<unknown>;

const fault = (code: string, path: string | number) => Object.assign(new Error(`${code}: ${path}`), { code });
const parentOf = (path: string) => path.slice(0, path.lastIndexOf("/")) || "/";
const isDocument = (path: string) => path.endsWith(".json");

export class MemoryFileSystem implements FileSystem {
  readonly sync: FileCalls;
  readonly async: AsyncFileCalls;
  /** The violations of the library. */
  readonly offences: string[] = [];
  /** Called whenever a document's name gets another file. */
  onDocument: (path: string, text: string) => void = () => {};
  /** With a code, every change of the disk fails with it. `short` writes one byte at a time, once. */
  outage: string | undefined;
  readonly #names = new Map<string, Inode>();
  /** The names that a power cut leaves. */
  readonly #durableNames = new Map<string, Inode>();
  readonly #open = new Map<number, Inode>();
  #inodes = 0n;
  #descriptors = 2;

  constructor(order: Ordering = () => Promise.resolve()) {
    this.#names.set("/", this.#inode(true));
    this.#durableNames.set("/", this.#find("/"));
    this.sync = this.#calls();
    const later =
      (name: keyof FileCalls) =>
      async (...args: never[]) => {
        await order(name);
        let answer: () => unknown;
        try {
          const value = (this.sync[name] as (...args: never[]) => unknown)(...args);
          answer = () => value;
        } catch (error) {
          answer = () => {
            throw error;
          };
        }
        await order(`${name} answers`);
        return answer();
      };
    const names = Object.keys(this.sync) as (keyof FileCalls)[];
    this.async = Object.fromEntries(names.map((name) => [name, later(name)])) as unknown as AsyncFileCalls;
  }

  /** Names in a directory, sorted. */
  list(dir: string): string[] {
    return this.#names.has(dir) ? this.sync.readdir(dir).sort() : [];
  }

  /**
   * The disk after a power cut: bytes that were not synced are lost. Names whose directory was not synced are as
   * they were at its last sync, or as they are now, because a disk may do either.
   */
  afterPowerCut(names: "as synced" | "as they are"): MemoryFileSystem {
    const after = new MemoryFileSystem();
    const left = names === "as synced" ? this.#durableNames : this.#names;
    const isLeft = (path: string): boolean => path === "/" || (left.has(path) && isLeft(parentOf(path)));
    const inodes = new Map<Inode, Inode>();
    for (const [path, inode] of left) {
      if (path === "/" || !isLeft(path)) continue;
      const size = inode.durableSize;
      const copy = inodes.get(inode) ?? { ...inode, bytes: inode.bytes.subarray(0, size), size };
      inodes.set(inode, copy);
      for (const place of [after.#names, after.#durableNames]) place.set(path, copy);
    }
    after.#inodes = this.#inodes;
    return after;
  }

  text(path: string): string | undefined {
    const inode = this.#names.get(path);
    return inode?.bytes.toString("utf8", 0, inode.size);
  }

  #calls(): FileCalls {
    return {
      open: (path, mode) => this.#openFile(path, mode === "createSynced" ? "create" : mode),
      close: (fd) => {
        this.#inodeOf(fd);
        this.#open.delete(fd);
      },
      write: (fd, bytes, offset, length) => this.#write(fd, bytes, offset, length),
      read: (fd, bytes, offset, length, position) => {
        const inode = this.#inodeOf(fd);
        return inode.bytes.copy(bytes, offset, position, Math.min(inode.size, position + length));
      },
      fdatasync: (fd) => {
        const inode = this.#inodeOf(fd);
        this.#refuse("fdatasync");
        inode.durableSize = inode.size;
      },
      fstat: (fd) => this.#stat(this.#inodeOf(fd)),
      lstat: (path) => {
        const inode = this.#names.get(path);
        return inode && this.#stat(inode);
      },
      exists: (path) => this.#names.has(path),
      existsQuickly: (path) => this.#names.has(path),
      isDirectory: (path) => this.#names.get(path)?.isDirectory === true,
      rename: (from, to) => {
        const inode = this.#find(from);
        this.#refuse(to);
        this.#find(parentOf(to));
        if (this.#names.get(to) === inode) return;
        this.#drop(to);
        this.#names.delete(from);
        this.#give(to, inode);
      },
      link: (from, to) => {
        const inode = this.#find(from);
        this.#refuse(to);
        this.#find(parentOf(to));
        if (this.#names.has(to)) throw fault("EEXIST", to);
        inode.nlink++;
        this.#give(to, inode);
      },
      unlink: (path) => {
        this.#find(path);
        this.#drop(path);
      },
      mkdirs: (path) => {
        if (this.#names.has(path)) return undefined;
        const topmost = this.sync.mkdirs(parentOf(path));
        this.sync.mkdir(path);
        return topmost ?? path;
      },
      mkdir: (path) => {
        if (this.#names.has(path)) throw fault("EEXIST", path);
        this.#find(parentOf(path));
        this.#refuse(path);
        this.#names.set(path, this.#inode(true));
      },
      rmdir: (path) => {
        this.#find(path);
        if (this.sync.readdir(path).length > 0) throw fault("ENOTEMPTY", path);
        this.#names.delete(path);
      },
      readdir: (path) => {
        this.#find(path);
        const within = path === "/" ? "/" : `${path}/`;
        const below = [...this.#names.keys()].filter((name) => name.startsWith(within) && name !== within);
        return below.map((name) => name.slice(within.length)).filter((name) => !name.includes("/"));
      },
      touch: (path) => {
        this.#find(path).mtimeMs = Date.now();
      },
      adopt: (path) => {
        this.#find(path);
      },
      syncDirectory: (path) => {
        this.#find(path);
        const isIn = (name: string) => name !== "/" && parentOf(name) === path;
        for (const name of this.#durableNames.keys()) if (isIn(name)) this.#durableNames.delete(name);
        for (const [name, inode] of this.#names) if (isIn(name)) this.#durableNames.set(name, inode);
      },
      readText: (path) => {
        this.#find(path);
        return this.text(path) ?? "";
      },
      readlink: (path) => {
        throw fault("EINVAL", path);
      },
    };
  }

  #openFile(path: string, mode: "create" | "append" | "read"): number {
    if (mode === "create") {
      this.#find(parentOf(path));
      if (this.#names.has(path)) throw fault("EEXIST", path);
      this.#refuse(path);
      this.#give(path, this.#inode(false));
    }
    const fd = ++this.#descriptors;
    this.#open.set(fd, this.#find(path));
    return fd;
  }

  #write(fd: number, bytes: Uint8Array, offset: number, length: number): number {
    const inode = this.#inodeOf(fd);
    const isShort = this.outage === "short" && length > 1;
    if (this.outage !== "short") this.#refuse("write");
    const taken = isShort ? Math.ceil(length / 2) : length;
    if (isShort) this.outage = "ENOSPC";
    const name = [...this.#names].find(([path, named]) => named === inode && isDocument(path))?.[0];
    if (name) this.offences.push(`wrote into ${name}`);
    if (inode.size + taken > inode.bytes.length)
      inode.bytes = Buffer.concat([inode.bytes], 2 * (inode.size + taken));
    inode.bytes.set(bytes.subarray(offset, offset + taken), inode.size);
    inode.size += taken;
    inode.mtimeMs = Date.now();
    return taken;
  }

  #give(path: string, inode: Inode): void {
    this.#names.set(path, inode);
    inode.ctime++;
    if (isDocument(path)) this.onDocument(path, this.text(path) ?? "");
  }

  #drop(path: string): void {
    const inode = this.#names.get(path);
    if (inode) inode.nlink--;
    this.#names.delete(path);
  }

  #inode(isDirectory: boolean): Inode {
    const mtimeMs = Date.now();
    return {
      ino: ++this.#inodes,
      isDirectory,
      bytes: Buffer.alloc(0),
      size: 0,
      durableSize: 0,
      nlink: 1,
      mtimeMs,
      ctime: 0n,
    };
  }

  #find(path: string): Inode {
    const inode = this.#names.get(path);
    if (!inode) throw fault("ENOENT", path);
    return inode;
  }

  #inodeOf(fd: number): Inode {
    const inode = this.#open.get(fd);
    if (inode) return inode;
    this.offences.push(`used descriptor ${fd}, which is closed`);
    throw fault("EBADF", fd);
  }

  #refuse(what: string): void {
    if (this.outage !== undefined && this.outage !== "short") throw fault(this.outage, what);
  }

  #stat({ ino, size, nlink, mtimeMs, ctime, isDirectory }: Inode): FileStat {
    return {
      dev: 1n,
      ino,
      size,
      nlink,
      mtimeMs,
      ctimeNs: ctime,
      isFile: !isDirectory,
      isDirectory,
      uid: 0,
      gid: 0,
      mode: 0o600,
    };
  }
}
