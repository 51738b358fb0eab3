/**
 * Names that a listing of the directory has and no look finds: a name that is no UTF-8, or a file system that keeps removed
 * names. A token is never reused, so files that are absent twice have not been taken over by a recovery to wait for.
 */
export class Ghosts {
  readonly #absent = new Set<string>();

  /** Whether the files of this token were absent before. Remembers that they are absent now. */
  isKnown(token: string): boolean {
    if (this.#absent.has(token)) return true;
    this.#absent.add(token);
    return false;
  }
}
