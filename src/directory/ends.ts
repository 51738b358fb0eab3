/**
 * How the sessions of a directory end: in good order, in the background or at once, or by the crash fence.
 */

import type { SessionEnd } from "../format/session-end.js";
import { tryUnlink } from "../platform/file-system.js";
import { runSync } from "../platform/gensync.js";
import { rehomeIfTaken } from "../storage/merge.js";
import { seal } from "../storage/seal.js";
import type { SessionWriter } from "../storage/session-writer.js";
import type { WriterPorts } from "../storage/writer-ports.js";
import type { SpanFates } from "./span-fates.js";
import type { UnfinishedSessions } from "./unfinished-sessions.js";

/** What ends need of the directory. */
export interface EndingSessions {
  readonly ports: WriterPorts;
  readonly fates: SpanFates;
  readonly unfinished: UnfinishedSessions;
  writerOf(id: string): SessionWriter | undefined;
  /** Opens a session that has ended, to be marked; `undefined` when it has no document. */
  reopen(id: string): SessionWriter | undefined;
  /** No copy of the session is to begin any more. */
  unschedule(writer: SessionWriter): void;
  /** The session is in its document. */
  forget(writer: SessionWriter, id: string): void;
}

export class SessionEnds {
  readonly #sessions: EndingSessions;

  constructor(sessions: EndingSessions) {
    this.#sessions = sessions;
  }

  /** Ends a session in good order. Rejects when the document could not be written; then it is tried again. */
  async end(id: string, end: SessionEnd): Promise<void> {
    const { unfinished } = this.#sessions;
    const writer = this.#sessions.writerOf(id);
    if (!writer) return;
    this.#close(writer, id, end);
    // Whoever asks again waits for what is under way, or tries again what has failed.
    await unfinished.finish(writer);
  }

  /** The same before it returns. A fault is told; the session is tried again like one that failed in the background. */
  endNow(id: string, end: SessionEnd): void {
    const writer = this.#sessions.writerOf(id);
    if (!writer) return;
    this.#close(writer, id, end);
    this.#overtake(writer);
    this.#sealNow(writer, id, this.#sessions.unfinished.endOf(writer) ?? end);
  }

  /**
   * The crash fence, synchronous: copies under way are removed, and cannot commit any more. Sessions of `reopened`
   * that have ended are opened again to be marked.
   */
  fence(ids: ReadonlySet<string>, reopened: ReadonlySet<string>, end: SessionEnd): void {
    const { unfinished } = this.#sessions;
    const writers = new Map<SessionWriter, string>();
    for (const [writer, id] of unfinished) {
      if (!ids.has(id)) continue;
      // Sealed, and only the news of it is under way: opened again below, as every ended session.
      if (writer.state === "sealed") this.#sessions.forget(writer, id);
      else writers.set(writer, id);
    }
    for (const id of ids) {
      const writer = this.#sessions.writerOf(id);
      if (writer) writers.set(writer, id);
    }
    const found = new Set(writers.values());
    for (const id of reopened) {
      const ended = found.has(id) ? undefined : this.#sessions.reopen(id);
      if (ended) writers.set(ended, id);
    }
    // First all are closed to work under way, then each is written: a slow disk delays only the writing.
    for (const writer of writers.keys()) {
      this.#overtake(writer);
      writer.state = "crashed";
    }
    for (const [writer, id] of writers) this.#sealNow(writer, id, end);
  }

  #close(writer: SessionWriter, id: string, end: SessionEnd): void {
    if (writer.state !== "open") return;
    // At once: a span that starts while the seal waits for its turn belongs to what follows, and is not closed by it.
    writer.state = "sealing";
    for (const source of writer.session.openSpans.sources()) this.#sessions.fates.set(source, "closed");
    this.#sessions.unfinished.add(writer, id, end);
  }

  /** What is under way for the session is void. */
  #overtake(writer: SessionWriter): void {
    writer.epoch++;
    this.#sessions.unschedule(writer);
    // Not forgotten: a copy that is only now being created is removed by the work that asked for it.
    for (const path of writer.temps) tryUnlink(this.#sessions.ports.fileSystem.sync, path);
  }

  #sealNow(writer: SessionWriter, id: string, end: SessionEnd): void {
    const { ports } = this.#sessions;
    try {
      rehomeIfTaken(writer);
      // Else code of the host fenced the session again while its spans were read.
      if (runSync(ports.fileSystem, seal(writer, end))) this.#sessions.forget(writer, id);
    } catch (error) {
      // The side files stay: tried again while the process lives, and by recovery after it.
      this.#sessions.unfinished.add(writer, id, end);
      ports.events.onFault(error, writer.path);
    }
  }
}
