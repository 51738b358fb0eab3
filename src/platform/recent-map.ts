/**
 * A map of bounded size that keeps the entries that were set or read last.
 *
 * It has two generations and drops the older one as a whole. Removing the first entry for each new one took a fifth of the
 * time of a tool call, because a `Map` steps over thousands of removed entries to find its first one.
 */
export class RecentMap<K, V> {
  readonly #size: number;
  #young = new Map<K, V>();
  #old = new Map<K, V>();

  /** Keeps at least the last `size` entries that were set or read, and at most twice as many. */
  constructor(size: number) {
    this.#size = size;
  }

  get(key: K): V | undefined {
    const value = this.#young.get(key);
    if (value !== undefined || !this.#old.has(key) || this.#young.has(key)) return value;
    const old = this.#old.get(key) as V;
    this.set(key, old);
    return old;
  }

  has(key: K): boolean {
    return this.#young.has(key) || this.#old.has(key);
  }

  set(key: K, value: V): void {
    this.#young.set(key, value);
    if (this.#young.size < this.#size) return;
    this.#old = this.#young;
    this.#young = new Map();
  }
}
