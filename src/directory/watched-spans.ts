/**
 * Open spans in sessions that the policy gave to their traces: such a span may still name a session.
 */

import type { TraceSpan } from "../format/trace-file.js";
import type { TraceDirectory } from "./trace-directory.js";
import type { UnnamedTrace } from "./unnamed-trace.js";

/** An open span in the session of its trace. */
export interface WatchedSpan {
  readonly span: TraceSpan;
  /** The span as its processor knows it. */
  readonly source: object;
  /** The session that the span names by now. Runs code of the host. */
  readonly sessionOf: () => string | undefined;
}

/** A watched span that names a session. */
export interface NamedByWatched {
  readonly trace: UnnamedTrace;
  readonly span: TraceSpan;
  readonly session: string;
}

export class WatchedSpans {
  readonly #directory: TraceDirectory;
  readonly #spans = new Map<object, WatchedSpan & { readonly trace: UnnamedTrace }>();

  constructor(directory: TraceDirectory) {
    this.#directory = directory;
  }

  add(trace: UnnamedTrace, watched: WatchedSpan): void {
    this.#spans.set(watched.source, { ...watched, trace });
  }

  /** Reads the spans, and forgets those that have ended or moved. */
  *named(): Generator<NamedByWatched, void> {
    for (const [source, { trace, span, sessionOf }] of [...this.#spans]) {
      if (this.#directory.startedIn(source)?.id !== trace.id) {
        this.#spans.delete(source);
        continue;
      }
      const session = sessionOf();
      if (session !== undefined && session !== trace.id) yield { trace, span, session };
    }
  }
}
