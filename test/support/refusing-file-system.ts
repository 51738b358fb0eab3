/** The real file system with refusals that last: what FUSE, 9p, FAT, Android, Windows and network shares refuse. */
import {
  type AsyncFileCalls,
  type FileCalls,
  type FileStat,
  type FileSystem,
  nodeFileSystem,
} from "../../src/platform/file-system.js";

/** How inode numbers are wrong. */
export type WrongInodes = "differ by call" | "new at each look" | "all zero";

export interface Refusals {
  /** These calls always fail with this code. */
  readonly calls?: Partial<Record<keyof FileCalls, string>>;
  readonly inodes?: WrongInodes;
  /** Renames over a document fail with EPERM so often: another program holds the document. */
  readonly heldRenames?: number;
}

export class RefusingFileSystem implements FileSystem {
  readonly sync: FileCalls;
  readonly async: AsyncFileCalls;
  readonly #refusals: Refusals;
  #held: number;
  #looks = 0n;
  #calls = 0;

  constructor(refusals: Refusals) {
    this.#refusals = refusals;
    this.#held = refusals.heldRenames ?? 0;
    const names = Object.keys(nodeFileSystem.sync) as (keyof FileCalls)[];
    const now = (name: keyof FileCalls) =>
      [name, (...args: unknown[]) => this.#answer(name, args, this.#run(name, args))] as const;
    const later = (name: keyof FileCalls) =>
      [
        name,
        async (...args: unknown[]) => this.#answer(name, args, await this.#runLater(name, args)),
      ] as const;
    this.sync = Object.fromEntries(names.map(now)) as unknown as FileCalls;
    this.async = Object.fromEntries(names.map(later)) as unknown as AsyncFileCalls;
  }

  /** Calls so far: an operation that loops has no end of them. */
  get calls(): number {
    return this.#calls;
  }

  #run(name: keyof FileCalls, args: unknown[]): unknown {
    this.#refuse(name, args);
    return (nodeFileSystem.sync[name] as (...args: unknown[]) => unknown)(...args);
  }

  #runLater(name: keyof FileCalls, args: unknown[]): Promise<unknown> {
    this.#refuse(name, args);
    return (nodeFileSystem.async[name] as (...args: unknown[]) => Promise<unknown>)(...args);
  }

  #refuse(name: keyof FileCalls, args: unknown[]): void {
    // A loop of this many calls would not end: the test fails in the call, also where the event loop stands still.
    if (++this.#calls > 20_000) throw new Error("20,000 calls: the operation makes no progress");
    const code = this.#refusals.calls?.[name];
    if (code !== undefined) throw Object.assign(new Error(`${code}: refused, ${name}`), { code });
    if (name === "rename" && String(args[1]).endsWith(".json") && this.#held > 0) {
      this.#held--;
      throw Object.assign(new Error("EPERM: held, rename"), { code: "EPERM" });
    }
  }

  #answer(name: keyof FileCalls, _args: unknown[], result: unknown): unknown {
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
