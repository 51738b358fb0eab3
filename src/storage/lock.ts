/**
 * The lock of a session: the directory `<name>.json.lock`, and the claims in it.
 *
 * A claim *is* the document to commit, under the token of its committer: a built copy that was renamed into the
 * directory, or a finalized append log that was linked into it. A committer that lists the directory and finds no other
 * claim may commit.
 *
 * No call here follows a symlink in the place of the directory: such a link leads to files of the user. `enter` and
 * `list` refuse a link, and a commit or a sweep changes the directory in the same synchronous turn.
 *
 * Node has no `openat`. Between that check and the next system call, another process can replace the directory by a
 * link. `enter` can then put the committer's own claim behind the link: `list` refuses the link, and `withdraw` takes
 * the claim out again. `list` checks before and after it reads the names, so no other file is removed unless the
 * directory is replaced three times within the turn.
 */

import { isToken, lockPath, type SessionFiles } from "../format/file-names.js";
import { errorCode, type FileCalls, tryRemoveDirectory, tryUnlink } from "../platform/file-system.js";
import { isUnlinkable } from "../platform/ground.js";
import { isDead, type Liveness } from "../platform/liveness.js";

/** Attempts to enter a lock that other committers remove, or whose claim keeps its name after it was deleted (Windows). */
const maxEntries = 100;

/** A commit takes milliseconds: an older claim was left by a process whose state is unknown. */
const staleClaimMillis = 3_600_000;

/** The file that a committer enters a lock with. */
export interface Entrance {
  readonly token: string;
  /** The finished file. */
  readonly source: string;
  /** `move`: the source becomes the claim. `link`: the source keeps its name as well. */
  readonly by: "move" | "link";
}

export class SessionLock {
  readonly #calls: FileCalls;
  readonly #path: string;
  readonly #onUnlinkable: (error: unknown) => void;

  /** `onUnlinkable` is called with the error of a link that the file system refuses for good. */
  constructor(calls: FileCalls, files: SessionFiles, onUnlinkable: (error: unknown) => void = () => {}) {
    this.#calls = calls;
    this.#path = lockPath(files);
    this.#onUnlinkable = onUnlinkable;
  }

  /** The path of the claim of this token. */
  claim(token: string): string {
    return `${this.#path}/${token}`;
  }

  /**
   * Makes the claim.
   * - `superseded`: another process has taken the source
   * - `unlinkable`: this file system has no hard links
   *
   * Throws the error of the file system, and an error if the lock is no directory.
   */
  enter({ token, source, by }: Entrance): "entered" | "superseded" | "unlinkable" {
    const calls = this.#calls;
    const claim = this.claim(token);
    for (let attempt = 0; ; attempt++) {
      let fault: unknown;
      try {
        calls.mkdir(this.#path);
      } catch (error) {
        if (errorCode(error) !== "EEXIST") throw error;
        fault = error;
      }
      if (calls.lstat(this.#path)?.isDirectory === false) throw fault ?? this.#noDirectory();
      try {
        if (by === "move") calls.rename(source, claim);
        else calls.link(source, claim);
        return "entered";
      } catch (error) {
        const code = errorCode(error);
        if (by === "link" && isUnlinkable(error)) {
          this.#onUnlinkable(error);
          this.leave();
          return "unlinkable";
        }
        if (code === "EEXIST" && attempt < maxEntries) {
          calls.unlink(claim);
          continue;
        }
        // ENOENT: another process has taken the source, or another committer has just removed the empty directory.
        if (code === "ENOENT" && !calls.exists(source)) return "superseded";
        if (code !== "ENOENT" || attempt >= maxEntries) throw error;
      }
    }
  }

  /** The names in the directory; none if it does not exist. Throws if the path is no directory. */
  list(): string[] {
    if (!this.#isThere()) return [];
    let names: string[];
    try {
      names = this.#calls.readdir(this.#path);
    } catch (error) {
      if (errorCode(error) === "ENOENT") return [];
      throw error;
    }
    return this.#isThere() ? names : [];
  }

  /** Removes the claims of dead owners, or with `all` every claim. Returns whether a claim is left. */
  clear(claims: readonly string[], liveness: Liveness, all: boolean): boolean {
    const removed = claims.filter((token) => all || isDead(liveness, token));
    for (const token of removed) tryUnlink(this.#calls, this.claim(token));
    return removed.length < claims.length;
  }

  /**
   * Removes the claims of all committers, and the directory, which a dead committer may have left empty. Returns whether
   * there was a claim. A file or a link in the place of the lock has no claims.
   */
  takeAll(): boolean {
    if (!this.#calls.lstat(this.#path)?.isDirectory) return false;
    const claims = this.list();
    for (const token of claims) tryUnlink(this.#calls, this.claim(token));
    this.leave();
    return claims.length > 0;
  }

  /** Takes the own claim out again: a copy gets its name back. */
  withdraw({ token, source, by }: Entrance): void {
    const claim = this.claim(token);
    try {
      if (by === "move") this.#calls.rename(claim, source);
    } catch {
      // Another committer has removed the claim or the directory.
    }
    tryUnlink(this.#calls, claim);
  }

  /** Removes the directory; `false` if it contains a claim, or if another committer has removed it. */
  leave(): boolean {
    return tryRemoveDirectory(this.#calls, this.#path);
  }

  /**
   * Removes the claims of dead committers, and the directory if that leaves it empty. Keeps anything that is no lock, and
   * files that no committer has created. An empty directory may be the lock of another program.
   */
  sweep(liveness: Liveness, nowMillis: number): void {
    let names: string[];
    try {
      names = this.list();
    } catch (error) {
      if (errorCode(error) === "ENOTDIR") return;
      throw error;
    }
    const isStale = (name: string) => isToken(name) && nowMillis - this.#claimedAt(name) > staleClaimMillis;
    const claims = names.filter((name) => isStale(name) || isDead(liveness, name));
    for (const name of claims) tryUnlink(this.#calls, this.claim(name));
    if (claims.length > 0) this.leave();
  }

  /** Time at which a claim was made. The change time is set by the rename or link, not by the content. */
  #claimedAt(token: string): number {
    const stat = this.#calls.lstat(this.claim(token));
    return stat ? Number(stat.ctimeNs / 1_000_000n) : Number.POSITIVE_INFINITY;
  }

  #isThere(): boolean {
    const stat = this.#calls.lstat(this.#path);
    if (stat?.isDirectory === false) throw this.#noDirectory();
    return stat !== undefined;
  }

  #noDirectory(): Error {
    return Object.assign(new Error(`ENOTDIR: ${this.#path} is no directory`), { code: "ENOTDIR" });
  }
}
