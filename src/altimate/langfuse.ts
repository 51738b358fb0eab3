/** The hosted Langfuse, by OTLP, where the environment names it. */
import { Diagnostics } from "../otel/diagnostics.js";
import type { SpanExporter, SpanProcessor } from "../otel/types.js";
import { type Environment, variableOf } from "../platform/environment.js";
import { CrashSafeSpanProcessor } from "../processor/span-processor.js";
import { requireOtlpExporter } from "../tracer/sdk-packages.cjs";

const diagnostics = new Diagnostics("Trace");

/** One processor per project: hosts make a trace for every session. `undefined`: there can be none. */
const processors = new Map<string, SpanProcessor | undefined>();

/**
 * The processor that sends spans to Langfuse: where `LANGFUSE_PUBLIC_KEY`, `LANGFUSE_SECRET_KEY` and `LANGFUSE_HOST` are
 * all set, and `DISABLE_LANGFUSE` is not `1`, `true`, `yes` or `on`. Without an OTLP exporter, a warning is logged once.
 * Never throws. Source: https://langfuse.com/integrations/native/opentelemetry
 */
export function langfuseProcessors(env: Environment): SpanProcessor[] {
  const names = ["LANGFUSE_HOST", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"];
  const [host, user, password] = names.map((name) => variableOf(env, name));
  const isDisabled = /^(1|true|yes|on)$/i.test(variableOf(env, "DISABLE_LANGFUSE") ?? "");
  if (host === undefined || user === undefined || password === undefined || isDisabled) return [];
  const key = JSON.stringify([host, user, password]);
  if (!processors.has(key)) processors.set(key, processorTo(host, `${user}:${password}`));
  const processor = processors.get(key);
  return processor ? [processor] : [];
}

function processorTo(host: string, credentials: string): SpanProcessor | undefined {
  try {
    const url = `${host.replace(/\/+$/, "")}/api/public/otel/v1/traces`;
    const encoded = Buffer.from(credentials).toString("base64");
    const headers = { Authorization: ["Basic", encoded].join(" ") };
    if (!/^https?:$/.test(new URL(url).protocol)) throw new TypeError(`LANGFUSE_HOST is ${host}`);
    const Exporter = otlpExporter();
    return new CrashSafeSpanProcessor(new Exporter({ url, headers }) as SpanExporter);
  } catch (error) {
    const needs =
      "LANGFUSE_HOST must be a URL, and @opentelemetry/exporter-trace-otlp-proto must be installed";
    diagnostics.log("warn", `spans are not sent to Langfuse: ${needs}`, error);
    return undefined;
  }
}

/** Either of the OTLP exporters over HTTP. */
function otlpExporter(): ReturnType<typeof requireOtlpExporter> {
  try {
    return requireOtlpExporter("http/protobuf");
  } catch {
    return requireOtlpExporter("http/json");
  }
}
