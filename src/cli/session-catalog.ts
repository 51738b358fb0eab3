/**
 * The sessions of a directory, each with its state: from the first and last line of its document, and from the owners
 * of its side files. Sessions whose writer is gone are read whole, since their documents are not complete. Reads
 * synchronously: a listing of 1,000 documents took twice as long through the thread pool.
 */
import { basename } from "node:path";
import { isRoot } from "../format/document.js";
import { parseEntry, type SessionFiles, unnamedPath } from "../format/file-names.js";
import { decodeLeadingHead } from "../format/leading-head.js";
import type { SessionMetadata, SessionSummary, TraceFile, TraceSpan } from "../format/trace-file.js";
import { validMetadata, validSummary } from "../format/validate.js";
import {
  ATTR_CRASH_SAFE_FILE_PARENT_SESSION_ID,
  ATTR_CRASH_SAFE_FILE_PARENT_SPAN_ID,
} from "../otel/semantic-conventions.js";
import { systemClock } from "../platform/clock.js";
import { CrashSafeFileError, tryOr } from "../platform/errors.js";
import { errorCode, nodeFileSystem } from "../platform/file-system.js";
import { runAsync, runSync } from "../platform/gensync.js";
import { isRecoveryToken, type Liveness, SystemLiveness, type Verdict } from "../platform/liveness.js";
import { readFoundOutline } from "../recovery/read-trace.js";
import { sessionNamesIn, unnamedLogState } from "../recovery/unnamed-logs.js";
import { hollowBytes, openPublished, type Published } from "../storage/document-file.js";
import { readRange } from "../storage/lines.js";
import { sideFileState } from "../storage/side-files.js";
import { CommandError } from "./command.js";
import { failureReason } from "./failure-reason.js";
import { statOf } from "./file-stat.js";

/** The state of a session, as commands show it. */
export type SessionState = "running" | "idle" | "completed" | "error" | "crashed" | "damaged";

export const sessionStates = ["running", "idle", "completed", "error", "crashed", "damaged"] as const;

/** `alive`: a process writes to the session. `gone`: it left its files. `none`: no file of a writer exists. */
export type WriterState = "alive" | "gone" | "none";

/** The owner of side files. */
export interface WriterOwner {
  readonly token: string;
  readonly pid: number;
  /** Its process is there, or belongs to another host or container and has touched its files a moment ago. */
  readonly isAlive: boolean;
  /** Its process was looked at: it is one of this machine. */
  readonly isLocal: boolean;
  /** A recovery of a dead writer's files that is under way: no writer. */
  readonly isRecovery: boolean;
}

/** A session by the names in its directory; nothing was read yet. */
export interface FoundSession {
  readonly files: SessionFiles;
  readonly path: string;
  readonly hasDocument: boolean;
  /** Tokens of the owners of side files. */
  readonly tokens: readonly string[];
  /** Tokens of the processes whose unnamed log has spans of the session. */
  readonly unnamed: readonly string[];
  /** Names of files that a recovery kept, since it could not read them. */
  readonly kept: readonly string[];
}

/** What started the session of a subagent. */
export interface ParentSession {
  /** The raw session id. */
  readonly id: string;
  readonly spanId?: string;
}

/** The parent session that the session span names. */
export function parentOf(spans: readonly TraceSpan[]): ParentSession | undefined {
  const { attributes } = spans.find(isRoot) ?? {};
  const id = attributes?.[ATTR_CRASH_SAFE_FILE_PARENT_SESSION_ID];
  const spanId = attributes?.[ATTR_CRASH_SAFE_FILE_PARENT_SPAN_ID];
  if (typeof id !== "string") return undefined;
  return { id, ...(typeof spanId === "string" && { spanId }) };
}

/** A session of a listing. */
export interface CatalogEntry {
  readonly name: string;
  readonly path: string;
  readonly state: SessionState;
  readonly writer: WriterState;
  /** The raw session id; the name of the document where no id is known. */
  readonly id: string;
  /** Epoch milliseconds; `NaN` where unknown. */
  readonly startedAt: number;
  readonly lastActivityAt: number;
  readonly bytes: number;
  readonly metadata: SessionMetadata;
  readonly summary: Partial<SessionSummary>;
  /** The session that started this one as its subagent. */
  readonly parent?: ParentSession | undefined;
  /** What is wrong with a damaged one. */
  readonly damage?: string;
}

