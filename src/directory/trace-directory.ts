/**
 * One directory of sessions in this process: who writes to it, and what is written.
 */

import { interrupt, type SessionEnd } from "../format/session-end.js";
import type { SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { allSettledOrThrow as allDone, type SerialQueue as Lane } from "../platform/async.js";
import { runSync } from "../platform/gensync.js";
import { findPath } from "../storage/document-file.js";
import { rehomeIfTaken, rehomeRecords } from "../storage/merge.js";
import { lostOwner, publish } from "../storage/publish.js";
import type { SessionStart } from "../storage/session-state.js";
import { SessionWriter } from "../storage/session-writer.js";
import type { WriterPorts } from "../storage/writer-ports.js";
import { thrifty } from "./descriptor-thrift.js";
import { SessionEnds } from "./ends.js";
import { Publisher } from "./publish-scheduler.js";
import { type Closed, SessionGate } from "./session-gate.js";
import { SharedSessions } from "./shared-sessions.js";
import { SpanFates } from "./span-fates.js";
import { UnfinishedSessions } from "./unfinished-sessions.js";
import { WriterPool } from "./writer-pool.js";

/** Lanes that all directories of a process share. */
export interface Lanes {
  readonly publish: Lane;
  readonly sync: Lane;
}

/** Said of a session that was fenced without a reason. */
const defaultReason = "Process exited before trace completed";

export class TraceDirectory {
  readonly dir: string;
  readonly ports: WriterPorts;
  /** To be asked before the end of a span opens a session. */
  readonly fates = new SpanFates();
  readonly #publisher: Publisher;
  readonly #pool = new WriterPool();
  /** With who writes to each, of the exporters that share this directory. */
  readonly #sessions = new SharedSessions();
  readonly #unfinished: UnfinishedSessions;
  readonly #ends: SessionEnds;
  readonly #gate = new SessionGate();

  constructor(
    dir: string,
    ports: Omit<WriterPorts, "events">,
    lanes: Lanes,
    onFault: (error: unknown, path: string) => void,
  ) {
    this.dir = dir;
    const fileSystem = thrifty(ports.fileSystem, () => this.#pool.parkOldest());
    this.ports = { ...ports, fileSystem, events: { onFault } };
    this.#publisher = new Publisher(lanes.publish, lanes.sync, onFault, (writer) => this.#pool.use(writer));
    const forget = (writer: SessionWriter, id: string) => this.#forget(writer, id);
    this.#unfinished = new UnfinishedSessions(lanes.publish, { onTry: rehomeIfTaken, onSealed: forget });
    this.#ends = new SessionEnds({
      ports: this.ports,
      fates: this.fates,
      unfinished: this.#unfinished,
      writerOf: (id) => this.#sessions.get(id),
      reopen: (id) => this.#reopenEnded(id),
      unschedule: (writer) => this.#publisher.forget(writer),
      forget,
    });
  }

  /** A number for a new user of this directory: it may resume what was fenced before it came. */
  join(): number {
    return this.#gate.join();
  }

  /** The writer of a session that is open now. */
  openWriter(id: string): SessionWriter | undefined {
    return this.#sessions.open(id);
  }

  /** Where the session's document is, or would be. */
  path(id: string): string {
    return this.#sessions.get(id)?.path ?? findPath(this.ports.fileSystem, this.dir, id);
  }

  /**
   * Opens a session, or joins those who have it open; whatever ended it no longer counts. From here on only this
   * opens it again after an end.
   */
  openSession(user: number, start: SessionStart): SessionWriter {
    this.#gate.open(start.id);
    return this.#sessions.join(user, start.id) ?? this.#open(user, start);
  }

  /** The writer for a span of the session; opens the session where that is a span's to do. */
  admit(user: number, start: SessionStart): SessionWriter | Closed {
    return (
      this.#sessions.join(user, start.id) ?? this.#gate.closed(user, start.id) ?? this.#open(user, start)
    );
  }

  /** `source` is the span as its processor knows it, `span` as it is now, `read` as it will be. */
  recordStart(
    writer: SessionWriter,
    source: object,
    span: TraceSpan,
    read: () => TraceSpan,
    metadata: Partial<SessionMetadata>,
  ): void {
    if (writer.session.openSpans.has(span.spanId)) return;
    writer.setMetadata(metadata);
    writer.recordStart(span, read, source);
    this.changed(writer);
  }

  /** `source` is the span as its processor knows it. */
  recordEnd(
    writer: SessionWriter,
    source: object,
    span: TraceSpan,
    metadata: Partial<SessionMetadata>,
  ): "recorded" | "full" {
    this.fates.set(source, "recorded");
    writer.setMetadata(metadata);
    const outcome = writer.recordEnd(span);
    // A record that the live log had has been looked after then: recovery takes both files.
    if (outcome === "known") this.#schedule(writer);
    else this.changed(writer);
    return outcome === "full" ? "full" : "recorded";
  }

  /** Something of the session was recorded: its document is to follow. */
  changed(writer: SessionWriter): void {
    rehomeRecords(writer);
    this.#schedule(writer);
  }

  /** Ends what is open in a session whose tracer is gone while its process lives: somebody else goes on with it. */
  interruptOpen(writer: SessionWriter): void {
    const closed = writer.closeOpen((span) => interrupt(span, this.ports.clock.now(), lostOwner));
    if (!closed) return;
    for (const source of closed) this.fates.set(source, "closed");
    writer.version++;
    this.changed(writer);
  }

  /** Publishes a session that has no document yet, synchronously. A fault is told; it is tried again. */
  publishFirst(writer: SessionWriter): void {
    const { events, fileSystem } = this.ports;
    try {
      if (!fileSystem.sync.exists(writer.path)) runSync(fileSystem, publish(writer));
    } catch (error) {
      events.onFault(error, writer.path);
      this.#publisher.changed(writer);
    }
  }

  /** Publishes one session, or finishes what could not be finished before. Rejects when the disk refuses. */
  async flushSession(id: string): Promise<void> {
    const writer = this.openWriter(id);
    await allDone([...this.#unfinished.finishOf(id), ...(writer ? [this.#publisher.flush(writer)] : [])]);
  }

  /** Publishes a user's sessions, and finishes what could not be finished before. Rejects with the first failure. */
  async flush(user: number): Promise<void> {
    const work = this.#unfinished.finishAll();
    for (const [, writer] of this.sessionsOf(user)) {
      if (!this.#unfinished.has(writer)) work.push(this.#publisher.flush(writer));
    }
    await allDone(work);
  }

  /**
   * A user ends: its sessions end, but those that another user writes to are only published. Tells at once which
   * end, so that a fence that comes before they have finds them.
   */
  leave(user: number): { readonly ended: readonly string[]; readonly done: Promise<void> } {
    const ended: string[] = [];
    const work = this.#unfinished.finishAll();
    for (const [id, writer] of this.sessionsOf(user)) {
      if (this.#sessions.leave(user, id)) {
        ended.push(id);
        work.push(this.end(id, { status: "completed" }));
      } else {
        work.push(this.#publisher.flush(writer));
      }
    }
    return { ended, done: allDone(work) };
  }

  /** Ends a session in good order. Rejects when the document could not be written; then it is tried again. */
  end(id: string, end: SessionEnd): Promise<void> {
    this.#gate.end(id);
    return this.#ends.end(id, end);
  }

  /** The same before it returns. A fault is told, and it is tried again. */
  endNow(id: string, end: SessionEnd): void {
    this.#gate.end(id);
    this.#ends.endNow(id, end);
  }

  /**
   * The crash fence of a user's sessions: synchronous. Copies under way are removed, and cannot commit any more.
   * Sessions that `ended` with the user are opened again to be marked.
   */
  crash(user: number, ended: Iterable<string>, reason?: string): void {
    const ids = new Set([...ended, ...[...this.sessionsOf(user)].map(([id]) => id)]);
    const reopened = [...ids].filter((id) => !this.#gate.isFenced(id));
    this.#fence(ids, reopened, reason);
  }

  /** The crash fence of one session, also of one that has ended or was fenced before: the last reason stays. */
  crashSession(id: string, reason?: string): void {
    this.#fence(new Set([id]), [id], reason);
  }

  /** Nobody looks after it any more: what the disk has refused is for the next recovery, though this process lives. */
  abandon(): void {
    this.#unfinished.abandon();
  }

  /** Looks after what time brings: idle sessions, faults that may have passed, heartbeats. */
  tend(sessionIdleMillis: number, touchLive: boolean): void {
    const { clock, fileSystem } = this.ports;
    for (const [id, writer] of this.#sessions) {
      if (!writer.open.isSettled || !writer.live.isSettled) writer.settle();
      if (!writer.isPublished) {
        rehomeIfTaken(writer);
        this.#publisher.changed(writer);
      }
      if (touchLive) void fileSystem.async.touch(writer.live.path).catch(() => {});
      const idle = clock.monotonic() - writer.lastActive;
      if (!this.#gate.isExplicit(id) && writer.session.openSpans.size === 0 && idle > sessionIdleMillis)
        this.end(id, { status: "completed" }).catch(() => {});
    }
    for (const finished of this.#unfinished.finishAll()) finished.catch(() => {});
  }

  /** Syncs what was recorded since the last time: `durability: "interval"`. */
  syncRecent(): void {
    for (const [, writer] of this.#sessions) {
      const files = [writer.live, writer.open].filter(
        ({ unsynced, hasNewName }) => unsynced > 0 || hasNewName,
      );
      if (files.length > 0) this.#publisher.sync(writer, files);
    }
  }

  #schedule(writer: SessionWriter): void {
    this.#pool.use(writer);
    this.#publisher.changed(writer);
  }

  /** The sessions that a user writes to, with those that wait to be ended. */
  sessionsOf(user: number): Iterable<[id: string, writer: SessionWriter]> {
    return this.#sessions.of(user);
  }

  #open(user: number, start: SessionStart): SessionWriter {
    return this.#sessions.add(user, start.id, new SessionWriter(this.ports, this.dir, start));
  }

  #fence(ids: ReadonlySet<string>, reopened: readonly string[], reason: string | undefined): void {
    const error = reason || defaultReason;
    this.#ends.fence(ids, new Set(reopened), { status: "crashed", error, rootMessage: reason || undefined });
    for (const id of ids) this.#gate.fence(id);
  }

  #reopenEnded(id: string): SessionWriter | undefined {
    const path = this.path(id);
    if (!this.ports.fileSystem.sync.exists(path)) return undefined;
    return new SessionWriter(this.ports, this.dir, { id, traceId: "", startTime: this.ports.clock.now() });
  }

  #forget(writer: SessionWriter, id: string): void {
    this.#unfinished.delete(writer);
    this.#publisher.forget(writer);
    this.#pool.forget(writer);
    this.#sessions.delete(id, writer);
  }
}
