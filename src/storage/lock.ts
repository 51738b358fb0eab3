/**
 * The lock of a session: the directory `<name>.json.lock`, and the claims in it.
 *
 * A claim *is* the document to be committed: renamed in (a built copy) or linked in (an open document sealed where it
 * stands), under the token of its committer. A committer that lists the directory and finds no other claim may go on.
 *
 * Nothing here passes through a symlink in the place of the directory: such a link leads to files of the user. `enter`
 * and `list` refuse a link, and what a commit or a sweep changes in the directory follows in the same synchronous turn.
 *
 * Node has no `openat`, so a window remains between that check and the next system call, in which another process can
 * replace the directory by a link. In that window `enter` can put the committer's own claim behind the link: `list`
 * then refuses the link, and `withdraw` takes the claim out again. `list` checks before and after it reads the names,
 * so no other file is removed unless the directory is replaced three times within the turn.
 */

import { isToken, lockPath, type SessionFiles } from "../format/file-names.js";
import { errorCode, type FileCalls, tryRemoveDirectory, tryUnlink } from "../platform/file-system.js";
import { isDead, type Liveness } from "../platform/liveness.js";

/** A commit is over in milliseconds: a claim that is older was left by a process whose end cannot be seen. */
const staleClaimMillis = 3_600_000;

/** What a committer enters a lock with. */
export interface Entrance {
  readonly token: string;
  /** The finished file. */
  readonly source: string;
  /** `move`: a copy, which the claim takes. `link`: stays where it is as well. */
  readonly by: "move" | "link";
}

/** link(2): EPERM and ENOTSUP where the file system has none, EMLINK and EXDEV for odd mounts. */
const noHardLinks = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EXDEV", "EINVAL"]);

export class SessionLock {
  readonly #calls: FileCalls;
  readonly #path: string;

  constructor(calls: FileCalls, files: SessionFiles) {
    this.#calls = calls;
    this.#path = lockPath(files);
  }

  /** Where the claim of this token is. */
  claim(token: string): string {
    return `${this.#path}/${token}`;
  }

  /**
   * Makes the claim.
   * - `superseded`: the source was taken
   * - `unlinkable`: this file system has no hard links
   *
   * Throws when the file system refuses, and when the lock is no directory.
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
        if (by === "link" && noHardLinks.has(code ?? "")) {
          this.leave();
          return "unlinkable";
        }
        if (code === "EEXIST") {
          calls.unlink(claim);
          continue;
        }
        // ENOENT: the source was taken, or another committer removed the empty lock directory just now.
        if (code === "ENOENT" && !calls.exists(source)) return "superseded";
        if (code !== "ENOENT" || attempt > 100) throw error;
      }
    }
  }

  /** The names in the directory; none where there is no directory. Throws when something else stands there. */
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

  /** Removes those of these claims whose owners are gone, or all. Returns whether any stays. */
  clear(claims: readonly string[], liveness: Liveness, all: boolean): boolean {
    const removed = claims.filter((token) => all || isDead(liveness, token));
    for (const token of removed) tryUnlink(this.#calls, this.claim(token));
    return removed.length < claims.length;
  }

  /** Takes the own claim back. */
  withdraw({ token, source, by }: Entrance): void {
    const claim = this.claim(token);
    try {
      if (by === "move") this.#calls.rename(claim, source);
    } catch {
      // Taken away, or its directory is gone.
    }
    tryUnlink(this.#calls, claim);
  }

  /** Removes the directory; `false` when a claim is in it, or another committer removed it. */
  leave(): boolean {
    return tryRemoveDirectory(this.#calls, this.#path);
  }

  /** Removes what dead committers left. Leaves alone what is no lock, and what no committer has put into one. */
  sweep(liveness: Liveness, nowMillis: number): void {
    let names: string[];
    try {
      names = this.list();
    } catch (error) {
      if (errorCode(error) === "ENOTDIR") return;
      throw error;
    }
    for (const name of names) {
      const isStale = isToken(name) && nowMillis - this.#claimedAt(name) > staleClaimMillis;
      if (isStale || isDead(liveness, name)) tryUnlink(this.#calls, this.claim(name));
    }
    this.leave();
  }

  /** When a claim was made. The change time is that of its name, not of its content. */
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
