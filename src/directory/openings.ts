/**
 * How the sessions of a directory get their writers: at their first span or call, and again after the fence of a process
 * hook (`suspension.ts`).
 */

import type { SessionStart } from "../format/beginnings.js";
import { implicitEnd } from "../format/session-end.js";
import { findPath } from "../storage/document-file.js";
import { SessionWriter } from "../storage/session-writer.js";
import type { SuspendedSession } from "../storage/suspended-session.js";
import { PublishScheduler, type WorkLanes } from "./publish-scheduler.js";
import { SessionEntry, type Sessions } from "./sessions.js";
import { takenBack } from "./suspension.js";
import type { DirectoryPorts } from "./trace-directory.js";

export class Openings {
  readonly #dir: string;
  readonly #ports: DirectoryPorts;
  readonly #lanes: WorkLanes;
  readonly #sessions: Sessions;

  constructor(dir: string, ports: DirectoryPorts, lanes: WorkLanes, sessions: Sessions) {
    this.#dir = dir;
    this.#ports = ports;
    this.#lanes = lanes;
    this.#sessions = sessions;
  }

  /** A new entry, which the table does not have yet. Resumes the session if it has a document. */
  open(start: SessionStart): SessionEntry {
    const writer = new SessionWriter(this.#ports, this.#dir, start);
    const entry: SessionEntry = new SessionEntry(
      start.id,
      writer,
      this.#publisherOf(writer, () => entry),
    );
    return entry;
  }

  /** Opens an ended session again, to be marked as crashed; `undefined` when the session has no document. */
  reopenEnded(id: string): SessionEntry | undefined {
    const { clock, fileSystem } = this.#ports;
    if (!fileSystem.sync.exists(findPath(fileSystem, this.#dir, id))) return undefined;
    return this.open({ id, traceId: "", startTime: clock.now() });
  }

  /** The writer of an open session. A suspended session goes on: its verdict holds until {@link takeBack}. */
  continue(entry: SessionEntry): SessionWriter {
    const { suspended } = entry;
    return suspended ? this.#continueFrom(entry, suspended) : entry.writer;
  }

  /** Like {@link continue}, and takes the verdict back: the session runs, or a caller ends it. */
  takeBack(entry: SessionEntry): SessionWriter {
    const { suspended } = entry;
    if (suspended) this.#continueFrom(entry, takenBack(suspended));
    else if (!entry.writer.session.takeBack()) return entry.writer;
    else entry.writer.recordSession();
    // The file system has refused the document of the fence so far: it must not state the verdict later.
    for (const ending of this.#sessions.unwritten(entry.id))
      if (ending.end?.provisional !== undefined) ending.endAs(implicitEnd);
    return entry.writer;
  }

  #continueFrom(entry: SessionEntry, suspended: SuspendedSession): SessionWriter {
    const { head, root } = suspended.session;
    const start = { id: head.id, traceId: head.traceId, startTime: root.startTime };
    const writer = new SessionWriter(this.#ports, this.#dir, start, suspended);
    entry.continueWith(
      writer,
      this.#publisherOf(writer, () => entry),
    );
    return writer;
  }

  #publisherOf(writer: SessionWriter, entry: () => SessionEntry): PublishScheduler {
    return new PublishScheduler(writer, this.#lanes, this.#ports.pace, () => this.#sessions.use(entry()));
  }
}
