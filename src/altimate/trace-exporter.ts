/** The exporters of altimate-code, which get whole documents. */
import type { TraceFile as WrittenTraceFile } from "../format/trace-file.js";
import { Diagnostics } from "../otel/diagnostics.js";
import type { SpanProcessor } from "../otel/types.js";
import { untraced } from "../otel/untraced.js";
import { withTimeout } from "../platform/async.js";
import { CrashSafeFileError, tryOr } from "../platform/errors.js";

/** A trace document. One that a caller makes may lack the time of its end; one that this package writes has it. */
export interface TraceFile extends Omit<WrittenTraceFile, "endedAt"> {
  /** ISO 8601. While the session runs, the time at which the document was written. */
  endedAt?: string;
}

/** Exports documents. Users write exporters: a call may never settle, or resolve with any value. */
export interface TraceExporter {
  /** For messages. */
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

/** Receives warnings about exporters: a logger of the host. */
export interface TraceLogger {
  /** `fields`: the name of the exporter, the session id and the error, where they are known. */
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** @internal Reports the failures of exporters: to a logger of the host, or else through `diag`. Never throws. */
export class ExporterWarnings {
  readonly #diagnostics: Diagnostics;
  readonly #logger: TraceLogger | undefined;

  constructor(component: string, logger: TraceLogger | undefined) {
    this.#diagnostics = new Diagnostics(component);
    this.#logger = tryOr(() => typeof logger?.warn === "function", false) ? logger : undefined;
  }

  warn(message: string, fields: Readonly<Record<string, unknown>>): void {
    const { error } = fields;
    if (!this.#logger) this.#diagnostics.failure(message, error, "warn");
    else tryOr(() => this.#logger?.warn(message, fields), undefined);
  }
}

/**
 * @internal Calls an exporter. Resolves with the string that the exporter resolves with, else with `undefined`. Never
 * rejects: a failure is reported. Spans of the export are not traced: each export would make spans to export.
 */
export async function callExporter(
  exporter: TraceExporter,
  trace: TraceFile,
  warnings: ExporterWarnings,
): Promise<string | undefined> {
  try {
    const answer: unknown = await untraced(() => exporter.export(trace));
    return typeof answer === "string" ? answer : undefined;
  } catch (error) {
    warn(exporter, trace, warnings, error);
    return undefined;
  }
}

/** @internal {@link callExporter}, with `undefined` after five seconds. */
export const awaitExporter = (
  exporter: TraceExporter,
  trace: TraceFile,
  warnings: ExporterWarnings,
): Promise<string | undefined> =>
  within(callExporter(exporter, trace, warnings)).catch((error: unknown) => {
    warn(exporter, trace, warnings, error);
    return undefined;
  });

function warn(exporter: TraceExporter, trace: TraceFile, warnings: ExporterWarnings, error: unknown): void {
  const name = tryOr(() => String(exporter.name), "unknown");
  const sessionId = tryOr(() => trace.sessionId, undefined);
  warnings.warn(`exporter ${name} failed`, { exporter: name, sessionId, error });
}

/** @internal Flushes a processor, and waits for at most five seconds. Never rejects. */
export const awaitFlush = (processor: SpanProcessor): Promise<void> =>
  within(
    (async () => {
      try {
        await untraced(() => processor.forceFlush());
      } catch {
        // The processor logs its failures. The session has ended in any case.
      }
    })(),
  ).catch(() => {});

function within<T>(answer: Promise<T>): Promise<T> {
  const error = () => new CrashSafeFileError("EXPORT_TIMEOUT", `no answer in ${patienceMillis} ms`);
  return withTimeout((bounded) => bounded(answer), { millis: patienceMillis, error });
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