/** The sessions of a directory by names, in no order. A directory that does not exist is an error for people. */
export function findSessions(dir: string): FoundSession[] {
  let names: string[];
  try {
    names = nodeFileSystem.sync.readdir(dir).sort();
  } catch (error) {
    const reason =
      errorCode(error) === "ENOENT"
        ? "it does not exist; --dir or CRASH_SAFE_FILE_DIR names another one"
        : failureReason(error);
    throw new CommandError(`cannot read the directory of traces ${dir}: ${reason}`);
  }
  const found = new Map<string, NamesOfSession>();
  const of = (name: string): NamesOfSession => {
    const known = found.get(name);
    if (known) return known;
    const session = { hasDocument: false, tokens: new Set<string>(), unnamed: [], kept: [] };
    found.set(name, session);
    return session;
  };
  for (const fileName of names) {
    const entry = parseEntry(fileName);
    if (entry.type === "document") of(entry.name).hasDocument = true;
    else if (entry.type === "open" || entry.type === "live") of(entry.name).tokens.add(entry.token);
    else if (entry.type === "damaged") of(entry.name).kept.push(fileName);
    else if (entry.type === "unnamed")
      for (const name of namesInUnnamedLog(dir, entry.token)) of(name).unnamed.push(entry.token);
  }
  return [...found]
    .filter(([, { hasDocument, tokens, unnamed }]) => hasDocument || tokens.size + unnamed.length > 0)
    .map(([name, { tokens, ...session }]) => ({
      files: { dir, name },
      path: `${dir}/${name}.json`,
      tokens: [...tokens],
      ...session,
    }));
}

interface NamesOfSession {
  hasDocument: boolean;
  readonly tokens: Set<string>;
  readonly unnamed: string[];
  readonly kept: string[];
}

/** The sessions of spans whose session was not known when they were recorded; none for a log that is gone or not readable. */
function namesInUnnamedLog(dir: string, token: string): readonly string[] {
  try {
    const ports = { fileSystem: nodeFileSystem };
    return runSync(nodeFileSystem, sessionNamesIn(ports, dir, token)) ?? [];
  } catch {
    return [];
  }
}

/** What is known of processes at one moment: each is looked at once, however many sessions it has. */
export class LivenessNow implements Pick<Liveness, "verdict"> {
  static #machine: SystemLiveness | undefined;
  readonly #verdicts = new Map<string, Verdict>();

  verdict(token: string): Verdict {
    // The last part of a token is random: the parts before it name the thread.
    const thread = token.replace(/-[^-]*(?:-recovery)?$/, "");
    const known = this.#verdicts.get(thread);
    if (known) return known;
    LivenessNow.#machine ??= new SystemLiveness(nodeFileSystem.sync);
    const verdict = LivenessNow.#machine.verdict(token);
    this.#verdicts.set(thread, verdict);
    return verdict;
  }
}

/** The owners of a session's side files and unnamed logs. A recovery that is under way is none. */
export function ownersOf(
  { files, tokens, unnamed }: FoundSession,
  liveness = new LivenessNow(),
): WriterOwner[] {
  const ports = { liveness, clock: systemClock };
  const ownerOf = (token: string, state: "orphaned" | "owned" | "absent" | "foreign"): WriterOwner[] => {
    if (state === "absent" || state === "foreign") return [];
    const isRecovery = state === "owned" && isRecoveryToken(token);
    const isAlive = state === "owned" && !isRecovery;
    // The first part of a token is the number of its process, in base 36 (`platform/liveness.ts`).
    const pid = Number.parseInt(token.split("-")[0] ?? "", 36);
    return [{ token, pid, isAlive, isLocal: liveness.verdict(token) !== "unknown", isRecovery }];
  };
  return [
    ...tokens.flatMap((token) =>
      ownerOf(token, runSync(nodeFileSystem, sideFileState(ports, { files, token }))),
    ),
    ...unnamed.flatMap((token) =>
      ownerOf(token, runSync(nodeFileSystem, unnamedLogState(ports, files.dir, token))),
    ),
  ];
}

export function writerOf(owners: readonly WriterOwner[]): WriterState {
  if (owners.some(({ isAlive }) => isAlive)) return "alive";
  return owners.length > 0 ? "gone" : "none";
}

/**
 * The state that a summary and the writers show. Documents of other programs may lack a status: open spans then mean
 * running, and the session span has the rest.
 */
