/**
 * Sending one document's spans to an exporter, from where an earlier replay of it stopped.
 *
 * The document is read twice: a span may come before the one that shows its trace to be a turn's. Nothing but the
 * batch, the turns under way and a few words for each trace is held.
 */
import { createHash } from "node:crypto";
import { type DocumentHead, type DocumentTail, isRoot } from "../format/document.js";
import type { SessionFiles } from "../format/file-names.js";
import type { TraceSpan } from "../format/trace-file.js";
import { exportBatch } from "../otel/export.js";
import type { ResourceLike } from "../otel/resource.js";
import type { ReadableSpan, SpanExporter } from "../otel/types.js";
import type { FileSystem } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import type { Published } from "../storage/document-file.js";
import { type ReplayMarker, readMarker, writeMarker } from "./checkpoint.js";
import { documentSpans } from "./document-stream.js";
import { ReplayIds } from "./replay-ids.js";
import { type ReplayedSession, replayedSpan } from "./replayed-span.js";
import { ReplayedTurns } from "./replayed-turns.js";

/** What replays are made with. */
export interface ReplayPorts {
  readonly fileSystem: FileSystem;
  readonly exporter: SpanExporter;
  readonly resource: ResourceLike;
  readonly exportTimeoutMillis: number;
  /** Of who replays. */
  readonly token: string;
}

/** Spans in one batch, the roots of turns included: as many as the SDK's own processor sends. */
const maxBatchSpans = 512;

/** A document that is a trace. */
export type ReadableDocument = Published & { readonly head: DocumentHead; readonly tail: DocumentTail };

export class SessionReplay {
  /** Spans that the exporter took, the roots of turns included. */
  sent = 0;
  readonly #ports: ReplayPorts;
  readonly #files: SessionFiles;
  readonly #document: ReadableDocument;

  constructor(ports: ReplayPorts, files: SessionFiles, document: ReadableDocument) {
    this.#ports = ports;
    this.#files = files;
    this.#document = document;
  }

  /**
   * Sends what was not sent; `false` when there is nothing to do. Throws what the exporter or the file system has
   * against it; then what was taken is marked, and the next replay goes on there.
   */
  async run(): Promise<boolean> {
    const { fileSystem } = this.#ports;
    const known = await runAsync(fileSystem, readMarker(this.#files));
    const { size: bytes, tail } = this.#document;
    if (known?.done?.bytes === bytes && known.done.endedAt === tail.endedAt) return false;
    const session = this.#session();
    const turns = new ReplayedTurns(session);
    const { taken, total } = await this.#survey(turns, known);
    // Before anything is sent: where no marker can be written, everything would be sent at each replay.
    await this.#mark(taken);
    let batch: ReadableSpan[] = [];
    let position = 0;
    const digest = new PrefixDigest();
    for await (const spans of documentSpans(fileSystem, this.#document)) {
      for (const span of spans) {
        const sent = replayedSpan(span, session, turns.of(span));
        const root = turns.pass(span, sent, position);
        digest.add(span);
        position++;
        if (position > taken.spans) batch.push(sent, ...(root ? [root] : []));
        if (position < total && batch.length <= maxBatchSpans - 2) continue;
        await this.#send(batch);
        batch = [];
        await this.#mark({ spans: position, digest: digest.value() });
      }
    }
    await this.#mark({ spans: position, digest: digest.value(), done: { bytes, endedAt: tail.endedAt } });
    return true;
  }

  /** First pass: learns the turns, and how much of an earlier replay still holds. */
  async #survey(
    turns: ReplayedTurns,
    known: ReplayMarker | undefined,
  ): Promise<{ taken: ReplayMarker; total: number }> {
    const digest = new PrefixDigest();
    let taken: ReplayMarker = { spans: 0, digest: digest.value() };
    let total = 0;
    for await (const spans of documentSpans(this.#ports.fileSystem, this.#document)) {
      for (const span of spans) {
        turns.survey(span, total++);
        digest.add(span);
        if (total === known?.spans && digest.value() === known.digest)
          taken = { spans: total, digest: known.digest };
      }
    }
    return { taken, total };
  }

  async #send(batch: ReadableSpan[]): Promise<void> {
    if (batch.length === 0) return;
    const { exporter, exportTimeoutMillis } = this.#ports;
    const count = batch.length;
    await exportBatch(exporter, batch, exportTimeoutMillis);
    this.sent += count;
  }

  #mark(marker: ReplayMarker): Promise<void> {
    const { fileSystem, token } = this.#ports;
    return runAsync(fileSystem, writeMarker(fileSystem, this.#files, token, marker));
  }

  #session(): ReplayedSession {
    const { head, tail } = this.#document;
    const root = tail.spans.find(isRoot);
    const id = head.id ?? (head.sessionId || this.#files.name);
    return {
      id,
      traceId: head.traceId,
      root,
      metadata: tail.metadata,
      endedAt: Date.parse(tail.endedAt) || Date.parse(head.startedAt) || 0,
      ids: new ReplayIds(id),
      resource: this.#ports.resource,
    };
  }
}

/** Of the spans so far: a span that has ended changes no more, so this much of it says which it is. */
class PrefixDigest {
  readonly #hash = createHash("sha256");

  add({ spanId, traceId, startTime, endTime, interrupted }: TraceSpan): void {
    this.#hash.update(`${JSON.stringify([spanId, traceId, startTime, endTime, interrupted])}\n`);
  }

  value(): string {
    return this.#hash.copy().digest("hex");
  }
}
