/**
 * The machine's file system with an attacker: just before one chosen call creates a new name, a symlink appears
 * there.
 */
import * as fs from "node:fs";
import { type FileCalls, type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";

/** The name that a call creates, if it creates one. */
function nameMadeBy(call: string, args: readonly unknown[]): string | undefined {
  if (call === "open") return args[1] === "create" ? (args[0] as string) : undefined;
  if (call === "rename" || call === "link") return args[1] as string;
  return call === "mkdir" ? (args[0] as string) : undefined;
}

export class PlantingFileSystem implements FileSystem {
  readonly sync = this.#wrap<FileCalls>(nodeFileSystem.sync);
  readonly async = this.#wrap(nodeFileSystem.async);
  /** Where the link was planted. */
  planted: string | undefined;
  readonly #target: string;
  #left: number;

  /** Plants before the `n`th new name (from 1) a link to `target`. */
  constructor(n: number, target: string) {
    this.#left = n;
    this.#target = target;
  }

  /** Removes the link. Returns `false` when it no longer exists. */
  weed(): boolean {
    if (!this.planted || !fs.lstatSync(this.planted, { throwIfNoEntry: false })?.isSymbolicLink())
      return false;
    fs.unlinkSync(this.planted);
    return true;
  }

  #wrap<Calls extends object>(calls: Calls): Calls {
    return Object.fromEntries(
      Object.entries(calls).map(([name, call]) => [
        name,
        (...args: unknown[]) => {
          this.#plant(nameMadeBy(name, args));
          return call(...args);
        },
      ]),
    ) as Calls;
  }

  #plant(name: string | undefined): void {
    // An existing name is not new. Where the directory is missing, the library creates it and calls again.
    if (name === undefined || fs.lstatSync(name, { throwIfNoEntry: false })) return;
    if (--this.#left !== 0) return;
    try {
      fs.symlinkSync(this.#target, name);
      this.planted = name;
    } catch {
      this.#left = 1;
    }
  }
}
