/** Sessions of agents, traced: the entry `opentelemetry-exporter-crash-safe-file/session`. */
export type { ReadableSpan, SpanExporter, SpanProcessor } from "./otel-span.js";
export { type RedactSecretsOptions, redactSecrets } from "./redact-secrets.js";
export type { Redact } from "./redaction.js";
export type { ReplayedTrace, ReplayFailure, ReplayReport } from "./replay-report.js";
export { type ReplayOptions, replayTraces } from "./replay-traces.js";
export type { ResourceLike } from "./resource-attributes.js";
export { getSessionId, setSessionId } from "./session-context.js";
export { SessionTracer } from "./session-tracer.js";
export type * from "./session-tracer-input.js";
export { createSessionTracing, type SessionTracing } from "./session-tracing.js";
export type { DocumentOptions, SessionTracingOptions } from "./session-tracing-options.js";
export { type CrashSafeErrorCode, CrashSafeFileError } from "./trace-error.js";
export type * from "./trace-file.js";
