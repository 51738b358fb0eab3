/**
 * One directory of sessions in this process: who writes to it, and how each session ends.
 */
import { tryUnlink } from "./commit.js";
import { thrifty } from "./descriptor-thrift.js";
import { allDone, type Lane } from "./lane.js";
import { rewrite } from "./merge.js";
import { runNow } from "./plan.js";
import { Publisher } from "./publisher.js";
import { seal } from "./seal.js";
import type { SessionEnd, SessionStart } from "./session-ledger.js";
import { documentPath, nameCandidates } from "./session-name.js";
import { SessionWriter, type WriterPorts } from "./session-writer.js";
import { SpanFates } from "./span-fates.js";
import type { SessionMetadata, TraceSpan } from "./trace-file.js";
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
  readonly #sessions = new Map<string, SessionWriter>();
  readonly #unfinished: UnfinishedSessions;
  /** Who writes to a session, of the exporters that share this directory. */
  readonly #usersOf = new Map<string, Set<number>>();
  /** Fenced sessions, by id: users that had joined by then cannot reopen them. */
  readonly #fencedAt = new Map<string, number>();
  #joined = 0;

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
    this.#unfinished = new UnfinishedSessions(lanes.publish, {
      onTry: (writer) => this.#rehomeIfTaken(writer),
      onSealed: (writer, id) => this.#forget(writer, id),
    });
  }

  /** A number for a new user of this directory: it may resume what was fenced before it came. */
  join(): number {
    return ++this.#joined;
  }

  /** Writers of sessions that are open now. */
  writers(): Iterable<SessionWriter> {
    return this.#sessions.values();
  }

  /** Where the session's document is, or would be. */
  path(id: string): string {
    return (
      this.#sessions.get(id)?.path ?? documentPath({ dir: this.dir, name: nameCandidates(id)[0] as string })
    );
  }

  /** The session's root, for spans that have no parent in it. */
  rootSpanId(user: number, start: SessionStart): string | undefined {
    return this.#writerFor(user, start)?.ledger.root.spanId;
  }

  /** `source` is the span as its processor knows it, `span` as it is now, `read` as it will be. */
  recordStart(
    user: number,
    start: SessionStart,
    source: object,
    span: TraceSpan,
    read: () => TraceSpan,
    metadata: Partial<SessionMetadata>,
  ): void {
    const writer = this.#writerFor(user, start);
    if (!writer || writer.ledger.open.has(span.spanId)) return;
    writer.setMetadata(metadata);
    writer.recordStart(span, read, source);
    this.#recorded(writer);
  }

  /** `source` is the span as its processor knows it. */
  recordEnd(
    user: number,
    start: SessionStart,
    source: object,
    span: TraceSpan,
    metadata: Partial<SessionMetadata>,
  ): "recorded" | "fenced" | "full" {
    const writer = this.#writerFor(user, start);
    if (!writer) return "fenced";
    this.fates.set(source, "recorded");
    const { dropped } = writer;
    writer.setMetadata(metadata);
    writer.recordEnd(span);
    this.#recorded(writer);
    return writer.dropped === dropped ? "recorded" : "full";
  }

  /** Publishes a user's sessions, and finishes what could not be finished before. Rejects with the first failure. */
  async flush(user: number): Promise<void> {
    const work = this.#unfinished.finishAll();
    for (const [, writer] of this.#sessionsOf(user)) {
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
    for (const [id, writer] of this.#sessionsOf(user)) {
      const users = this.#usersOf.get(id);
      users?.delete(user);
      if (users && users.size > 0) {
        work.push(this.#publisher.flush(writer));
      } else {
        ended.push(id);
        work.push(this.end(id, { status: "completed" }));
      }
    }
    return { ended, done: allDone(work) };
  }

  /** Ends a session in good order. Rejects when the document could not be written; then it is tried again. */
  async end(id: string, end: SessionEnd): Promise<void> {
    const writer = this.#sessions.get(id);
    if (!writer) return;
    if (writer.state === "open") {
      // At once: a span that starts while the seal waits for its turn belongs to what follows, and is not closed by it.
      writer.state = "sealing";
      for (const { source } of writer.ledger.open.values()) this.fates.set(source, "closed");
      this.#unfinished.add(writer, id, end);
    }
    // Whoever asks again waits for what is under way, or tries again what has failed.
    await this.#unfinished.finish(writer);
  }

  /**
   * The crash fence of a user's sessions: synchronous. Copies under way are removed, and cannot commit any more.
   * Sessions that `ended` with the user are opened again to be marked.
   */
  crash(user: number, ended: Iterable<string>, reason?: string): void {
    const error = reason || defaultReason;
    const end: SessionEnd = { status: "crashed", error, rootMessage: reason || undefined };
    const fenced = new Set([...ended, ...[...this.#sessionsOf(user)].map(([id]) => id)]);
    const writers = new Map<SessionWriter, string>();
    for (const [writer, id] of this.#unfinished) {
      if (!fenced.has(id)) continue;
      // Sealed, and only the news of it is under way: opened again below, as every ended session.
      if (writer.state === "sealed") this.#forget(writer, id);
      else writers.set(writer, id);
    }
    for (const id of fenced) {
      const writer = this.#sessions.get(id);
      if (writer) writers.set(writer, id);
    }
    const found = new Set(writers.values());
    for (const id of fenced) {
      const ended = found.has(id) || this.#fencedAt.has(id) ? undefined : this.#reopenEnded(id);
      if (ended) writers.set(ended, id);
      this.#fencedAt.set(id, this.#joined);
    }
    // First all are closed to work under way, then each is written: a slow disk delays only the writing.
    for (const writer of writers.keys()) this.#stop(writer);
    for (const [writer, id] of writers) this.#fence(writer, id, end);
  }

  /** Looks after what time brings: idle sessions, faults that may have passed, heartbeats. */
  tend(sessionIdleMillis: number, touchLive: boolean): void {
    const { clock, fileSystem } = this.ports;
    for (const [id, writer] of this.#sessions) {
      if (!writer.open.isSettled || !writer.live.isSettled) writer.settle();
      if (!writer.isPublished) {
        this.#rehomeIfTaken(writer);
        this.#publisher.changed(writer);
      }
      if (touchLive) void fileSystem.async.touch(writer.live.path).catch(() => {});
      const idle = clock.monotonic() - writer.lastActive;
      if (writer.ledger.open.size === 0 && idle > sessionIdleMillis)
        this.end(id, { status: "completed" }).catch(() => {});
    }
    for (const finished of this.#unfinished.finishAll()) finished.catch(() => {});
  }

  /** Syncs what was recorded since the last time: `durability: "interval"`. */
  syncRecent(): void {
    for (const writer of this.#sessions.values()) {
      const files = [writer.live, writer.open].filter(({ unsynced }) => unsynced > 0);
      if (files.length > 0) this.#publisher.sync(writer, files);
    }
  }

  *#sessionsOf(user: number): Iterable<[string, SessionWriter]> {
    for (const session of this.#sessions) if (this.#usersOf.get(session[0])?.has(user)) yield session;
  }

  #writerFor(user: number, start: SessionStart): SessionWriter | undefined {
    const known = this.#sessions.get(start.id);
    if (known?.state === "open") {
      this.#usersOf.get(start.id)?.add(user);
      return known;
    }
    const fencedAt = this.#fencedAt.get(start.id);
    if (fencedAt !== undefined && user <= fencedAt) return undefined;
    this.#fencedAt.delete(start.id);
    const writer = new SessionWriter(this.ports, this.dir, start);
    this.#sessions.set(start.id, writer);
    this.#usersOf.set(start.id, new Set([user]));
    return writer;
  }

  #recorded(writer: SessionWriter): void {
    this.#rehomeIfTaken(writer);
    this.#pool.use(writer);
    this.#publisher.changed(writer);
  }

  /** Where the open document was taken by a recovery, or deleted, what it held goes into a new one. */
  #rehomeIfTaken(writer: SessionWriter): void {
    if (!writer.isTaken()) return;
    const { fileSystem, events } = this.ports;
    try {
      fileSystem.sync.mkdirs(this.dir);
      writer.rewriteLive();
      runNow(fileSystem, rewrite(writer));
    } catch (error) {
      events.onFault(error, writer.open.path);
    }
  }

  #stop(writer: SessionWriter): void {
    writer.epoch++;
    writer.state = "crashed";
    this.#publisher.forget(writer);
    // Not forgotten: a copy that is only now being created is removed by the work that asked for it.
    for (const path of writer.temps) tryUnlink(this.ports.fileSystem.sync, path);
  }

  #fence(writer: SessionWriter, id: string, end: SessionEnd): void {
    try {
      this.#rehomeIfTaken(writer);
      runNow(this.ports.fileSystem, seal(writer, end));
      this.#forget(writer, id);
    } catch (error) {
      // The side files stay: tried again while the process lives, and by recovery after it.
      this.#unfinished.add(writer, id, end);
      this.ports.events.onFault(error, writer.path);
    }
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
    if (this.#sessions.get(id) !== writer) return;
    this.#sessions.delete(id);
    this.#usersOf.delete(id);
  }
}
