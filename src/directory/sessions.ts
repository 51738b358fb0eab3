/**
 * The sessions of a directory in this process: one entry each, from the first span to the final document.
 */
import type { HookVerdict, SessionEnd } from "../format/session-end.js";
import type { SpanIds } from "../format/span-map.js";
import type { SessionWriter } from "../storage/session-writer.js";
import type { SuspendedSession } from "../storage/suspended-session.js";
import type { PublishScheduler } from "./publish-scheduler.js";

/** A session that this process writes to, or whose final document is not written yet. */
export class SessionEntry {
  readonly id: string;
  #writer: SessionWriter;
  #publisher: PublishScheduler;
  #suspended: SuspendedSession | undefined;
  /** Users of the directory that write to the session, and users that have left it: the disk may lack their spans. */
  readonly #users = new Map<number, "writes" | "left">();
  /** Opened by `openSession()`: the session ends by a call only, however long it is silent. */
  #isExplicit = false;
  #holder: object | undefined;
  #end: SessionEnd | undefined;
  #quietMillis: number | undefined;

  constructor(id: string, writer: SessionWriter, publisher: PublishScheduler) {
    this.id = id;
    this.#writer = writer;
    this.#publisher = publisher;
  }

  /** The writer of the session; the ended one while the session is suspended. */
  get writer(): SessionWriter {
    return this.#writer;
  }

  get publisher(): PublishScheduler {
    return this.#publisher;
  }

  /** Whether the session takes spans. */
  get isOpen(): boolean {
    return this.#suspended !== undefined || this.#writer.life.isOpen;
  }

  /** A process hook has ended the writer, and nothing was recorded since. */
  get suspended(): SuspendedSession | undefined {
    return this.#suspended;
  }

  /** The verdict of a process hook, until it is taken back. */
  get verdict(): HookVerdict | undefined {
    const { verdict } = this.#suspended ?? this.#writer.session;
    return verdict?.end && verdict;
  }

