/**
 * How an entry ends: closed to spans at once, then its final document is written, in the background or before a call
 * returns. The directory decides which entries end (`trace-directory.ts`).
 */

import type { SessionEnd } from "../format/session-end.js";
import { nextEvent, nextTurn } from "../platform/clock.js";
import { tryUnlink } from "../platform/file-system.js";
import { OperationCancelled, runAsync, runSync } from "../platform/gensync.js";
import type { WorkLane } from "../platform/work-queue.js";
import { recreateIfRemoved } from "../storage/merge.js";
import { type EndingTogether, seal } from "../storage/seal.js";
import { OwnersListing } from "../storage/side-files.js";
import { crashNotWritten } from "./publish-scheduler.js";
import type { SessionEntry, Sessions } from "./sessions.js";
import { allWritten, awaitedLater, notWritten } from "./write-failures.js";

/**
 * Closes an open entry to spans, at once: a span that starts while the final document waits for its turn belongs to
 * what follows, and must not be closed by this end. Returns the open spans as their processors know them; `undefined`
 * when the entry was not open.
 */
export function beginEnd(entry: SessionEntry, end: SessionEnd): readonly object[] | undefined {
  const { writer } = entry;
  if (!writer.life.end()) return undefined;
  entry.endAs(end);
  return writer.session.openSpans.sources();
}

/** Cancels all work that is under way for an entry: no copy of it can commit any more. */
export function cancelWork(entry: SessionEntry): void {
  const { writer } = entry;
  writer.cancelWork();
  entry.publisher.cancel();
  // The names stay known: a copy that is created only now is removed by the operation that asked for it.
  for (const path of writer.temps) tryUnlink(writer.ports.fileSystem.sync, path);
}

/** Final documents that begin in one turn of the event loop: 100 take some 5 ms. */
const begunPerTurn = 100;

/** Final documents that are tried again beside each other. */
const retriedTogether = 20;

/** A final document that is being written. */
interface Writing {
  readonly entry: SessionEntry;
  readonly epoch: number;
  readonly done: Promise<void>;
}

/** Writes the final documents of a directory: several at a time, and those of one session one after the other. */
export class FinalDocuments {
  readonly #queue: WorkLane;
  readonly #sessions: Sessions;
  readonly #onFault: (error: unknown, path: string) => void;
  readonly #listing: OwnersListing;
  /** By session id: two writers of one session would each leave the end to the other. */
  readonly #writing = new Map<string, Writing>();

  constructor(
    dir: string,
    queue: WorkLane,
    sessions: Sessions,
    onFault: (error: unknown, path: string) => void,
  ) {
    this.#queue = queue;
    this.#sessions = sessions;
    this.#onFault = onFault;
    this.#listing = new OwnersListing(dir);
  }

  /** Writes the final document of an entry. Rejects when the disk refuses; then the entry stays unwritten. */
  write(entry: SessionEntry, begunAt = nextEvent()): Promise<void> {
    const { id, writer } = entry;
    const last = this.#writing.get(id);
    if (last?.entry === entry && last.epoch === writer.epoch) return last.done;
    const together = { listing: this.#listing, begunAt };
    const begin = () => this.#queue.runBeside(() => this.#write(entry, together));
    const done = (last ? last.done.then(begin, begin) : begin()).finally(() => {
      if (this.#writing.get(id)?.done === done) this.#writing.delete(id);
      if (this.#writing.size === 0) this.#listing.clear();
    });
    this.#writing.set(id, { entry, epoch: writer.epoch, done });
    return done;
  }

  /** Writes all final documents. Thousands of them begin in several turns of the event loop. */
  async writeAll(): Promise<void> {
    const begunAt = nextEvent();
    const work: Promise<void>[] = [];
    for (const entry of this.#sessions.unwritten()) {
      if (!this.#sessions.isUnwritten(entry)) continue;
      work.push(awaitedLater(this.write(entry, begunAt)));
      if (work.length % begunPerTurn === 0) await nextTurn();
    }
    await allWritten(work);
  }

  /**
   * Tries again what the disk has refused. When it refuses some documents, one after the other, it would refuse all: the
   * other ones are first at the next try.
   */
  async retry(): Promise<void> {
    const entries = this.#sessions.unwritten();
    for (let next = 0; next < entries.length; next += retriedTogether) {
      const some = entries.slice(next, next + retriedTogether);
      await Promise.allSettled(some.map((entry) => this.write(entry)));
      const refused = some.filter((entry) => this.#sessions.isUnwritten(entry));
      for (const entry of refused) this.#sessions.putLast(entry);
      if (refused.length === retriedTogether) return;
    }
  }

  async #write(entry: SessionEntry, together: EndingTogether): Promise<void> {
    if (!this.#sessions.isUnwritten(entry)) return;
    // From here on its descriptors are in use. Those of sessions that wait for their turn can be closed.
    this.#sessions.unuse(entry);
    try {
      if (await finalize(entry, together)) this.#sessions.delete(entry);
    } catch (error) {
      this.#onFault(error, entry.writer.path);
      throw notWritten(entry.writer.path, error);
    }
    if (this.#sessions.isUnwritten(entry)) throw notWritten(entry.writer.path, crashNotWritten());
  }
}

/** Writes the final document. Returns whether it is written: not when another end overtook this one. `together`: as for `seal`. */
async function finalize({ writer, end }: SessionEntry, together: EndingTogether): Promise<boolean> {
  if (!end) return false;
  const { epoch, ports } = writer;
  recreateIfRemoved(writer);
  try {
    await runAsync(ports.fileSystem, seal(writer, end, together), () => writer.epoch !== epoch);
    return writer.epoch === epoch;
  } catch (error) {
    if (error instanceof OperationCancelled) return false;
    throw error;
  }
}

/**
 * Like {@link finalize}, before it returns. Throws when the file system refuses: then the side files stay. `isAlone`: as
 * for `seal`.
 */
export function finalizeNow({ writer, end }: SessionEntry, isAlone = false): boolean {
  if (!end) return false;
  recreateIfRemoved(writer);
  return runSync(writer.ports.fileSystem, seal(writer, end, isAlone));
}
