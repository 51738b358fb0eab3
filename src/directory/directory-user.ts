/**
 * An exporter's use of a directory: the implementation of the contract in `shared-directory.ts`.
 */

import type { SessionStart } from "../format/beginnings.js";
import { noHistory, type SessionHistory } from "../format/history.js";
import type { HookEvent, SessionEnd } from "../format/session-end.js";
import type { SpanIds } from "../format/span-map.js";
import type { SessionMetadata, SessionSummary, TraceSpan } from "../format/trace-file.js";
import { allSettledOrThrow } from "../platform/async.js";
import { runSync } from "../platform/gensync.js";
import type { IoCounters } from "../platform/io-counters.js";
import type { SparedCalls } from "../platform/spared-calls.js";
import { findResumable } from "../recovery/resume.js";
import { rewriteHead } from "../storage/merge.js";
import { closePeerSpans, hasPeerFilesNow } from "../storage/publish.js";
import type { SessionChange } from "../storage/session-change.js";
import { readHistory } from "../storage/session-history.js";
import type { Housekeeping } from "./housekeeping.js";
import { moveSpan } from "./moves.js";
import type { SessionEntry } from "./sessions.js";
import type {
  DirectoryCounts,
  DirectoryUser,
  HeldSession,
  MovingSpan,
  NamedSpan,
  SharedSession,
  SpanHome,
} from "./shared-directory.js";
import type { KnownEnd, TraceDirectory } from "./trace-directory.js";
import { UnnamedHome } from "./unnamed-home.js";
import { UnnamedTrace } from "./unnamed-trace.js";
import type { UnnamedTraces } from "./unnamed-traces.js";

/** Bytes of a document that are read for what its session did before, while the caller of `openSession` waits. */
const historyBytes = 1_000_000;

export class UserOfDirectory implements DirectoryUser {
  readonly #directory: TraceDirectory;
  readonly #unnamed: UnnamedTraces;
  readonly #housekeeping: Housekeeping;
  readonly #counters: IoCounters;
  readonly #spared: SparedCalls;
  readonly #user: number;
  readonly #onGone: () => void;
  readonly #sessions = new WeakMap<SessionEntry, SharedSession>();

  /** `onGone` is called after a {@link release}, as soon as the user is gone. */
  constructor(
    directory: TraceDirectory,
    unnamed: UnnamedTraces,
    housekeeping: Housekeeping,
    { counters, spared }: { readonly counters: IoCounters; readonly spared: SparedCalls },
    onGone: () => void,
  ) {
    this.#directory = directory;
    this.#unnamed = unnamed;
    this.#housekeeping = housekeeping;
    this.#counters = counters;
    this.#spared = spared;
    this.#user = directory.join();
    this.#onGone = onGone;
  }

  path(id: string): string {
    return this.#directory.path(id);
  }

  knownEnd(source: object): KnownEnd | undefined {
    return this.#directory.knownEnd(source);
  }

  homeOf(source: object): SpanHome | undefined {
    const home = this.#unnamed.traceOf(source) ?? this.#directory.startedIn(source);
    return home && this.#homeIn(home);
  }

