/** The exporters of altimate-code, which get whole documents. */
import type { TraceFile } from "../format/trace-file.js";
import type { SpanProcessor } from "../otel/types.js";
import { untraced } from "../otel/untraced.js";
import { withTimeout } from "../platform/async.js";
import { CrashSafeFileError } from "../platform/errors.js";

/** Exports documents. Users write exporters: a call may never settle, or resolve with any value. */
export interface TraceExporter {
  readonly name: string;
  /** Exports a document. Resolves with the location of the exported document, if there is one. */
  export(trace: TraceFile): Promise<string | undefined>;
  /** The session has crashed: a later export of the session must not replace the crashed document. */
  markCrashed?(sessionId: string): void;
  /** The exporter also gets running documents, when the host pushes them. */
  readonly live?: boolean;
}

/** Longest time that the end of a session waits for an exporter. */
const patienceMillis = 5_000;

/**
 * @internal Calls an exporter. Resolves with the string that the exporter resolves with, else with `undefined`. Never
 * rejects. Spans of the export are not traced: each export would make spans to export.
 */
export async function callExporter(exporter: TraceExporter, trace: TraceFile): Promise<string | undefined> {
  try {
    const answer: unknown = await untraced(() => exporter.export(trace));
    return typeof answer === "string" ? answer : undefined;
  } catch {
    return undefined;
  }
}

/** @internal {@link callExporter}, with `undefined` after five seconds. */
export const awaitExporter = (exporter: TraceExporter, trace: TraceFile): Promise<string | undefined> =>
  atMost(callExporter(exporter, trace));

/** @internal Flushes a processor, and waits for at most five seconds. Never rejects. */
export const awaitFlush = (processor: SpanProcessor): Promise<void> =>
  atMost(
    (async () => {
      try {
        await untraced(() => processor.forceFlush());
      } catch {
        // The processor logs its failures. The session has ended in any case.
      }
    })(),
  );

function atMost<T>(answer: Promise<T>): Promise<T | undefined> {
  const error = () => new CrashSafeFileError("EXPORT_TIMEOUT", `no answer in ${patienceMillis} ms`);
  return withTimeout((bounded) => bounded(answer), { millis: patienceMillis, error }).catch(() => undefined);
}

/** @internal Calls `markCrashed` of all exporters that have it. */
export function markCrashed(exporters: readonly TraceExporter[], sessionId: string): void {
  for (const exporter of exporters) {
    try {
      if (typeof exporter.markCrashed === "function") exporter.markCrashed(sessionId);
    } catch {
      // The other exporters are called in any case.
    }
  }
}

/** @internal Whether an exporter gets running documents. */
export function isLive(exporter: TraceExporter): boolean {
  try {
    return exporter.live === true;
  } catch {
    return false;
  }
}
