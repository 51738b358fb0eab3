/**
 * Handing a batch to an exporter, and waiting for its answer.
 */

import { context, createContextKey, ROOT_CONTEXT } from "@opentelemetry/api";
import { CrashSafeFileError } from "../platform/errors.js";
import { type ExportResult, ExportResultCode, type ReadableSpan, type SpanExporter } from "./types.js";

/**
 * The context in which an exporter works: its own requests and writes are not traced. Made from the root,
 * because an export does not belong to the request whose span happened to fill the batch. The key is the SDK's
 * (`suppressTracing` of `@opentelemetry/core`).
 */
export const UNTRACED = ROOT_CONTEXT.setValue(
  createContextKey("OpenTelemetry SDK Context Key SUPPRESS_TRACING"),
  true,
);

/**
 * Exports, and has the exporter hand out what it may hold back. Resolves once it has taken the batch.
 *
 * @throws CrashSafeFileError `EXPORT_FAILED` when it answers with a failure or throws, `EXPORT_TIMEOUT` when it does
 * not answer in time; what it does with the batch after that is its own affair
 */
export async function exportBatch(
  exporter: SpanExporter,
  spans: ReadableSpan[],
  timeoutMillis: number,
): Promise<void> {
  const answer = new Promise<ExportResult>((resolve, reject) => {
    const returned: unknown = context.with(UNTRACED, () => exporter.export(spans, resolve));
    // An exporter written as an async function throws by rejecting.
    if (returned instanceof Promise) returned.catch(reject);
  });
  const result = await answered(answer, timeoutMillis);
  const failure = failureOf(result);
  if (failure) throw failure;
  const flushed = (async () => context.with(UNTRACED, () => exporter.forceFlush?.()))();
  await answered(flushed, timeoutMillis);
}

async function answered<T>(answer: Promise<T>, timeoutMillis: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const message = `the exporter did not answer in ${timeoutMillis} ms`;
    timer = setTimeout(() => reject(new CrashSafeFileError("EXPORT_TIMEOUT", message)), timeoutMillis);
  });
  try {
    return await Promise.race([answer, late]);
  } catch (cause) {
    if (cause instanceof CrashSafeFileError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CrashSafeFileError("EXPORT_FAILED", `the exporter threw: ${reason}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** The error of a failed export; `undefined` for a success. */
export function failureOf(result: ExportResult | undefined): CrashSafeFileError | undefined {
  if (result?.code === ExportResultCode.SUCCESS) return undefined;
  const cause = result?.error;
  return new CrashSafeFileError("EXPORT_FAILED", cause?.message ?? "the exporter gave no reason", { cause });
}
