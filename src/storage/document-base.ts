/**
 * The document that a writer last saw under its session's name: what its next commit is built against.
 */
import type { Clock } from "../platform/clock.js";
import type { FileCalls } from "../platform/file-system.js";
import { type Identity, isSame } from "./commit.js";
import type { Published } from "./document-file.js";

/** A change time this old can no longer be given to another file: kernels stamp in ticks of up to 10 ms. */
const settledMillis = 50;

export class DocumentBase {
  /** Whether the writer's own open document holds every line of it. */
  isMerged = true;
  #identity: Identity | undefined;
  #published: Published | undefined;

  /** `undefined`: there is no document, or it is not known which. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** Held open, so that its inode is not reused; not while the writer is parked. */
  get published(): Published | undefined {
    return this.#published;
  }

  /** The document is now this one. */
  set(published: Published | undefined, isMerged: boolean): void {
    if (this.#published !== published) this.#published?.descriptor.release();
    this.#published = published;
    this.#identity = published?.identity;
    this.isMerged = isMerged;
  }

  /** Lets the file go, and remembers it by its times instead, where these can tell it from a later one. */
  park(calls: FileCalls, clock: Clock, path: string): void {
    if (!this.#published) return;
    const identity = this.#published.identity;
    this.#published.descriptor.release();
    this.#published = undefined;
    this.#identity = undefined;
    const stat = calls.lstat(path);
    const isSettled = stat && clock.now() - Number(stat.ctimeNs / 1_000_000n) >= settledMillis;
    if (isSettled && isSame(stat, identity)) {
      const { dev, ino, size, ctimeNs } = stat;
      this.#identity = { dev, ino, size, ctimeNs };
    } else {
      // Unknown: the next publish reads the document and merges.
      this.isMerged = false;
    }
  }
}
