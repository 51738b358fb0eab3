/**
 * Finishes moves that a dead process had begun: spans that the journal of a session gives to another session become a
 * journal of that session, as its writer would have left them.
 */

import { sessionSpan } from "../format/beginnings.js";
import { decodeLine } from "../format/document.js";
import { appendLogPath, documentPath, journalPath, sessionSpanId } from "../format/file-names.js";
import type { TraceSpan } from "../format/trace-file.js";
import { firstTimeOf } from "../platform/epoch-time.js";
import { tryUnlink } from "../platform/file-system.js";
import { runAsync, runSync } from "../platform/gensync.js";
import { isRecoveryToken, newRecoveryToken, releaseToken } from "../platform/liveness.js";
import type { CommitPorts } from "../storage/commit.js";
import { openPublished } from "../storage/document-file.js";
import { isVersion } from "../storage/identity.js";
import { scanLines } from "../storage/lines.js";
import { publishedSources } from "../storage/merge.js";
import type { OrphanedFiles } from "./orphans.js";
import { removeDocument } from "./retention.js";
import { sessionName, writeJournal } from "./unnamed-logs.js";

/** The result of finished moves. */
export interface FinishedMoves {
  /** Orphaned files that still belong to their session. */
  readonly left: readonly OrphanedFiles[];
  /** File names of the sessions that have more orphaned files now. */
  readonly targets: readonly string[];
}

/** Finishes the moves that these orphaned files of one session name. Throws; then the files stay as they are. */
export async function finishMoves(
  ports: CommitPorts,
  orphans: readonly OrphanedFiles[],
): Promise<FinishedMoves> {
  const targets: string[] = [];
  const movedTo = orphans.find(({ journal }) => journal.session?.movedTo !== undefined)?.journal.session;
  const isMoved = (one: OrphanedFiles) =>
    movedTo !== undefined &&
    (one.journal.session?.movedTo !== undefined ||
      // The document, taken by the removal that the process did not finish.
      (one.journal.session === undefined && isRecoveryToken(one.token)));
  const whole = orphans.filter(isMoved);
  const left = orphans.filter((one) => !isMoved(one));
  if (movedTo?.movedTo !== undefined) {
    const spans = new Map<string, TraceSpan>();
    for (const one of whole)
      for (const span of await spansOf(ports, one)) {
        // The two files of one owner come in any order, after a recovery that died between them.
        const before = spans.get(keyOf(span));
        if (!before || stateOf(span) >= stateOf(before)) spans.set(keyOf(span), span);
      }
    await give(ports, whole, movedTo.movedTo, [...spans.values()]);
    if (left.length === 0) await removeCovered(ports, whole[0] as OrphanedFiles, spans);
    for (const { files, token } of whole) {
      // The journal last: it says that the spans have moved.
      tryUnlink(ports.fileSystem.sync, appendLogPath(files, token));
      tryUnlink(ports.fileSystem.sync, journalPath(files, token));
    }
    targets.push(sessionName(ports, (whole[0] as OrphanedFiles).files.dir, movedTo.movedTo));
  }
  for (const one of left) {
    const byTarget = new Map<string, TraceSpan[]>();
    for (const moved of one.journal.session?.moved ?? []) {
      const { to } = moved;
      if (to === one.journal.session?.id) continue;
      const span = one.journal.spans.get(moved);
      const parentSpanId = moved.parentSpanId ?? undefined;
      const placed = span && parentSpanId !== undefined ? { ...span, parentSpanId } : span;
      if (placed) byTarget.set(to, [...(byTarget.get(to) ?? []), placed]);
    }
    for (const [to, spans] of byTarget) {
      await give(ports, [one], to, spans);
      targets.push(sessionName(ports, one.files.dir, to));
    }
  }
  return { left, targets };
}

const keyOf = ({ traceId = "", spanId }: TraceSpan): string => `${traceId} ${spanId}`;

/** Open, interrupted, ended. */
const stateOf = ({ endTime, interrupted }: TraceSpan): number =>
  endTime === undefined ? 0 : interrupted ? 1 : 2;

/** Every span of an owner: an ended state comes after an earlier one. */
async function spansOf({ fileSystem }: CommitPorts, one: OrphanedFiles): Promise<TraceSpan[]> {
  const traceId = one.head?.traceId ?? one.journal.session?.traceId ?? "";
  const spans: TraceSpan[] = [...one.journal.spans.values()];
  const take = (line: Buffer, offset: number) => {
    const decoded = decodeLine(line, offset);
    if (decoded.type === "span") spans.push(decoded.span);
  };
  if (one.log) await runAsync(fileSystem, scanLines(one.log.fd, one.from, one.to, take));
  return spans.map((span) => ({ ...span, traceId: span.traceId ?? traceId }));
}

/** Writes the spans of these owners as a journal of the session `to`. */
async function give(
  ports: CommitPorts,
  owners: readonly OrphanedFiles[],
  to: string,
  spans: readonly TraceSpan[],
): Promise<void> {
  const from = owners.find(({ journal }) => journal.session)?.journal.session;
  if (!from || spans.length === 0) return;
  const { files } = owners[0] as OrphanedFiles;
  const startTime = firstTimeOf(spans);
  const root = sessionSpan({ id: to, startTime });
  const placed = spans.map((span) =>
    span.parentSpanId === from.root.spanId ? { ...span, parentSpanId: sessionSpanId(to) } : span,
  );
  // A title of a session is none of another one.
  const { title: _title, ...metadata } = from.metadata;
  const session = {
    ...from,
    id: to,
    root,
    metadata,
    moved: undefined,
    movedTo: undefined,
    resumed: undefined,
  };
  const token = newRecoveryToken(ports.liveness);
  const newest = owners.reduce((one, other) => (other.lastWrite > one.lastWrite ? other : one));
  const writer = { token: newest.journal.owner ?? newest.token, lastWrite: newest.lastWrite };
  try {
    await runAsync(
      ports.fileSystem,
      writeJournal(ports, files.dir, token, { session, spans: placed }, writer),
    );
    await ports.fileSystem.async.syncDirectory(files.dir);
  } finally {
    releaseToken(token);
  }
}

/** Removes the document of a session whose spans have all moved; not one that another writer added to. */
async function removeCovered(
  ports: CommitPorts,
  { files, head, journal }: OrphanedFiles,
  moved: ReadonlyMap<string, TraceSpan>,
): Promise<void> {
  const { fileSystem } = ports;
  const published = await runAsync(fileSystem, openPublished(fileSystem, files));
  if (!published) return;
  try {
    const traceId = published.head?.traceId ?? head?.traceId ?? journal.session?.traceId ?? "";
    let isCovered = published.body.type === "lines";
    const check = (span: TraceSpan) => {
      if (!moved.has(keyOf({ ...span, traceId: span.traceId ?? traceId }))) isCovered = false;
    };
    for (const source of publishedSources(published)) {
      if (source.type !== "lines") continue;
      const take = (line: Buffer, offset: number) => {
        const decoded = decodeLine(line, offset);
        if (decoded.type === "span") check(decoded.span);
      };
      await runAsync(fileSystem, scanLines(source.fd, source.from, source.to, take));
    }
    const path = documentPath(files);
    const stat = isCovered ? fileSystem.sync.lstat(path) : undefined;
    const isRead = runSync(fileSystem, isVersion(fileSystem, path, published.identity));
    if (stat && isRead) removeDocument(ports, files, stat);
  } finally {
    published.descriptor.release();
  }
}
