/** The real file system with refusals that last: what FUSE, 9p, FAT, Android, Windows and network shares refuse. */
import {
  type AsyncFileCalls,
  type FileCalls,
  type FileStat,
  type FileSystem,
  nodeFileSystem,
} from "../../src/platform/file-system.js";

/** How inode numbers are wrong. */
type WrongInodes = "differ by call" | "new at each look" | "all zero";

export interface Refusals {
  /** These calls always fail with this code. */
  readonly calls?: Partial<Record<keyof FileCalls, string>>;
  readonly inodes?: WrongInodes;
  /** Renames over a document fail with EPERM so often: another program holds the document. */
  readonly heldRenames?: number;
  /** Names of more bytes are refused with ENAMETOOLONG: 143 on eCryptfs. */
  readonly maxNameBytes?: number;
  /** No file can be created with such a name (EINVAL): FAT, NTFS. */
  readonly refusedNames?: RegExp;
  /** As on Windows: a rename over an open file fails with EPERM, and a deleted file keeps its names until the last close. */
  readonly locksOpenFiles?: boolean;
  /** A rename over an open file fails with this code, and the file system does not say so before: some FUSE, WSL, SMB. */
  readonly renameOverOpen?: string;
}

/** Calls that answer a name which is too long like one that nothing bears. */
const answering = new Set<keyof FileCalls>(["exists", "existsQuickly", "isDirectory"]);

export class RefusingFileSystem implements FileSystem {
  readonly sync: FileCalls;
  readonly async: AsyncFileCalls;
  readonly locksOpenFiles: boolean | undefined;
  readonly #refusals: Refusals;
  /** Inodes that are open, by descriptor. */
  readonly #open = new Map<number, bigint>();
  /** Names of open files that were deleted, with their inodes. */
  readonly #deleted = new Map<string, bigint>();
  /** Descriptors of another program. */
  readonly #others: number[] = [];
  #held: number;
  #looks = 0n;
  #calls = 0;

  constructor(refusals: Refusals) {
    this.#refusals = refusals;
    this.locksOpenFiles = refusals.locksOpenFiles;
    this.#held = refusals.heldRenames ?? 0;
    const names = Object.keys(nodeFileSystem.sync) as (keyof FileCalls)[];
    const now = (name: keyof FileCalls) =>
      [name, (...args: unknown[]) => this.#answer(name, this.#run(name, args))] as const;
    const later = (name: keyof FileCalls) =>
      [name, async (...args: unknown[]) => this.#answer(name, await this.#runLater(name, args))] as const;
    this.sync = Object.fromEntries(names.map(now)) as unknown as FileCalls;
    this.async = Object.fromEntries(names.map(later)) as unknown as AsyncFileCalls;
  }

  /** Calls so far: an operation that loops has no end of them. */
  get calls(): number {
    return this.#calls;
  }

  /** Another program opens a file for reading, and keeps it open until {@link letGo}. */
  hold(path: string): void {
    const fd = nodeFileSystem.sync.open(path, "read");
    this.#others.push(fd);
    this.#open.set(fd, nodeFileSystem.sync.fstat(fd).ino);
  }

  /** The other program closes its files. */
  letGo(): void {
    for (const fd of this.#others.splice(0)) this.sync.close(fd);
  }

  #run(name: keyof FileCalls, args: unknown[]): unknown {
    this.#refuse(name, args);
    if (this.#delays(name, args)) return undefined;
    const result = (nodeFileSystem.sync[name] as (...args: unknown[]) => unknown)(...args);
    if (name === "close") this.#deleteClosed();
    return result;
  }

  async #runLater(name: keyof FileCalls, args: unknown[]): Promise<unknown> {
    this.#refuse(name, args);
    if (this.#delays(name, args)) return undefined;
    const result = await (nodeFileSystem.async[name] as (...args: unknown[]) => Promise<unknown>)(...args);
    if (name === "close") this.#deleteClosed();
    return result;
  }

  /** Whether a deletion waits until the file is closed. */
  #delays(name: keyof FileCalls, args: unknown[]): boolean {
    if (name !== "unlink" || !this.locksOpenFiles) return false;
    const ino = nodeFileSystem.sync.lstat(String(args[0]))?.ino;
    if (ino === undefined || ![...this.#open.values()].includes(ino)) return false;
    this.#deleted.set(String(args[0]), ino);
    return true;
  }

  #deleteClosed(): void {
    const open = new Set(this.#open.values());
    for (const [path, ino] of this.#deleted) {
      if (open.has(ino)) continue;
      this.#deleted.delete(path);
      if (nodeFileSystem.sync.lstat(path)?.ino === ino) nodeFileSystem.sync.unlink(path);
    }
  }

  #refuse(name: keyof FileCalls, args: unknown[]): void {
    // A loop of this many calls would not end: the test fails in the call, also where the event loop stands still.
    if (++this.#calls > 20_000) throw new Error("20,000 calls: the operation makes no progress");
    const longest = Math.max(...args.map((arg) => (typeof arg === "string" ? nameBytes(arg) : 0)));
    if (longest > (this.#refusals.maxNameBytes ?? 255) && !answering.has(name))
      throw Object.assign(new Error(`ENAMETOOLONG: name too long, ${name}`), { code: "ENAMETOOLONG" });
    const created =
      name === "mkdir" || args[1] === "create" ? args[0] : /^(?:rename|link)$/.test(name) && args[1];
    if (created && this.#refusals.refusedNames?.test(String(created).replace(/^.*\//, "")))
      throw Object.assign(new Error(`EINVAL: invalid argument, ${name}`), { code: "EINVAL" });
    const code = this.#refusals.calls?.[name];
    if (code !== undefined) throw Object.assign(new Error(`${code}: refused, ${name}`), { code });
    if (name === "rename" && String(args[1]).endsWith(".json") && this.#held > 0) {
      this.#held--;
      throw Object.assign(new Error("EPERM: held, rename"), { code: "EPERM" });
    }
    if (name === "close") this.#open.delete(args[0] as number);
    const whenOpen = this.locksOpenFiles ? "EPERM" : this.#refusals.renameOverOpen;
    if (name === "rename" && whenOpen) {
      const replaced = nodeFileSystem.sync.lstat(String(args[1]))?.ino;
      if (replaced !== undefined && [...this.#open.values()].includes(replaced))
        throw Object.assign(new Error(`${whenOpen}: open, rename`), { code: whenOpen });
    }
  }

  #answer(name: keyof FileCalls, result: unknown): unknown {
    if (name === "open") this.#open.set(result as number, nodeFileSystem.sync.fstat(result as number).ino);
    if (!this.#refusals.inodes || (name !== "lstat" && name !== "fstat") || result === undefined)
      return result;
    const stat = result as FileStat;
    switch (this.#refusals.inodes) {
      case "all zero":
        return { ...stat, ino: 0n };
      case "differ by call":
        return name === "fstat" ? { ...stat, ino: stat.ino + 1_000_000n } : stat;
      case "new at each look":
        return name === "lstat" ? { ...stat, ino: 10_000_000n + ++this.#looks } : stat;
    }
  }
}

const nameBytes = (path: string): number => Buffer.byteLength(path.slice(path.lastIndexOf("/") + 1));
