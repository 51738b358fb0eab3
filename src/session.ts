/** Sessions of agents, traced: the entry `opentelemetry-exporter-crash-safe-file/session`. */

export type { Redact } from "./exporter/content-filter.js";
export { type RedactSecretsOptions, redactSecrets } from "./exporter/redact-secrets.js";
export type * from "./format/trace-file.js";
export type { ResourceLike } from "./otel/resource.js";
export { getSessionId, setSessionId } from "./otel/session-context.js";
export type { ReadableSpan, SpanExporter, SpanProcessor } from "./otel/types.js";
export { type CrashSafeErrorCode, CrashSafeFileError } from "./platform/errors.js";
export {
  type ReplayedTrace,
  type ReplayFailure,
  type ReplayOptions,
  type ReplayReport,
  replayTraces,
} from "./replay/replay-traces.js";
export type * from "./tracer/input-types.js";
export { SessionTracer } from "./tracer/session-tracer.js";
export { createSessionTracing, type SessionTracing } from "./tracer/session-tracing.js";
export type { DocumentOptions, SessionTracingOptions } from "./tracer/session-tracing-options.js";
