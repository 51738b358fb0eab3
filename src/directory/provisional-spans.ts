/**
 * The provisional spans of this process in one directory, by trace: in memory, and in the unnamed log.
 *
 * Memory changes before the log: an append may rewrite the log with what memory has.
 */

import { encodeJournalSpan } from "../format/journal.js";
import type { SessionMetadata } from "../format/trace-file.js";
import {
  encodeMoved,
  encodeNamed,
  encodeSettled,
  encodeUnnamedOwner,
  encodeUnnamedTrace,
} from "../format/unnamed-log.js";
import type { UnnamedPolicy } from "../format/unnamed-policy.js";
import { RecentMap } from "../platform/recent-map.js";
import { UnnamedFile } from "../storage/unnamed-file.js";
import type { SessionEntry } from "./sessions.js";
import type { DirectoryPorts } from "./trace-directory.js";
import { type Provisional, UnnamedTrace } from "./unnamed-trace.js";

/** Traces to remember after their spans have their sessions, for spans that come later. */
const maxKnown = 10_000;

export class ProvisionalSpans {
  readonly #ports: DirectoryPorts;
  readonly #policy: UnnamedPolicy;
  readonly #file: UnnamedFile;
  /** Traces with provisional spans, oldest first. */
  readonly #active = new Map<string, UnnamedTrace>();
  readonly #known = new RecentMap<string, UnnamedTrace>(maxKnown);
  /** The record of the move that is under way. */
  #moving: Buffer | undefined;
  /** What the log forgets when the files of a session have the spans: the disk refuses the files now. */
  readonly #unsettled = new Map<SessionEntry, Buffer[]>();
  #bytes = 0;
  /** Most spans belong to the trace of the span before. */
  #last: UnnamedTrace | undefined;

  constructor(ports: DirectoryPorts, dir: string, policy: UnnamedPolicy) {
    this.#ports = ports;
    this.#policy = policy;
    this.#file = new UnnamedFile(ports, dir, (token) => this.#content(token));
  }

  /** Number of traces with provisional spans. */
  get size(): number {
    return this.#active.size;
  }

  /** Bytes of the provisional spans. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of records that wait in memory while the file system refuses them. */
  get queuedBytes(): number {
    return this.#file.queuedBytes;
  }

  /** Provisional spans that have ended. */
  get endedSpans(): number {
    let spans = 0;
    for (const trace of this.#active.values()) spans += trace.size - trace.openSpans;
    return spans;
  }

  /** The traces with provisional spans, oldest first: a copy, since deciding one changes the table. */
  traces(): UnnamedTrace[] {
    return [...this.#active.values()];
  }

  /** A trace with provisional spans. */
  active(traceId: string): UnnamedTrace | undefined {
    return this.#active.get(traceId);
  }

  /** Returns a trace if one of its spans was seen; `undefined` for a new trace. */
  find(traceId: string): UnnamedTrace | undefined {
    if (this.#last?.id === traceId) return this.#last;
    const trace = this.#active.get(traceId) ?? this.#known.get(traceId);
    if (trace) this.#last = trace;
    return trace;
  }

  /** A trace, known or new. `user`: the user of the directory that records its first span. */
  trace(traceId: string, user: number): UnnamedTrace {
    const known = this.find(traceId);
    if (known) return known;
    const trace = new UnnamedTrace(traceId, user);
    this.#known.set(traceId, trace);
    this.#last = trace;
    return trace;
  }

  /** Records the state of a span. When this returns, the state survives the process; not when the queue is `full`. */
  put(trace: UnnamedTrace, provisional: Provisional): "recorded" | "full" {
    const now = this.#ports.clock.monotonic();
    const { spanId } = provisional.span;
    const before = trace.get(spanId);
    const isFirst = trace.size === 0;
    this.#change(trace, () => trace.put(provisional, now));
    // The trace was named before, and the log may have forgotten the session with the spans that moved.
    if (isFirst && trace.named !== undefined) this.nameTrace(trace, trace.named);
    if (this.#file.appendSpan(provisional.text) !== "dropped") return "recorded";
    this.#change(trace, () => (before ? trace.put(before, now) : trace.remove(spanId)));
    return "full";
  }

  learn(trace: UnnamedTrace, metadata: Partial<SessionMetadata>): void {
    if (trace.learn(metadata)) this.#file.append(encodeUnnamedTrace(trace.id, trace.metadata));
  }

  /** The trace names its first session, while spans of the trace are not decided yet. */
  nameTrace(trace: UnnamedTrace, session: string): void {
    this.#file.append(encodeNamed(trace.id, session));
  }

  /** Records that spans belong to a session, runs `work`, which records them there, and forgets them. */
  move(trace: UnnamedTrace, spans: readonly Provisional[], entry: SessionEntry, work: () => void): void {
    this.#moving = encodeMoved(
      trace.id,
      entry.id,
      spans.map(({ span }) => span.spanId),
    );
    this.#file.append(this.#moving);
    try {
      work();
    } finally {
      this.#moving = undefined;
    }
    this.settle(trace, spans, entry);
  }

  /** The spans are in the files of their session (`entry`), in their document, or are to be in none. */
  settle(trace: UnnamedTrace, spans: readonly Provisional[], entry?: SessionEntry): void {
    this.#change(trace, () => {
      for (const { span } of spans) trace.remove(span.spanId);
    });
    const record = encodeSettled(
      trace.id,
      spans.map(({ span }) => span.spanId),
    );
    if (entry === undefined || entry.writer.isSettled) this.#file.append(record);
    else this.#unsettled.set(entry, [...(this.#unsettled.get(entry) ?? []), record]);
  }

  /** Writes queued records, and forgets what has reached the files of its session. */
  settleFile(): void {
    this.#file.settle();
    for (const [entry, records] of this.#unsettled) {
      if (!entry.writer.isSettled) continue;
      this.#unsettled.delete(entry);
      for (const record of records) this.#file.append(record);
    }
  }

  /** Removes the log when it holds nothing any more. */
  removeIfEmpty(): void {
    this.settleFile();
    if (this.#active.size === 0 && this.#unsettled.size === 0) this.#file.remove();
  }

  /** Makes every record durable. Rejects when the file system refuses. */
  async sync(): Promise<void> {
    if (this.#file.needsSync) await this.#file.sync();
  }

  /** Renews the lease of this process. */
  heartbeat(): void {
    this.#file.touch();
  }

  /** Nothing is retried any more: what is left in the log is left to recovery, though this process lives. */
  close(): void {
    this.#file.release();
  }

  #change(trace: UnnamedTrace, change: () => void): void {
    const before = trace.bytes;
    change();
    this.#bytes += trace.bytes - before;
    if (trace.size === 0) this.#active.delete(trace.id);
    else if (!this.#active.has(trace.id)) this.#active.set(trace.id, trace);
  }

  /** The log as it would be if it were written now. */
  #content(token: string): Buffer[] {
    const records = [encodeUnnamedOwner(token, this.#policy)];
    for (const trace of this.#active.values()) {
      records.push(encodeUnnamedTrace(trace.id, trace.metadata));
      if (trace.named !== undefined) records.push(encodeNamed(trace.id, trace.named));
      for (const { text } of trace.spans()) records.push(encodeJournalSpan(text));
    }
    if (this.#moving) records.push(this.#moving);
    return records;
  }
}
