/**
 * Handing a batch to an exporter, and waiting for its answer.
 */

import { context } from "@opentelemetry/api";
import { UNTRACED } from "./export-pump.js";
import { type ExportResult, ExportResultCode } from "./export-result.js";
import type { ReadableSpan, SpanExporter } from "./otel-span.js";
import { CrashSafeFileError } from "./trace-error.js";

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
  if (result?.code !== ExportResultCode.SUCCESS) {
    const cause = result?.error;
    throw new CrashSafeFileError("EXPORT_FAILED", cause?.message ?? "the exporter gave no reason", { cause });
  }
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