export function stateOf(
  { status, idle }: Partial<SessionSummary>,
  writer: WriterState,
  spans: readonly TraceSpan[],
): SessionState {
  if (idle && writer === "alive" && (status === "running" || status === "completed")) return "idle";
  // While a recovery has the files of a dead writer, they look as if they had one.
  if (status === "running" && writer === "gone") return idle ? "completed" : "crashed";
  if (status !== undefined) return status;
  if (spans.some(({ endTime }) => endTime === undefined)) return writer === "gone" ? "crashed" : "running";
  return spans.find(isRoot)?.status === "error" ? "error" : "completed";
}

/** Bytes of files that are read in one turn of the event loop, in some milliseconds. */
const shortBytes = 1 << 20;

/** A session whose entry takes a whole reading: its writer is gone, or it has no document yet. */
export class UnreadEntry {
  readonly #found: FoundSession;
  readonly #writer: WriterState;
  readonly name: string;
  /** Epoch milliseconds: the last write to its files. Its last activity is not later. */
  readonly lastActivityAt: number;

  constructor(found: FoundSession, writer: WriterState) {
    this.#found = found;
    this.#writer = writer;
    this.name = found.files.name;
    // File times lag behind the clock by a kernel tick.
    this.lastActivityAt = lastWriteOf(found) + 100;
  }

  /** Whether it can be in one of these states: nothing runs where all writers are gone. */
  mayBe(states: ReadonlySet<SessionState>): boolean {
    return this.#writer !== "gone" || [...states].some((state) => state !== "running" && state !== "idle");
  }

