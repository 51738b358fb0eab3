/**
 * Exporters as altimate-code writes them: each gets whole documents.
 */
import { context } from "@opentelemetry/api";
import type { TraceFile } from "../format/trace-file.js";
import { UNTRACED } from "../otel/export.js";
import type { SpanProcessor } from "../otel/types.js";
import { withTimeout } from "../platform/async.js";
import { CrashSafeFileError } from "../platform/errors.js";

/** Takes documents somewhere. Written by users: nothing of it is trusted to answer, or to answer sensibly. */
export interface TraceExporter {
  readonly name: string;
  /** Takes a document; resolves with where it is now, if there is something to tell. */
  export(trace: TraceFile): Promise<string | undefined>;
  /** The session was fenced: what is exported of it later must not replace its crashed document. */
  markCrashed?(sessionId: string): void;
  /** Gets running documents too, whenever the host pushes them. */
  readonly live?: boolean;
}

/** Longest time that one exporter may keep the end of a session waiting. */
const patienceMillis = 5_000;

/**
 * @internal Hands a document to an exporter. Resolves with the string that it answers, if that is what it answers; never
 * rejects. What it starts is not traced: an export must not make spans to export.
 */
export async function callExporter(exporter: TraceExporter, trace: TraceFile): Promise<string | undefined> {
  try {
    const answer: unknown = await context.with(UNTRACED, () => exporter.export(trace));
    return typeof answer === "string" ? answer : undefined;
  } catch {
    return undefined;
  }
}

/** @internal The same, for five seconds at most. */
export const awaitExporter = (exporter: TraceExporter, trace: TraceFile): Promise<string | undefined> =>
  atMost(callExporter(exporter, trace));

/** @internal Has a processor hand out what it has, for five seconds at most. Never rejects. */
export const awaitFlush = (processor: SpanProcessor): Promise<void> =>
  atMost(
    (async () => {
      try {
        await context.with(UNTRACED, () => processor.forceFlush());
      } catch {
        // It tells of its failures itself; the session has ended all the same.
      }
    })(),
  );

function atMost<T>(answer: Promise<T>): Promise<T | undefined> {
  const error = () => new CrashSafeFileError("EXPORT_TIMEOUT", `no answer in ${patienceMillis} ms`);
  return withTimeout((bounded) => bounded(answer), { millis: patienceMillis, error }).catch(() => undefined);
}

/** @internal Tells every exporter that wants to know that a session was fenced. */
export function markCrashed(exporters: readonly TraceExporter[], sessionId: string): void {
  for (const exporter of exporters) {
    try {
      if (typeof exporter.markCrashed === "function") exporter.markCrashed(sessionId);
    } catch {
      // Its own affair: the others are told all the same.
    }
  }
}

/** @internal Whether an exporter wants running documents. */
export function isLive(exporter: TraceExporter): boolean {
  try {
    return exporter.live === true;
  } catch {
    return false;
  }
}
