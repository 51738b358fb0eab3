/**
 * The provider of a session tracing and the processors behind it, as planned.
 */
import type { TracerProvider } from "@opentelemetry/api";
import { CrashSafeFileSpanExporter } from "../exporter/file-exporter.js";
import type { CrashSafeFileSpanExporterOptions } from "../exporter/file-exporter-options.js";
import type { TurnIds } from "../otel/ids.js";
import type { ResourceLike } from "../otel/resource.js";
import type { SpanExporter, SpanProcessor } from "../otel/types.js";
import { CrashSafeFileError } from "../platform/errors.js";
import { CrashSafeSpanProcessor } from "../processor/span-processor.js";
import { requireOtlpExporter, requireSdk, type Sdk } from "./sdk-packages.cjs";
import type { PlannedExporter, TracingPlan } from "./session-tracing-options.js";

/** What sessions are traced with. */
export interface SessionProvider {
  readonly provider: TracerProvider;
  readonly processors: readonly SpanProcessor[];
}

/**
 * Limits of a span: what agents put on one is not cut, whatever `OTEL_SPAN_*` and `OTEL_ATTRIBUTE_*` say. The counts
 * keep a span that is written to in a loop from growing without end.
 */
const spanLimits = Object.freeze({
  attributeValueLengthLimit: Number.POSITIVE_INFINITY,
  attributeCountLimit: 4096,
  eventCountLimit: 1024,
  linkCountLimit: 1024,
  attributePerEventCountLimit: 1024,
  attributePerLinkCountLimit: 1024,
});

/** `SamplingDecision.RECORD_AND_SAMPLED` of both SDK lines. A session is traced whole, whatever `OTEL_TRACES_SAMPLER` says. */
const everything = { shouldSample: () => ({ decision: 2 }), toString: () => "AlwaysOnSampler" };

/** Builds what a plan asks for; a host's provider is taken as it is. */
export function sessionProvider(plan: TracingPlan, idGenerator: TurnIds): SessionProvider {
  if (plan.type === "host's") return plan;
  const sdk = installed("@opentelemetry/sdk-trace-base", "createSessionTracing needs an SDK", requireSdk);
  const observed = { selfObsMeterProvider: plan.meterProvider };
  const exporters = plan.exporters.map((planned) => exporterOf(planned, sdk, observed));
  const processors = [
    ...exporters.map((exporter) => new CrashSafeSpanProcessor(exporter, observed)),
    ...plan.processors,
  ];
  const provider = new sdk.Provider({
    sampler: everything,
    spanLimits,
    generalLimits: {
      attributeCountLimit: spanLimits.attributeCountLimit,
      attributeValueLengthLimit: spanLimits.attributeValueLengthLimit,
    },
    idGenerator,
    spanProcessors: processors,
    resource: wholeResource(sdk, plan.resource),
  });
  return { provider: provider as TracerProvider, processors };
}

function exporterOf(planned: PlannedExporter, sdk: Sdk, observed: Observed): SpanExporter {
  switch (planned.type) {
    case "given":
      return planned.exporter;
    case "crash-safe-file": {
      const { type: _type, ...options } = planned;
      return new CrashSafeFileSpanExporter({ ...options, ...observed });
    }
    case "console":
      return new sdk.ConsoleSpanExporter() as SpanExporter;
    case "otlp": {
      const name = planned.protocol === "http/json" ? "http" : "proto";
      const Exporter = installed(
        `@opentelemetry/exporter-trace-otlp-${name}`,
        `OTEL_TRACES_EXPORTER otlp by ${planned.protocol} needs a package`,
        () => requireOtlpExporter(planned.protocol),
      );
      return new Exporter() as SpanExporter;
    }
  }
}

/** Who is told what exporters and processors do. */
type Observed = Pick<CrashSafeFileSpanExporterOptions, "selfObsMeterProvider">;

/** What a resource of either SDK line can do. */
interface SdkResource extends ResourceLike {
  getRawAttributes(): [string, unknown][];
  merge(over: Pick<SdkResource, "getRawAttributes">): ResourceLike;
}

/** Attributes alone are put over the SDK's default resource; a span is how a provider tells that. */
function wholeResource(sdk: Sdk, given: ResourceLike): ResourceLike {
  if ("getRawAttributes" in given) return given;
  const span = (new sdk.Provider({}) as TracerProvider).getTracer("resource").startSpan("resource");
  const { resource } = span as unknown as { resource: SdkResource };
  return resource.merge({ getRawAttributes: () => Object.entries(given.attributes) });
}

function installed<T>(name: string, why: string, load: () => T): T {
  try {
    return load();
  } catch (cause) {
    throw new CrashSafeFileError("MISSING_PACKAGE", `${why}: npm install ${name}`, { cause });
  }
}
