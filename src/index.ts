/** OpenTelemetry span exporter and processor that keep agent traces whole through any crash. */

export type { CrashFenceOptions, FenceSignal, InstalledCrashFence } from "./crash-fence.js";
export { installCrashFence } from "./crash-fence.js";
export type { Durability } from "./durability.js";
export type { FileExporterStats } from "./exporter-account.js";
export { CrashSafeFileSpanExporter } from "./file-exporter.js";
export type { CrashSafeFileSpanExporterOptions } from "./file-exporter-options.js";
export type { CrashTarget, LiveSpanExporter, ReadableSpan, SpanExporter } from "./otel-span.js";
export type { SpanProcessorStats } from "./processor-stats.js";
export * from "./reader.js";
export { type RedactSecretsOptions, redactSecrets } from "./redact-secrets.js";
export type { Redact } from "./redaction.js";
export { getSessionId, setSessionId } from "./session-context.js";
export { CrashSafeSpanProcessor } from "./span-processor.js";
export type { CrashSafeSpanProcessorOptions } from "./span-processor-options.js";
