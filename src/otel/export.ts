/**
 * Calls of an exporter: the context in which it works, and how its answers become errors of this package.
 */

import { withTimeout } from "../platform/async.js";
import { CrashSafeFileError, reasonOf } from "../platform/errors.js";
import { type ExportResult, ExportResultCode, type ReadableSpan, type SpanExporter } from "./types.js";
import { untraced } from "./untraced.js";

/**
 * Exports a batch, then flushes the exporter. Resolves when the exporter has accepted the batch.
 *
 * @throws CrashSafeFileError `EXPORT_FAILED` when the exporter answers with a failure or throws, `EXPORT_TIMEOUT` when it
 * does not answer in time; the exporter may still be sending the batch then
 */
export async function exportBatch(
  exporter: SpanExporter,
  spans: ReadableSpan[],
  timeoutMillis: number,
): Promise<void> {
  const answer = new Promise<ExportResult>((resolve, reject) => {
    const returned: unknown = untraced(() => exporter.export(spans, resolve));
    // An `export` that is an async function reports an exception by rejecting.
    if (returned instanceof Promise) returned.catch(reject);
  });
  const failure = failureOf(await answered(answer, timeoutMillis));
  if (failure) throw failure;
  const flushed = (async () => untraced(() => exporter.forceFlush?.()))();
  await answered(flushed, timeoutMillis);
}

async function answered<T>(answer: Promise<T>, millis: number): Promise<T> {
  const error = () => noAnswer(millis);
  try {
    return await withTimeout((bounded) => bounded(answer), { millis, error });
  } catch (cause) {
    if (cause instanceof CrashSafeFileError) throw cause;
    throw new CrashSafeFileError("EXPORT_FAILED", `the exporter threw: ${reasonOf(cause)}`, { cause });
  }
}

/** The error of an exporter that does not answer in time. */
export const noAnswer = (timeoutMillis: number): CrashSafeFileError =>
  new CrashSafeFileError("EXPORT_TIMEOUT", `the exporter did not answer in ${timeoutMillis} ms`);

/** The error of a failed export; `undefined` for a success. */
export function failureOf(result: ExportResult | undefined): CrashSafeFileError | undefined {
  if (result?.code === ExportResultCode.SUCCESS) return undefined;
  const cause = result?.error;
  const reason = reasonOf(cause?.message ?? "the exporter gave no reason");
  return new CrashSafeFileError("EXPORT_FAILED", reason, { cause });
}
