/** The instrumentation scope of session tracers: spans of this scope carry what `record-attributes.ts` writes. */
export const SESSION_SCOPE = "opentelemetry-exporter-crash-safe-file";
