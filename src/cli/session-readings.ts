/**
 * A session that is followed. Each look reads the session as `readTrace` shows it, from all its writers, and a follower
 * compares the spans with those of the look before: a truncated file, a recovery, a resume or a new writer need no case of
 * their own.
 */
import { CommandError } from "./command.js";
import { type FoundSession, findSessions, hasFiles, versionOf } from "./session-catalog.js";
import { type ReadSession, SessionReader } from "./session-reference.js";

/** What a look found: the session, none, or files that cannot be read. */
export type Reading = ReadSession | "removed" | CommandError;

const shortestWaitMillis = 100;

/** The session as it is now, then at each change, until the signal is aborted. */
export async function* readings(
  found: FoundSession,
  signal: AbortSignal,
  /** Epoch milliseconds. */
  now: () => number,
): AsyncGenerator<Reading, void, void> {
  let wait = shortestWaitMillis;
  let version = "";
  let before: Reading | undefined;
  const reader = new SessionReader();
  while (!signal.aborted) {
    const session = currentSession(found);
    const current = versionOf(session);
    if (current !== version) {
      const begun = now();
      const reading = await readNow(session, reader);
      if (reading !== before) yield reading;
      before = reading;
      version = current;
      // A long session takes long to read: a tenth of the time at most is spent on it.
      wait = Math.max(shortestWaitMillis, (now() - begun) * 10);
    }
    await pauseOf(wait, signal);
  }
}

async function readNow(session: FoundSession, reader: SessionReader): Promise<Reading> {
  try {
    return await reader.read(session);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return hasFiles(session) ? error : "removed";
  }
}

/** The session with the files that it has now: writers come and go. */
function currentSession(found: FoundSession): FoundSession {
  const { dir, name } = found.files;
  const now = sessionsIn(dir).find(({ files }) => files.name === name);
  return now ?? { ...found, hasDocument: false, tokens: [], unnamed: [] };
}

/** The sessions of a directory; none where it cannot be listed. */
export function sessionsIn(dir: string): FoundSession[] {
  try {
    return findSessions(dir);
  } catch {
    return [];
  }
}

/** Resolves after a while, or when the signal is aborted. */
export function pauseOf(millis: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    if (signal.aborted) return resolve();
    const timer = setTimeout(end, millis);
    signal.addEventListener("abort", end);
  });
}
