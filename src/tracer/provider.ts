/**
 * Builds the provider of a session tracing and its processors from a plan.
 */
import type { Context, Span, SpanOptions, TracerProvider } from "@opentelemetry/api";
import { CrashSafeFileSpanExporter } from "../exporter/file-exporter.js";
import type { CrashSafeFileSpanExporterOptions } from "../exporter/file-exporter-options.js";
import type { TurnIds } from "../otel/ids.js";
import type { ResourceLike } from "../otel/resource.js";
import type { SpanExporter, SpanProcessor } from "../otel/types.js";
import { untracedNow } from "../otel/untraced.js";
import { CrashSafeFileError } from "../platform/errors.js";
import { CrashSafeSpanProcessor } from "../processor/span-processor.js";
import type { SpanStarter } from "./input-types.js";
import {
  type AdvisedPackages,
  advisedPackages,
  requireOtlpExporter,
  requireSdk,
  type Sdk,
} from "./sdk-packages.cjs";
import type { PlannedExporter, TracingPlan } from "./session-tracing-options.js";

/** A provider and the processors that are known to be behind it. */
export interface SessionProvider {
  /** The provider. The first call for a plan of its own loads the SDK. Throws `MISSING_PACKAGE`. */
  readonly provider: () => TracerProvider;
  readonly processors: readonly SpanProcessor[];
}

/**
 * Limits of a span. Values of agents are not cut, with any values of `OTEL_SPAN_*` and `OTEL_ATTRIBUTE_*`. The
 * counts bound a span to which a loop adds attributes.
 */
export const spanLimits = Object.freeze({
  attributeValueLengthLimit: Number.POSITIVE_INFINITY,
  attributeCountLimit: 4096,
  eventCountLimit: 1024,
  linkCountLimit: 1024,
  attributePerEventCountLimit: 1024,
  attributePerLinkCountLimit: 1024,
});

/**
 * `SamplingDecision.RECORD_AND_SAMPLED` of both SDK lines: every span of a session is recorded, with any value of
 * `OTEL_TRACES_SAMPLER`.
 */
const everything = { shouldSample: () => ({ decision: 2 }), toString: () => "AlwaysOnSampler" };

/** Plans the provider of a plan, and builds its processors; a plan with the host's provider needs no building. */
export function sessionProvider(plan: TracingPlan, idGenerator: TurnIds): SessionProvider {
  if (plan.type === "host's") return { provider: () => plan.provider, processors: plan.processors };
  const observed = { selfObsMeterProvider: plan.meterProvider };
  const exporters = plan.exporters.map((planned) => exporterOf(planned, observed));
  const processors = [
    ...exporters.map((exporter) => new CrashSafeSpanProcessor(exporter, observed)),
    ...plan.processors,
  ];
  let provider: TracerProvider | undefined;
  return {
    provider: () => {
      provider ??= newProvider(processors, plan.resource, { sampler: everything, idGenerator });
      return provider;
    },
    processors,
  };
}

/** A tracer that asks for its provider when the first span starts: a session's first document needs no SDK. */
export class LateTracer implements SpanStarter {
  readonly #find: () => SpanStarter;
  #found: SpanStarter | undefined;

  /** `find`: the tracer. Throws `MISSING_PACKAGE`, and is called again for the next span then. */
  constructor(find: () => SpanStarter) {
    this.#find = find;
  }

  startSpan(name: string, options?: SpanOptions, context?: Context): Span {
    this.#found ??= this.#find();
    return this.#found.startSpan(name, options, context);
  }
}

/**
 * A provider of the SDK that is installed. `more`: further options of its constructor.
 *
 * @throws CrashSafeFileError `MISSING_PACKAGE`
 */
export function newProvider(
  spanProcessors: readonly SpanProcessor[],
  resource: ResourceLike,
  more: object,
): TracerProvider {
  const sdk = installedSdk();
  const { attributeCountLimit, attributeValueLengthLimit } = spanLimits;
  const provider = new sdk.Provider({
    spanLimits,
    generalLimits: { attributeCountLimit, attributeValueLengthLimit },
    ...more,
    spanProcessors,
    resource: wholeResource(sdk, resource),
  });
  return provider as TracerProvider;
}

const installedSdk = (): Sdk =>
  installed(
    ({ sdk }) => sdk,
    "tracing needs an SDK (in a bundle, pass tracerProvider and processors)",
    requireSdk,
  );

/**
 * The exporter of a plan.
 *
 * @throws CrashSafeFileError `MISSING_PACKAGE`, or `INVALID_OPTION` of a variable
 */
export function exporterOf(planned: PlannedExporter, observed: Observed): SpanExporter {
  switch (planned.type) {
    case "given":
      return planned.exporter;
    case "crash-safe-file": {
      const { type: _type, ...options } = planned;
      return new CrashSafeFileSpanExporter({ ...options, ...observed });
    }
    case "console":
      return new (installedSdk().ConsoleSpanExporter)() as SpanExporter;
    case "otlp": {
      const name = planned.protocol === "http/json" ? "http" : "proto";
      const Exporter = installed(
        ({ otlp }) => otlp(name),
        `OTEL_TRACES_EXPORTER otlp by ${planned.protocol} needs a package`,
        () => requireOtlpExporter(planned.protocol),
      );
      return new Exporter() as SpanExporter;
    }
  }
}

/** The options that receive the metrics of exporters and processors. */
type Observed = Pick<CrashSafeFileSpanExporterOptions, "selfObsMeterProvider">;

/** The methods that resources of both SDK lines have. */
interface SdkResource extends ResourceLike {
  getRawAttributes(): [string, unknown][];
  merge(over: Pick<SdkResource, "getRawAttributes">): ResourceLike;
}

/** Merges attributes over the SDK's default resource, which only a span of a provider gives access to. */
function wholeResource(sdk: Sdk, given: ResourceLike): ResourceLike {
  if ("getRawAttributes" in given) return given;
  const span = (new sdk.Provider({}) as TracerProvider).getTracer("resource").startSpan("resource");
  const { resource } = span as unknown as { resource: SdkResource };
  return resource.merge({ getRawAttributes: () => Object.entries(given.attributes) });
}

/** `advise`: which package to install where the load fails. */
function installed<T>(advise: (packages: AdvisedPackages) => string, why: string, load: () => T): T {
  try {
    // Loading a module reads files.
    return untracedNow(load);
  } catch (cause) {
    const name = untracedNow(() => advise(advisedPackages()));
    throw new CrashSafeFileError("MISSING_PACKAGE", `${why}: \`npm install ${name}\``, { cause });
  }
}