  /** How many spans have no line yet, apart from those that a verdict has given. */
  get openSpans(): number {
    return (this.#suspended ?? this.#writer.session).openSpans.size;
  }

  /** Whether this process knows the span as open. */
  runs(span: SpanIds): boolean {
    return (this.#suspended ?? this.#writer.session).openSpans.has(span);
  }

  /** A process hook ends the writer. */
  suspend(suspended: SuspendedSession): void {
    this.#suspended = suspended;
  }

  /** Replaces the writer of a suspended session. The session is open again. */
  continueWith(writer: SessionWriter, publisher: PublishScheduler): void {
    this.#suspended = undefined;
    this.#writer = writer;
    this.#publisher = publisher;
  }

  get isExplicit(): boolean {
    return this.#isExplicit;
  }

  /** How the session is to end; `undefined` while nothing has ended the session. */
  get end(): SessionEnd | undefined {
    return this.#end;
  }

  /** The session ends like this; of two ends the later one replaces the earlier. */
  endAs(end: SessionEnd): void {
    this.#end = end;
  }

  /** The entry stands for an earlier writer of the session of `entry`: it has the same users. */
  adoptUsers(entry: SessionEntry): void {
    for (const [user, state] of entry.#users) this.#users.set(user, state);
  }

  addUser(user: number): void {
    this.#users.set(user, "writes");
  }

  /** The user writes no more spans. Returns whether no user writes to the session any more. */
  leave(user: number): boolean {
    this.#users.set(user, "left");
    return ![...this.#users.values()].includes("writes");
  }

  /** Whether the user writes to the session, or has written to it. */
  hasUser(user: number): boolean {
    return this.#users.has(user);
  }

  /** Whether the user still writes to the session. */
  isWrittenBy(user: number): boolean {
    return this.#users.get(user) === "writes";
  }

  /** Silence after which the session ends by itself, if it is not the silence of all sessions. */
  get quietMillis(): number | undefined {
    return this.#quietMillis;
  }

  /** The session ends by itself after so long a silence; with 0, when its last open span ends. */
  endAfterQuiet(millis: number): void {
    this.#quietMillis = millis;
  }

  makeExplicit(): void {
    this.#isExplicit = true;
    this.writer.session.openByCall();
  }

  /** Returns whether the session was opened explicitly. */
  endExplicit(): boolean {
    const wasExplicit = this.#isExplicit;
    this.#isExplicit = false;
    return wasExplicit;
  }

  /** `holder` opened the session last, and is the one that may end it. */
  holdBy(holder: object): void {
    this.#holder = holder;
  }

  isHeldBy(holder: object): boolean {
    return this.#holder === holder;
  }
}

/** Each open session holds up to three descriptors: append log, journal, published document. */
const maxWarm = 40;
/** Entries that are asked to close theirs, one after the other: where the disk refuses, thousands cannot. */
const maxBusy = 8;

/** The table of entries. */
export class Sessions {
  /** The newest entry of each session id. */
  readonly #entries = new Map<string, SessionEntry>();
  /** Ended sessions whose final document is not written yet, because it is queued or the write failed. */
  readonly #unwritten = new Set<SessionEntry>();
  /** The same entries by session id. */
  readonly #unwrittenOf = new Map<string, Set<SessionEntry>>();
  /** Entries whose final document is written, and whose side files could not be removed yet. */
  readonly #unclean = new Set<SessionEntry>();
  /** Users that want to go, and what to call when they are gone. */
  readonly #leaving = new Map<number, () => void>();
  /** Entries with open descriptors, least recently used first. */
  readonly #warm = new Set<SessionEntry>();

  /** The newest entry of a session, also one that waits for its final document. */
  get(id: string): SessionEntry | undefined {
    return this.#entries.get(id);
  }

  /** The entry of a session that is open now. */
  open(id: string): SessionEntry | undefined {
    const entry = this.#entries.get(id);
    return entry?.isOpen ? entry : undefined;
  }

  /** The entry of a session that is open now, to which `user` writes from here on. */
  openFor(user: number, id: string): SessionEntry | undefined {
    const entry = this.open(id);
    entry?.addUser(user);
    return entry;
  }

  add(entry: SessionEntry): void {
    this.#entries.set(entry.id, entry);
  }

  /** The newest entries, in the order in which their sessions were opened. */
  all(): Iterable<SessionEntry> {
    return this.#entries.values();
  }

  /** Like {@link all}, without suspended sessions: those have no files but their documents. */
  *writing(): Iterable<SessionEntry> {
    for (const entry of this.#entries.values()) if (!entry.suspended) yield entry;
  }

  /** Entries with spans of `user`: the newest of each session, and older ones that wait for their final document. */
  *of(user: number): Iterable<SessionEntry> {
    for (const entry of this.#entries.values()) if (entry.hasUser(user)) yield entry;
    for (const entry of this.#unwritten)
      if (entry.hasUser(user) && this.#entries.get(entry.id) !== entry) yield entry;
  }

  /** The session has ended, and its final document is to be written. */
  addUnwritten(entry: SessionEntry): void {
    this.#unwritten.add(entry);
    this.#unwrittenOf.set(entry.id, (this.#unwrittenOf.get(entry.id) ?? new Set()).add(entry));
  }

  /** Whether the entry is open, or waits for its final document. */
  has(entry: SessionEntry): boolean {
    return this.#entries.get(entry.id) === entry || this.#unwritten.has(entry);
  }

  /** The disk has refused its final document: the other ones are tried first. */
  putLast(entry: SessionEntry): void {
    if (this.#unwritten.delete(entry)) this.#unwritten.add(entry);
  }

  isUnwritten(entry: SessionEntry): boolean {
    return this.#unwritten.has(entry);
  }

  get hasUnwritten(): boolean {
    return this.#unwritten.size > 0;
  }

  /** Entries without their final document: of one session or of all. */
  unwritten(id?: string): SessionEntry[] {
    return [...(id === undefined ? this.#unwritten : (this.#unwrittenOf.get(id) ?? []))];
  }

  /** The final document is written. A newer entry of the session stays. */
  delete(entry: SessionEntry): void {
    this.#unwritten.delete(entry);
    const ofSession = this.#unwrittenOf.get(entry.id);
    ofSession?.delete(entry);
    if (ofSession?.size === 0) this.#unwrittenOf.delete(entry.id);
    this.unuse(entry);
    entry.publisher.cancel();
    if (this.#entries.get(entry.id) === entry) this.#entries.delete(entry.id);
    if (!entry.writer.isClean) this.#unclean.add(entry);
    this.#letGo();
  }

  /** Removes side files that could not be removed with their entry. */
  clean(): void {
    for (const entry of this.#unclean) {
      entry.writer.removeSideFiles();
      if (entry.writer.isClean) this.#unclean.delete(entry);
    }
    this.#letGo();
  }

  /** Calls `onGone` when no ended session of the user waits for its final document, or has side files left. */
  release(user: number, onGone: () => void): void {
    this.#leaving.set(user, onGone);
    this.clean();
  }

  /** The files of an entry were used just now; beyond {@link maxWarm} entries the least recently used ones close theirs. */
  use(entry: SessionEntry): void {
    this.#warm.delete(entry);
    // The disk may refuse to open them.
    if (!hasOpenFiles(entry.writer)) return;
    this.#warm.add(entry);
    // Several when none could be closed before: a copy was being made, or a record was half written.
    while (this.#warm.size > maxWarm && this.evictOldest(maxBusy));
  }

  #letGo(): void {
    for (const [user, onGone] of this.#leaving) {
      if (hasEntryOf(user, this.#unwritten) || hasEntryOf(user, this.#unclean)) continue;
      this.#leaving.delete(user);
      onGone();
    }
  }

  /** The files of an entry are closed, or in use until they are. */
  unuse(entry: SessionEntry): void {
    this.#warm.delete(entry);
  }

  /** Closes the descriptors of the entry that was silent longest; `false` when none of the `asked` oldest ones can. */
  evictOldest(asked = this.#warm.size): boolean {
    for (const entry of [...firstOf(this.#warm, asked)]) {
      this.#warm.delete(entry);
      if (entry.writer.closeIdleFiles()) return true;
      // It is asked again when all the others were.
      this.#warm.add(entry);
    }
    return false;
  }
}

const hasOpenFiles = ({ log, journal }: SessionWriter): boolean =>
  log.descriptor !== undefined || journal.descriptor !== undefined;

function* firstOf<T>(items: Iterable<T>, count: number): Iterable<T> {
  let left = count;
  for (const item of items) {
    if (left-- <= 0) return;
    yield item;
  }
}

/** Without a copy of the set: called for each entry that is written. */
function hasEntryOf(user: number, entries: Iterable<SessionEntry>): boolean {
  for (const entry of entries) if (entry.hasUser(user)) return true;
  return false;
}
