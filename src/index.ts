/** OpenTelemetry span exporter and processor that keep agent traces whole through any crash. */

export type { Redact } from "./exporter/content-filter.js";
export type { FileExporterStats } from "./exporter/exporter-stats.js";
export { CrashSafeFileSpanExporter } from "./exporter/file-exporter.js";
export type { CrashSafeFileSpanExporterOptions } from "./exporter/file-exporter-options.js";
export { type RedactSecretsOptions, redactSecrets } from "./exporter/redact-secrets.js";
export { getSessionId, setSessionId } from "./otel/session-context.js";
export type { CrashTarget, LiveSpanExporter, ReadableSpan, SpanExporter } from "./otel/types.js";
export type { CrashFenceOptions, FenceSignal, InstalledCrashFence } from "./processor/crash-fence.js";
export { installCrashFence } from "./processor/crash-fence.js";
export type { SpanProcessorStats } from "./processor/processor-stats.js";
export { CrashSafeSpanProcessor } from "./processor/span-processor.js";
export type { CrashSafeSpanProcessorOptions } from "./processor/span-processor-options.js";
export * from "./reader.js";
export type { Durability } from "./storage/durability.js";
