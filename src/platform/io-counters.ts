/**
 * What this process has done in one directory, in numbers for the host.
 */
import type { FileSystem } from "./file-system.js";

/** A snapshot of {@link IoCounters}. */
export interface IoCounts {
  /** Bytes written to all files: append logs, journals, and copies that became documents. */
  readonly writtenBytes: number;
  /** Documents that were committed: copies of running sessions, final documents, and recovered ones. */
  readonly publishedDocuments: number;
  /** Sessions of dead processes that were recovered. */
  readonly recoveredSessions: number;
}

export class IoCounters {
  #writtenBytes = 0;
  #publishedDocuments = 0;
  #recoveredSessions = 0;

  get snapshot(): IoCounts {
    return {
      writtenBytes: this.#writtenBytes,
      publishedDocuments: this.#publishedDocuments,
      recoveredSessions: this.#recoveredSessions,
    };
  }

  /** A document was committed. */
  published(): void {
    this.#publishedDocuments++;
  }

  /** Sessions of dead processes were recovered. */
  recovered(sessions: number): void {
    this.#recoveredSessions += sessions;
  }

  /** A file system that counts the bytes written through it. */
  counting(fileSystem: FileSystem): FileSystem {
    const { sync, async: later } = fileSystem;
    const count = (written: number) => {
      this.#writtenBytes += written;
      return written;
    };
    return {
      ...fileSystem,
      sync: { ...sync, write: (...args) => count(sync.write(...args)) },
      async: { ...later, write: async (...args) => count(await later.write(...args)) },
    };
  }
}
