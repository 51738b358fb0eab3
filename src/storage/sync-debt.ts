/**
 * What a power cut could take of a file: bytes that were written and not synced, and a name that is younger than the last
 * sync of its directory.
 *
 * Linux reports the loss of written bytes once: the next sync of the file succeeds, though the bytes are on no disk
 * (fsync(2), EIO). So no sync of a file is believed after one has failed: the file must be written anew.
 */
import { dirname } from "node:path";
import type { Descriptor } from "../platform/descriptor.js";
import type { FileSystem } from "../platform/file-system.js";
import { type Gensync, io } from "../platform/gensync.js";

export class SyncDebt {
  /** Bytes written since the last sync began. */
  #bytes = 0;
  /** Syncs under way. */
  #syncs = 0;
  /** Why a sync failed, until the file is replaced. */
  #fault: unknown;
  /** The name of the file is younger than the last sync of its directory: a power cut would take the name back. */
  #hasNewName = false;
  /** The topmost directory that was made for the file, until the directory's own name is synced. */
  #newDirectory: string | undefined;

  /** Bytes written since the last sync began. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a power cut could take something: bytes, or the name of the file. */
  get isOwed(): boolean {
    return this.#bytes > 0 || this.#hasNewName;
  }

  /** Whether a sync has failed: then the file must be written anew. */
  get isDoubtful(): boolean {
    return this.#fault !== undefined;
  }

  /** Bytes were written. */
  wrote(bytes: number): void {
    this.#bytes += bytes;
  }

  /** The file has a new name. `newDirectory`: the topmost directory that was made for the file. */
  named(newDirectory?: string): void {
    this.#hasNewName = true;
    this.#newDirectory = newDirectory ?? this.#newDirectory;
  }

  /** Another file takes the place of this one, all synced. */
  forgetBytes(): void {
    this.#bytes = 0;
    this.#fault = undefined;
  }

  /** Syncs the bytes written since the last sync began, on this thread. */
  payNow({ sync: calls }: FileSystem, open: () => Descriptor): void {
    if (this.#bytes === 0) return;
    if (this.#fault) throw this.#fault;
    const { fd } = open();
    try {
      calls.fdatasync(fd);
    } catch (error) {
      this.#fault = error;
      throw error;
    }
    this.#bytes = 0;
  }

  /** Syncs the bytes written since the last sync began. `awaited`: also those of a sync that is under way. */
  *pay(open: () => Descriptor, awaited: "new" | "all"): Gensync<void> {
    if (this.#bytes === 0 && (awaited === "new" || this.#syncs === 0)) return;
    if (this.#fault) throw this.#fault;
    const held = open().hold();
    const pending = this.#bytes;
    this.#bytes = 0;
    this.#syncs++;
    try {
      yield* io.fdatasync(held.fd);
    } catch (error) {
      this.#bytes += pending;
      this.#fault = error;
      throw error;
    } finally {
      this.#syncs--;
      held.release();
    }
  }

  /**
   * Makes the names of those of these files durable that are new. Throws when the file system refuses: then no name is.
   *
   * A file that was created or renamed keeps its name through a power cut only when its directory was synced since
   * (fsync(2)). Journaling file systems often sync the directory with any file; nothing says that they must.
   */
  static *payNames(dir: string, debts: readonly SyncDebt[]): Gensync<void> {
    const renamed = debts.filter((debt) => debt.#hasNewName);
    if (renamed.length === 0) return;
    // Cleared before the call: a file that is renamed during the call needs another sync.
    for (const debt of renamed) debt.#hasNewName = false;
    try {
      yield* io.syncDirectory(dir);
      for (const debt of renamed) {
        const newDirectory = debt.#newDirectory;
        if (newDirectory === undefined) continue;
        for (let made = dir; made.length >= newDirectory.length; made = dirname(made))
          yield* io.syncDirectory(dirname(made));
        debt.#newDirectory = undefined;
      }
    } catch (error) {
      for (const debt of renamed) debt.#hasNewName = true;
      throw error;
    }
  }
}
