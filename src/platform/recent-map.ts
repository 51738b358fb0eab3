/**
 * A map of bounded size that keeps what was set last.
 *
 * Two generations, of which the older one is dropped whole: a `Map` that loses its first entry with each new one has
 * to step over thousands of removed entries to find it, which cost a tool call a fifth of its time.
 */
export class RecentMap<K, V> {
  readonly #size: number;
  #young = new Map<K, V>();
  #old = new Map<K, V>();

  /** Keeps at least the last `size` entries, and at most twice as many. */
  constructor(size: number) {
    this.#size = size;
  }

  get(key: K): V | undefined {
    return this.#young.has(key) ? this.#young.get(key) : this.#old.get(key);
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
