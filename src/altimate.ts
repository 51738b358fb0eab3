/** The tracer of altimate-code, with the names and the behaviour that its callers know. */
export {
  capSpansForSerialization,
  MAX_SERIALIZED_SPANS,
  USER_MESSAGE_INPUT_MAX_CHARS,
} from "./altimate-cap.js";
export { FileExporter, type FileExporterOptions } from "./altimate-file-exporter.js";
export { HttpExporter } from "./altimate-http-exporter.js";
export type { TraceEntry, TracePage } from "./altimate-listing.js";
export { Trace, Trace as Recap, Trace as Tracer, type TraceOptions } from "./altimate-trace.js";
export { type RedactSecretsOptions, redactSecrets } from "./redact-secrets.js";
export type { Redact } from "./redaction.js";
export type { TraceExporter } from "./trace-exporter.js";
export type { TokenUsage, TraceFile, TraceSpan } from "./trace-file.js";
