/**
 * Sends the spans of one document to an exporter, from the checkpoint of the last replay on.
 *
 * The document is read twice, since a span may come before the span that shows that its trace is a turn. In memory are
 * only one batch, the turns that are not finished, and a few words per trace.
 */
import { createHash } from "node:crypto";
import { elidedTotals } from "../format/cap.js";
import { type DocumentHead, type DocumentTail, decodeLine, isRoot } from "../format/document.js";
import type { SessionFiles } from "../format/file-names.js";
import { splitOrigins } from "../format/origins.js";
import type { TraceSpan } from "../format/trace-file.js";
import { validSpan } from "../format/validate.js";
import { exportBatch } from "../otel/export.js";
import type { ResourceLike } from "../otel/resource.js";
import type { ReadableSpan, SpanExporter } from "../otel/types.js";
import type { FileSystem } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import type { Published } from "../storage/document-file.js";
import { scanLines } from "../storage/lines.js";
import { ReplayCheckpoint, type ReplayProgress } from "./checkpoint.js";
import { ReplayedOrigins } from "./replayed-origins.js";
import { type ReplayedSession, ReplayIds, replayedSpan } from "./replayed-span.js";
import { ReplayedTurns } from "./replayed-turns.js";

/** What replays are made with. */
export interface ReplayPorts {
  readonly fileSystem: FileSystem;
  readonly exporter: SpanExporter;
  readonly resource: ResourceLike;
  readonly exportTimeoutMillis: number;
  /** The token of this process. */
  readonly token: string;
}

/** Spans per batch, roots of turns included: the batch size of the SDK's own processor. */
const maxBatchSpans = 512;

/** Bytes of a document that are read at once: a document may be larger than memory. */
const windowBytes = 1 << 20;

/** A document that is a trace. */
export type ReadableDocument = Published & { readonly head: DocumentHead; readonly tail: DocumentTail };

export class SessionReplay {
  #sent = 0;
  readonly #ports: ReplayPorts;
  readonly #files: SessionFiles;
  readonly #document: ReadableDocument;
  readonly #checkpoint: ReplayCheckpoint;

  constructor(ports: ReplayPorts, files: SessionFiles, document: ReadableDocument) {
    this.#ports = ports;
    this.#files = files;
    this.#document = document;
    this.#checkpoint = new ReplayCheckpoint(ports.fileSystem, files, ports.token);
  }

  /** Spans that the exporter has taken, roots of turns included. */
  get sent(): number {
    return this.#sent;
  }

  /**
   * Sends the spans that the checkpoint does not count as sent. Returns `false` when no span is left to send. Throws the
   * error of the exporter or of the file system. The checkpoint then counts the spans that the exporter has accepted, and
   * the next replay begins after them.
   */
  async run(): Promise<boolean> {
    const known = await this.#checkpoint.read();
    const { size: bytes, tail } = this.#document;
    if (known?.done?.bytes === bytes && known.done.endedAt === tail.endedAt) return false;
    const session = this.#session();
    const turns = new ReplayedTurns(session);
    const { taken, total } = await this.#survey(turns, known);
    // Before the first batch: if no checkpoint can be written, each replay would send all spans again.
    await this.#checkpoint.write(taken);
    let batch: ReadableSpan[] = [];
    let position = 0;
    const digest = new PrefixDigest();
    for await (const spans of documentSpans(this.#ports.fileSystem, this.#document)) {
      for (const span of spans) {
        const sent = replayedSpan(span, session, turns.of(span));
        const root = turns.pass(span, sent, position);
        digest.add(span);
        position++;
        if (position > taken.spans) batch.push(sent, ...(root ? [root] : []));
        if (position < total && batch.length <= maxBatchSpans - 2) continue;
        await this.#send(batch);
        batch = [];
        await this.#checkpoint.write({ spans: position, digest: digest.value() });
      }
    }
    const done = { bytes, endedAt: tail.endedAt };
    await this.#checkpoint.write({ spans: position, digest: digest.value(), done });
    return true;
  }

  /** First pass: finds the turns, and how many spans of the checkpoint the document still begins with. */
  async #survey(
    turns: ReplayedTurns,
    known: ReplayProgress | undefined,
  ): Promise<{ taken: ReplayProgress; total: number }> {
    const digest = new PrefixDigest();
    let taken: ReplayProgress = { spans: 0, digest: digest.value() };
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
    this.#sent += count;
  }

  #session(): ReplayedSession {
    const { head, tail } = this.#document;
    const root = tail.spans.find(isRoot);
    const id = head.id ?? (head.sessionId || this.#files.name);
    const { metadata, ...tables } = splitOrigins(tail.metadata);
    return {
      id,
      traceId: head.traceId,
      root,
      metadata,
      endedAt: Date.parse(tail.endedAt) || Date.parse(head.startedAt) || 0,
      ids: new ReplayIds(id),
      origins: new ReplayedOrigins(tables, this.#ports.resource),
    };
  }
}

/**
 * All spans of a document in its order, without the session's own span and without elision markers. Members of a wrong
 * type and lines that are no spans are left out. A document of another layout was read whole and comes as one piece.
 */
async function* documentSpans(
  fileSystem: FileSystem,
  { descriptor, body, tail }: Published,
): AsyncGenerator<readonly TraceSpan[]> {
  if (body.type === "spans") yield body.spans.filter(isReplayed).map(validSpan);
  if (body.type === "lines") {
    let { from } = body;
    let bytes = windowBytes;
    while (from < body.to) {
      const spans: TraceSpan[] = [];
      const to = Math.min(from + bytes, body.to);
      const end = await runAsync(
        fileSystem,
        scanLines(descriptor.fd, from, to, (line) => {
          const decoded = decodeLine(line, -1);
          if (decoded.type === "span") spans.push(decoded.span);
        }),
      );
      if (end === from && to === body.to) break;
      // A line that is longer than the window needs a larger window.
      bytes = end === from ? bytes * 2 : windowBytes;
      from = end;
      yield spans.filter(isReplayed).map(validSpan);
    }
  }
  yield (tail?.spans ?? []).filter(isReplayed).map(validSpan);
}

const isReplayed = (span: TraceSpan): boolean => !isRoot(span) && elidedTotals(span) === undefined;

/** Identifies the spans so far: an ended span does not change any more, and these members identify it. */
class PrefixDigest {
  readonly #hash = createHash("sha256");

  add({ spanId, traceId, startTime, endTime, interrupted }: TraceSpan): void {
    this.#hash.update(`${JSON.stringify([spanId, traceId, startTime, endTime, interrupted])}\n`);
  }

  value(): string {
    return this.#hash.copy().digest("hex");
  }
}