  admitUnnamed(traceId: string, startTime: number): SpanHome | undefined {
    const home = this.#unnamed.admit(this.#user, traceId, startTime);
    if (home === undefined || home instanceof UnnamedTrace) return home && this.#homeIn(home);
    return new SharedByPolicy(this.#directory, home, this.#unnamed, traceId);
  }

  named(span: NamedSpan, sessionId: string): void {
    this.#unnamed.named(this.#user, span, sessionId);
  }

  placeBelow(traceId: string, parentSpanId: string, sessionId: string): "below" | "elsewhere" {
    return this.#unnamed.placeBelow(traceId, parentSpanId, sessionId);
  }

  admit(opened: SessionStart): SharedSession | "crashed" | "ended" {
    const admitted = this.#directory.admit(this.#user, opened);
    return typeof admitted === "string" ? admitted : this.#sessionOf(admitted);
  }

  openSession(opened: SessionStart, metadata: Partial<SessionMetadata>): HeldSession {
    this.#spared.askAgain();
    const directory = this.#directory;
    const known = directory.openEntry(opened.id);
    const entry = directory.openSession(this.#user, opened);
    const { writer } = entry;
    const { published } = writer.base;
    const history =
      known || !published
        ? noHistory
        : runSync(directory.ports.fileSystem, readHistory(published, historyBytes));
    const isRunAfterEnd = !known && writer.session.beginRun();
    if (writer.session.learn(metadata) || isRunAfterEnd) writer.recordSession();
    publishFirst(directory, entry);
    return new Held(directory, entry, history, !known && !published);
  }

  async findSession(id: string, traceId: string): Promise<(() => HeldSession) | undefined> {
    const directory = this.#directory;
    // The document of an end under way, or of a session that is open here, is behind.
    await directory.flushSession(id).catch(() => {});
    const history = await findResumable(directory.ports, directory.dir, id);
    return history && (() => this.#resume(id, traceId, history));
  }

  #resume(id: string, traceId: string, history: SessionHistory): HeldSession {
    const directory = this.#directory;
    const known = directory.openEntry(id);
    const startTime = directory.ports.clock.now();
    const entry = directory.openSession(this.#user, { id, traceId, startTime });
    const { writer } = entry;
    if (known) directory.interruptOpen(entry);
    else {
      // Before the first record: spans stand in order of completion.
      if (!hasPeerFilesNow(writer)) closePeerSpans(writer);
      writer.markPublished(writer.version);
    }
    return new Held(directory, entry, history, false);
  }

  async flush(): Promise<void> {
    this.#spared.askAgain();
    const documents = this.#unnamed.flush();
    await allSettledOrThrow([this.#directory.flush(this.#user), documents]);
    // Spans of a trace that had a document already are in a session by now.
    await this.#directory.flush(this.#user);
  }

  flushSession(id: string): Promise<void> {
    this.#spared.askAgain();
    return this.#directory.flushSession(id);
  }

  end(id: string, end: SessionEnd): Promise<void> {
    this.#spared.askAgain();
    this.#unnamed.decide(id);
    return this.#directory.end(id, end);
  }

  endNow(id: string, end: SessionEnd): void {
    this.#spared.askAgain();
    this.#directory.endNow(id, end);
  }

  leave(): { readonly ended: readonly string[]; readonly done: Promise<void> } {
    this.#spared.askAgain();
    this.#unnamed.leave(this.#user);
    const documents = this.#unnamed.flush();
    const { ended, done } = this.#directory.leave(this.#user);
    // Again, for the reason in `flush()`.
    const again = () => this.#directory.leave(this.#user).done;
    return { ended, done: allSettledOrThrow([done, documents]).finally(again) };
  }

  fence(event: HookEvent): void {
    this.#spared.askAgain();
    this.#unnamed.crash(this.#user, true);
    this.#directory.fences.fence(this.#user, event);
  }

  crash(ended: Iterable<string>, reason?: string): void {
    this.#spared.askAgain();
    this.#unnamed.crash(this.#user);
    this.#directory.fences.crash(this.#user, ended, reason);
  }

  crashSession(id: string, reason?: string): void {
    this.#spared.askAgain();
    this.#directory.fences.crashSession(this.#user, id, reason);
  }

  counts(): DirectoryCounts {
    const { size, queuedBytes: unnamedBytes, queuedSpans, undecidedSpans } = this.#unnamed;
    let [openSessions, queuedLines, queuedBytes] = [size, queuedSpans, unnamedBytes];
    for (const entry of this.#directory.sessionsOf(this.#user)) {
      const { writer } = entry;
      const { lines, bytes } = writer.log.queued;
      // A session that the user has left, and that another user still writes to, is open for that user only.
      if (entry.isWrittenBy(this.#user) || !writer.life.isOpen) openSessions++;
      queuedLines += lines;
      queuedBytes += bytes + writer.journal.queued.bytes;
    }
    const refused = this.#directory.ports.fileSystem.ground?.refused ?? {};
    return { openSessions, queuedLines, queuedBytes, undecidedSpans, refused, ...this.#counters.snapshot };
  }

  maintain(): Promise<void> {
    return this.#housekeeping.maintain();
  }

  release(): void {
    this.#unnamed.release(this.#user, () => this.#directory.release(this.#user, this.#onGone));
  }

  #homeIn(home: UnnamedTrace | SessionEntry): SpanHome {
    return home instanceof UnnamedTrace ? new UnnamedHome(this.#unnamed, home) : this.#sessionOf(home);
  }

  #sessionOf(entry: SessionEntry): SharedSession {
    let session = this.#sessions.get(entry);
    if (!session) {
      session = new Shared(this.#directory, entry);
      this.#sessions.set(entry, session);
    }
    return session;
  }
}

/** Publishes a session that has no document yet, before it returns. A fault is reported and the publish retried. */
function publishFirst({ ports }: TraceDirectory, { writer, publisher }: SessionEntry): void {
  try {
    if (!ports.fileSystem.sync.exists(writer.path)) publisher.publishNow();
  } catch (error) {
    publisher.changed();
    ports.events.onFault(error, writer.path);
  }
}

class Shared implements SharedSession {
  readonly id: string;
  readonly #directory: TraceDirectory;
  readonly #entry: SessionEntry;

  constructor(directory: TraceDirectory, entry: SessionEntry) {
    this.#directory = directory;
    this.#entry = entry;
    this.id = entry.id;
  }

  get rootSpanId(): string {
    return this.#entry.writer.session.rootSpanId;
  }

  isOpen(): boolean {
    return this.#entry.isOpen;
  }

  /** `false` for a session that was not opened explicitly, while the session is open. */
  isHeld(): boolean {
    const open = this.#directory.openEntry(this.id);
    return open === undefined || (open === this.#entry && open.isHeldBy(this));
  }

  path(): string {
    return this.#entry.writer.path;
  }

  traceId(): string {
    return this.#entry.writer.session.head.traceId;
  }

  metadata(): SessionMetadata {
    return this.#entry.writer.session.metadata;
  }

  summary(): SessionSummary {
    const { session, clock } = this.#entry.writer;
    return session.tail(clock.now()).summary;
  }

  recordStart(
    source: object,
    span: TraceSpan,
    read: () => TraceSpan,
    metadata: Partial<SessionMetadata>,
  ): "recorded" | "full" {
    return this.#directory.recordStart(this.#entry, source, span, read, metadata);
  }

  recordEnd(source: object, span: TraceSpan, metadata: Partial<SessionMetadata>): "recorded" | "full" {
    const outcome = this.#directory.recordEnd(this.#entry, source, span, metadata);
    this.#directory.endIfQuiet(this.#entry);
    return outcome;
  }

  recordChange(span: SpanIds): void {
    if (this.isOpen()) this.#directory.recordChange(this.#entry, span);
  }

  recordAttributes(span: SpanIds, attributes: Readonly<Record<string, unknown>>): void {
    if (this.isOpen()) this.#directory.recordAttributes(this.#entry, span, attributes);
  }

  learn(metadata: Partial<SessionMetadata>): void {
    if (this.isOpen()) this.#directory.learn(this.#entry, metadata);
  }

  moveOut<T>(span: MovingSpan, to: string, record: () => T): T {
    return this.isOpen() ? moveSpan(this.#directory, this.#entry, { ...span, to }, record) : record();
  }

  update(changed: SessionChange, limit: (root: TraceSpan) => TraceSpan): void {
    if (this.isOpen()) this.#directory.update(this.#entry, changed, limit);
  }

  setTraceId(traceId: string, assumed: string): void {
    const { writer, suspended } = this.#entry;
    const { head } = writer.session;
    // The document of a suspended session names its trace.
    if (
      !this.isOpen() ||
      suspended ||
      head.traceId === traceId ||
      head.traceId !== assumed ||
      writer.log.lines > 0
    )
      return;
    runSync(writer.ports.fileSystem, rewriteHead(writer, { ...head, traceId }));
    writer.recordSession();
  }
}

/** The session that the policy gave a trace: its open spans may still name another one. */
class SharedByPolicy extends Shared {
  readonly #unnamed: UnnamedTraces;
  readonly #traceId: string;

  constructor(directory: TraceDirectory, entry: SessionEntry, unnamed: UnnamedTraces, traceId: string) {
    super(directory, entry);
    this.#unnamed = unnamed;
    this.#traceId = traceId;
  }

  override recordStart(
    source: object,
    span: TraceSpan,
    read: () => TraceSpan,
    metadata: Partial<SessionMetadata>,
    sessionOf?: () => string | undefined,
  ): "recorded" | "full" {
    this.#unnamed.settle(this.#traceId, span.spanId, this.id);
    if (sessionOf) this.#unnamed.watch(this.#traceId, { span, source, sessionOf });
    return super.recordStart(source, span, read, metadata);
  }

  override recordEnd(
    source: object,
    span: TraceSpan,
    metadata: Partial<SessionMetadata>,
  ): "recorded" | "full" {
    this.#unnamed.settle(this.#traceId, span.spanId, this.id);
    return super.recordEnd(source, span, metadata);
  }
}

class Held extends Shared implements HeldSession {
  readonly isNew: boolean;
  #history: SessionHistory;

  constructor(directory: TraceDirectory, entry: SessionEntry, history: SessionHistory, isNew: boolean) {
    super(directory, entry);
    this.#history = history;
    this.isNew = isNew;
    entry.holdBy(this);
  }

  takeHistory(): SessionHistory {
    const history = this.#history;
    this.#history = noHistory;
    return history;
  }
}