  /** What a listing shows of it; `undefined` for one that was removed meanwhile. */
  async read(): Promise<CatalogEntry | undefined> {
    const [found, writer] = [this.#found, this.#writer];
    const bytes = sizeOf(found);
    const total = pathsOf(found).reduce((sum, path) => sum + (statOf(path)?.size ?? 0), 0);
    try {
      const run = total <= shortBytes ? runSync : runAsync;
      const { trace } = await run(nodeFileSystem, readFoundOutline(found.path, found));
      const [metadata, summary] = [validMetadata(trace.metadata), validSummary(trace.summary)];
      return entryOf(found, writer, { ...trace, metadata, summary }, bytes);
    } catch (error) {
      const isGone =
        error instanceof CrashSafeFileError && error.code === "READ_FAILED" && !found.hasDocument;
      if (isGone) return undefined;
      const cause = error instanceof CrashSafeFileError ? error.cause : error;
      const isRefused = errorCode(cause) !== undefined;
      const damage = isRefused ? `it cannot be read: ${failureReason(cause)}` : "its files hold no trace";
      return damagedEntry(found, writer, damage);
    }
  }
}

/** What a listing shows of a session; `undefined` for a file of another program, or one that was removed meanwhile. */
export async function catalogEntry(
  found: FoundSession,
  liveness?: LivenessNow,
): Promise<CatalogEntry | undefined> {
  const outline = outlineOf(found, liveness);
  return outline instanceof UnreadEntry ? outline.read() : outline;
}

/** As {@link catalogEntry}, from the first and last line of the document only. */
export function outlineOf(
  found: FoundSession,
  liveness = new LivenessNow(),
): CatalogEntry | UnreadEntry | undefined {
  const writer = writerOf(ownersOf(found, liveness));
  if (writer === "gone" || !found.hasDocument) return new UnreadEntry(found, writer);
  let published: Published | undefined;
  try {
    published = runSync(nodeFileSystem, openPublished(nodeFileSystem, found.files));
    if (!published) return undefined;
    const { head, tail, size } = published;
    if (!head || !tail) return unreadableEntry(found, writer, published);
    const { metadata, summary, endedAt, spans } = tail;
    return entryOf(found, writer, { ...head, metadata, summary, endedAt, spans }, size);
  } catch (error) {
    // A directory or a link under the name of a document is no session.
    if (statOf(found.path)?.isFile === false) return undefined;
    return damagedEntry(found, writer, `it cannot be read: ${failureReason(error)}`);
  } finally {
    published?.descriptor.releaseNow();
  }
}

const sizeOf = ({ path }: FoundSession): number => statOf(path)?.size ?? 0;

/** What a listing takes from a document. Its metadata and summary are valid. */
interface Outlined extends Pick<TraceFile, "startedAt" | "endedAt" | "sessionId" | "metadata" | "summary"> {
  readonly id?: string | undefined;
  readonly spans: readonly TraceSpan[];
}

function entryOf(found: FoundSession, writer: WriterState, trace: Outlined, bytes: number): CatalogEntry {
  const summary: Partial<SessionSummary> = trace.summary;
  const { lastActivityAt } = summary as { lastActivityAt?: unknown };
  const active = typeof lastActivityAt === "string" ? Date.parse(lastActivityAt) : Date.parse(trace.endedAt);
  return {
    name: found.files.name,
    path: found.path,
    state: stateOf(summary, writer, trace.spans),
    writer,
    id: trace.id ?? (trace.sessionId || found.files.name),
    startedAt: Date.parse(trace.startedAt),
    lastActivityAt: Number.isNaN(active) ? Date.parse(trace.endedAt) : active,
    bytes,
    metadata: trace.metadata,
    summary,
    parent: parentOf(trace.spans),
  };
}

function damagedEntry(found: FoundSession, writer: WriterState, damage: string): CatalogEntry {
  const stat = statOf(found.path);
  return {
    name: found.files.name,
    path: found.path,
    state: "damaged",
    writer,
    id: found.files.name,
    startedAt: Number.NaN,
    lastActivityAt: stat?.mtimeMs ?? Number.NaN,
    bytes: stat?.size ?? 0,
    metadata: {},
    summary: {},
    damage,
  };
}

/** A file that is no document: a damaged trace, or a file of another program (`undefined`). */
function unreadableEntry(
  found: FoundSession,
  writer: WriterState,
  { descriptor, size }: Published,
): CatalogEntry | undefined {
  if (size === 0) return damagedEntry(found, writer, "the file is empty");
  // A long file is not parsed: it is JSON of another program where it begins like JSON.
  const isLong = size > hollowBytes;
  const text = runSync(nodeFileSystem, readRange(descriptor.fd, 0, isLong ? 1 << 20 : size)).toString("utf8");
  const leading = decodeLeadingHead(text);
  if (leading.type === "head" || (leading.type === "cut" && leading.inId))
    return damagedEntry(found, writer, "the file begins like a trace, and its last line cannot be read");
  const isJson = isLong ? /^\s*[{[]/.test(text) : tryOr(() => JSON.parse(text) !== undefined, false);
  return isJson ? undefined : damagedEntry(found, writer, "the file is not JSON");
}

/** Whether any file of the session was found. */
export const hasFiles = ({ hasDocument, tokens, unnamed }: FoundSession): boolean =>
  hasDocument || tokens.length + unnamed.length > 0;

/** Paths of the files of a session. */
const pathsOf = ({ files, path, hasDocument, tokens, unnamed }: FoundSession): string[] => [
  ...(hasDocument ? [path] : []),
  ...unnamed.map((token) => unnamedPath(files.dir, token)),
  ...tokens.flatMap((token) => [`${path}.${token}.open`, `${path}.${token}.live`]),
];

/** The time of the last write to any file of a session: what `latest` compares. */
export const lastWriteOf = (session: FoundSession): number =>
  Math.max(0, ...pathsOf(session).map((path) => statOf(path)?.mtimeMs ?? 0));

/**
 * Changes whenever a file of the session does, or a writer dies, which changes no file. The heartbeat of a writer, which
 * touches its journal, changes nothing.
 */
export function versionOf(session: FoundSession, liveness = new LivenessNow()): string {
  const owners = ownersOf(session, liveness).map(({ token, isAlive }) => [token, isAlive]);
  const files = pathsOf(session).map((path) => {
    const stat = statOf(path);
    return stat && [String(stat.ino), stat.size, path.endsWith(".live") ? 0 : stat.mtimeMs];
  });
  return JSON.stringify([owners, files]);
}

/** The session that a path of a `.json`, `.open` or `.live` file belongs to. */
export function sessionAt(dir: string, fileName: string): FoundSession {
  const entry = parseEntry(fileName);
  const name =
    entry.type === "document" || entry.type === "open" || entry.type === "live"
      ? entry.name
      : basename(fileName, ".json");
  const files = { dir, name };
  try {
    const known = findSessions(dir).find((session) => session.files.name === name);
    if (known) return known;
  } catch {
    // The path is that of a directory that cannot be listed: the document is read by its path alone.
  }
  return { files, path: `${dir}/${fileName}`, hasDocument: true, tokens: [], unnamed: [], kept: [] };
}
