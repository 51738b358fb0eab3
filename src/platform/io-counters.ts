/**
 * What was done in a directory of this process, in numbers for its host.
 */
import type { FileSystem } from "./file-system.js";

export interface DirectoryTally {
  /** Bytes of all files: open documents, live logs, and copies that became documents. */
  writtenBytes: number;
  /** Documents that took their name: as copies of running sessions, at their ends, and by recovery. */
  publishedDocuments: number;
  /** Sessions of dead processes that were finished. */
  recoveredSessions: number;
}

export const newTally = (): DirectoryTally => ({
  writtenBytes: 0,
  publishedDocuments: 0,
  recoveredSessions: 0,
});

/** The same file system, its written bytes counted. */
export function tallied({ sync, async: later }: FileSystem, tally: DirectoryTally): FileSystem {
  return {
    sync: {
      ...sync,
      write(...args) {
        const written = sync.write(...args);
        tally.writtenBytes += written;
        return written;
      },
    },
    async: {
      ...later,
      async write(...args) {
        const written = await later.write(...args);
        tally.writtenBytes += written;
        return written;
      },
    },
  };
}
