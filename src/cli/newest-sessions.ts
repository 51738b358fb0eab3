/** The order of a listing, and its beginning without a reading of the rest. */
import {
  type CatalogEntry,
  catalogEntry,
  type FoundSession,
  LivenessNow,
  lastWriteOf,
  type UnreadEntry,
} from "./session-catalog.js";

/** A session that is not read yet. Its last activity is not later than stated. */
type Unread = Pick<UnreadEntry, "name" | "lastActivityAt" | "read">;

const isUnread = (entry: CatalogEntry | Unread): entry is Unread => "read" in entry;

/** The order of a listing. One that is not read yet comes where its last write would place it: not after its place. */
export const newestFirst = (a: CatalogEntry | Unread, b: CatalogEntry | Unread): number =>
  (b.lastActivityAt || 0) - (a.lastActivityAt || 0) || (a.name < b.name ? -1 : 1);

/** The first of a listing. Of sessions that are not read yet, only those are read that can be among them. */
export async function newest(
  listed: readonly (CatalogEntry | Unread)[],
  limit: number,
  onRead: () => void = () => {},
): Promise<CatalogEntry[]> {
  let sorted = [...listed];
  for (;;) {
    sorted.sort(newestFirst);
    const first = sorted.slice(0, limit);
    if (!first.some(isUnread)) return first as CatalogEntry[];
    const read: CatalogEntry[] = [];
    for (const entry of first) {
      const known = isUnread(entry) ? await entry.read() : entry;
      if (isUnread(entry)) onRead();
      if (known) read.push(known);
    }
    sorted = [...read, ...sorted.slice(limit)];
  }
}

/**
 * The first session of a listing of these: the one with the newest activity, not the one whose files are newest, since a
 * recovery or a copy writes files of old sessions. `undefined` where all files are those of other programs.
 */
export async function newestOf(found: readonly FoundSession[]): Promise<FoundSession | undefined> {
  const liveness = new LivenessNow();
  const unread = found.map((session): Unread => {
    const written = lastWriteOf(session);
    // File times lag behind the clock by a kernel tick.
    return {
      name: session.files.name,
      lastActivityAt: written + 100,
      read: () => catalogEntry(session, liveness),
    };
  });
  const [first] = await newest(unread, 1);
  return first && found.find(({ files }) => files.name === first.name);
}
