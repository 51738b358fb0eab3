/**
 * A thousand sessions on a bounded number of descriptors: the most recently active writers keep theirs, the
 * others open their files again when they speak.
 */
import type { SessionWriter } from "../storage/session-writer.js";

/** Each hot writer holds up to three descriptors: open document, live log, published document. */
const maxHot = 64;

export class WriterPool {
  readonly #hot = new Set<SessionWriter>();

  /** The writer was used just now. */
  use(writer: SessionWriter): void {
    this.#hot.delete(writer);
    this.#hot.add(writer);
    // More than one when none could be parked before: a copy was being made, a record was half written.
    while (this.#hot.size > maxHot && this.parkOldest());
  }

  /** Closes the descriptors of the writer that was silent longest; `false` when none can. */
  parkOldest(): boolean {
    for (const writer of this.#hot) {
      if (!writer.park()) continue;
      this.#hot.delete(writer);
      return true;
    }
    return false;
  }

  forget(writer: SessionWriter): void {
    this.#hot.delete(writer);
  }
}
