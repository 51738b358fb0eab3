/**
 * The only file that touches an OpenTelemetry SDK or an OTLP exporter.
 *
 * They are optional peers, and this package is loaded with `import` and with `require`. So they are required here when
 * they are wanted and not before: a CommonJS file also among the sources, with literal names in try and catch, which
 * bundlers take for optional. It imports nothing of ours: the sources are ES modules to it.
 */

/** What there is of an SDK here, in the words of both lines. */
export interface Sdk {
  readonly Provider: new (options: object) => object;
  readonly ConsoleSpanExporter: new () => object;
}

/** The SDK: `sdk-trace` of 3.x or 2.9 on, else `sdk-trace-base` of 2.x. Throws what `require` throws. */
export function requireSdk(): Sdk {
  try {
    const { TracerProvider, ConsoleSpanExporter } = require("@opentelemetry/sdk-trace");
    return { Provider: TracerProvider, ConsoleSpanExporter };
  } catch {
    // Then the other one.
  }
  let missing: unknown;
  try {
    const { BasicTracerProvider, ConsoleSpanExporter } = require("@opentelemetry/sdk-trace-base");
    return { Provider: BasicTracerProvider, ConsoleSpanExporter };
  } catch (error) {
    missing = error;
  }
  // Not from within the catch: to esbuild that is no package it may do without.
  throw missing;
}

/** The class of an OTLP exporter, by protocol. Throws what `require` throws. */
export function requireOtlpExporter(protocol: "http/protobuf" | "http/json"): new () => object {
  let found: { readonly OTLPTraceExporter: new () => object } | undefined;
  let missing: unknown;
  try {
    if (protocol === "http/json") found = require("@opentelemetry/exporter-trace-otlp-http");
    else found = require("@opentelemetry/exporter-trace-otlp-proto");
  } catch (error) {
    missing = error;
  }
  if (found === undefined) throw missing;
  return found.OTLPTraceExporter;
}
