/** From what a user types, an id, a prefix, a path or `latest`, to a session that was read. */
import { basename, dirname, resolve } from "node:path";
import { nameCandidates, safeId } from "../format/file-names.js";
import type { TraceSpan } from "../format/trace-file.js";
import { validMetadata, validSummary } from "../format/validate.js";
import { CrashSafeFileError, reasonOf } from "../platform/errors.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { nearestName } from "../platform/options.js";
import { FollowedTrace, type ReadTrace } from "../recovery/read-trace.js";
import { oneLine } from "../text/display-text.js";
import { CommandError } from "./command.js";
import { statOf } from "./file-stat.js";
import { LongSession } from "./long-session.js";
import { newestOf } from "./newest-sessions.js";
import {
  catalogEntry,
  type FoundSession,
  findSessions,
  ownersOf,
  type SessionState,
  sessionAt,
  stateOf,
  type WriterOwner,
  type WriterState,
  writerOf,
} from "./session-catalog.js";
import type { Terminal } from "./terminal.js";

/** A session that was read. */
export interface ReadSession extends ReadTrace {
  readonly found: FoundSession;
  readonly id: string;
  readonly state: SessionState;
  readonly writer: WriterState;
  readonly owners: readonly WriterOwner[];
  /** A span of the session as it was recorded: the texts of old spans may be cut in `trace`. */
  whole(span: TraceSpan): TraceSpan;
}

/**
 * The session that a reference names.
 *
 * @throws CommandError if there is none, or several
 */
export async function resolveSession(reference: string, dir: string, cwd: string): Promise<FoundSession> {
  if (isPath(reference)) {
    const path = resolve(cwd, reference);
    const found = sessionAt(dirname(path), basename(path));
    if (found.tokens.length + found.unnamed.length === 0 && !nodeFileSystem.sync.exists(found.path))
      throw new CommandError(`there is no file ${oneLine(path)}`);
    return found;
  }
  const sessions = findSessions(dir);
  if (sessions.length === 0) throw new CommandError(`there are no traces in ${dir}`);
  if (reference === "latest" && !sessions.some(({ files }) => files.name === "latest")) {
    const first = await newestOf(sessions);
    if (first) return first;
    throw new CommandError(`there are no traces in ${dir}`);
  }
  const exact = await withId(reference, sessions);
  if (exact) return exact;
  const matches = await thatBegin(reference, sessions);
  if (matches.length === 1) return matches[0] as FoundSession;
  const names = matches.map(({ files }) => files.name).sort();
  if (names.length > 1) {
    const some = names.slice(0, 5).join(", ");
    const more = names.length > 5 ? ", …" : "";
    throw new CommandError(`${names.length} sessions begin with ${oneLine(reference)}: ${some}${more}`);
  }
  const near = nearestName(
    reference,
    sessions.map(({ files }) => files.name),
  );
  const hint = near === undefined ? "; `crash-safe-file list` shows all" : `; did you mean ${near}?`;
  throw new CommandError(`there is no session ${oneLine(reference)} in ${dir}${hint}`);
}

/**
 * The session with this id; else the one whose document has this name. Several ids may have one name: `team/1` and `team_1`
 * are in `team_1.json` and in a file with a hash.
 */
async function withId(
  reference: string,
  sessions: readonly FoundSession[],
): Promise<FoundSession | undefined> {
  for (const name of nameCandidates(reference)) {
    const session = sessions.find(({ files }) => files.name === name);
    if (session && (await catalogEntry(session))?.id === reference) return session;
  }
  return sessions.find(({ files }) => files.name === reference);
}

/** The sessions whose name, or whose id, begins like this. */
async function thatBegin(reference: string, sessions: readonly FoundSession[]): Promise<FoundSession[]> {
  const prefix = safeId(reference);
  const named = sessions.filter(({ files }) => files.name.startsWith(prefix));
  // The reference has characters that file names replace: only the id itself shows whether it begins like this.
  if (prefix === reference) return named;
  const entries = await Promise.all(named.map((session) => catalogEntry(session)));
  return named.filter((_, index) => entries[index]?.id.startsWith(reference));
}

/** As {@link resolveSession}, for several references. */
export async function resolveSessions(
  references: readonly string[],
  dir: string,
  cwd: string,
): Promise<FoundSession[]> {
  const found: FoundSession[] = [];
  for (const one of references) found.push(await resolveSession(one, dir, cwd));
  return found;
}

const isPath = (reference: string): boolean =>
  /[/\\]/.test(reference)
    ? nodeFileSystem.sync.exists(resolve(reference)) || /\.(json|open|live)$/.test(reference)
    : /\.(json|open|live)$/.test(reference);

/** What a command reads a session with. */
export interface ReadingOptions {
  /** Shows how far the reading is. */
  readonly terminal?: Terminal;
  /** What the command shows of a span, and what is in memory of the span before. */
  readonly change?: (span: TraceSpan) => TraceSpan;
}

/**
 * Reads a session. Of the old spans of a long session, only the beginnings of their texts stay in memory: `whole` reads
 * such a span again.
 *
 * @throws CommandError if it cannot be read
 */
export const readSession = (found: FoundSession, options?: ReadingOptions): Promise<ReadSession> =>
  new SessionReader(options).read(found);

/** Reads one session, again where it has changed: of the lines that a living writer adds, only the new ones. */
export class SessionReader {
  readonly #terminal: Terminal | undefined;
  readonly #long: LongSession;
  readonly #trace: FollowedTrace;
  #progress: ReturnType<Terminal["progress"]> | undefined;

  constructor({ terminal, change }: ReadingOptions = {}) {
    this.#terminal = terminal;
    this.#long = new LongSession(undefined, change);
    this.#trace = new FollowedTrace((span, place) => {
      this.#progress?.step((place?.bytes ?? 0) / 1e6);
      return this.#long.take(span, place);
    });
  }

  /** @throws CommandError if it cannot be read */
  async read(found: FoundSession): Promise<ReadSession> {
    const owners = ownersOf(found);
    const writer = writerOf(owners);
    const megabytes = Math.ceil((statOf(found.path)?.size ?? 0) / 1e6);
    this.#progress = this.#terminal?.progress(`reading ${oneLine(found.files.name)}, MB`, megabytes);
    try {
      const { trace: read, damage } = await this.#trace.read(found.path, found);
      // What commands get has no member of a wrong type: the spans were checked one by one.
      const trace = {
        ...read,
        metadata: validMetadata(read.metadata),
        summary: validSummary(read.summary),
      };
      const id = trace.id ?? (trace.sessionId || found.files.name);
      // Torn bytes without a writer: the document itself is cut.
      const isCut = writer === "none" && damage.tornBytes > 0;
      const state = isCut ? "damaged" : stateOf(trace.summary, writer, trace.spans);
      const whole = (span: TraceSpan) => this.#long.whole(span);
      return { found, trace, damage, id, writer, owners, state, whole };
    } catch (error) {
      if (!(error instanceof CrashSafeFileError)) throw error;
      throw new CommandError(`${reasonOf(error)}; \`crash-safe-file verify\` says more`, { cause: error });
    } finally {
      this.#progress?.end();
    }
  }
}
