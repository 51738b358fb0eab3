/** The tracer of altimate-code, with the names and the behaviour that its callers know. */

export type { TraceEntry, TracePage } from "./altimate/listing.js";
export {
  capSpansForSerialization,
  MAX_SERIALIZED_SPANS,
  USER_MESSAGE_INPUT_MAX_CHARS,
} from "./altimate/span-cap.js";
export { Trace, Trace as Recap, Trace as Tracer, type TraceOptions } from "./altimate/trace.js";
export type { TraceExporter, TraceFile, TraceLogger } from "./altimate/trace-exporter.js";
export { FileExporter, type FileExporterOptions } from "./altimate/trace-file-exporter.js";
export { HttpExporter } from "./altimate/trace-http-exporter.js";
export type { Redact } from "./exporter/content-filter.js";
export { type RedactSecretsOptions, redactSecrets } from "./exporter/redact-secrets.js";
export type { TokenUsage, TraceSpan } from "./format/trace-file.js";
