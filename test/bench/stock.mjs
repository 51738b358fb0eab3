/** An exporter under the stock BatchSpanProcessor. */
import { ROOT_CONTEXT } from "@opentelemetry/api";

/** @param exported `SpanExporter.export`, or a whole exporter */
export async function openStock(exported) {
  const { BatchSpanProcessor } = await import("@opentelemetry/sdk-trace-base");
  const exporter = typeof exported === "function" ? { export: exported, shutdown: async () => {} } : exported;
  const processor = new BatchSpanProcessor(exporter);
  return {
    start: (span) => processor.onStart(span, ROOT_CONTEXT),
    end: (span) => processor.onEnd(span),
    flush: () => processor.forceFlush(),
    close: () => processor.shutdown(),
  };
}
