/**
 * What the environment asks of an SDK (OpenTelemetry specification, "Environment variables"). Only `NodeSDK` reads these
 * variables itself: `TracerProvider` of `sdk-trace`, in both SDK lines, reads none. A value that is not valid is logged and
 * counts as not set.
 */
import type { TextMapPropagator } from "@opentelemetry/api";
import { type Environment, numberIn, variableOf } from "../platform/environment.js";
import { shownValue } from "../platform/errors.js";
import { spanLimits } from "../tracer/provider.js";

/** Logs one message. */
type Warn = (message: string) => void;

/** Whether the SDK is switched off. A boolean variable is true only by the word, in any case. */
export function isDisabled(env: Environment, warn: Warn): boolean {
  const text = variableOf(env, "OTEL_SDK_DISABLED");
  const word = text?.toLowerCase();
  if (text !== undefined && word !== "true" && word !== "false")
    warn(`OTEL_SDK_DISABLED is ${shownValue(text)}, which is ignored: it must be true or false`);
  return word === "true";
}

type SamplerName = "always_on" | "always_off" | "traceidratio";
const samplerNames: readonly SamplerName[] = ["always_on", "always_off", "traceidratio"];
const byParent = "parentbased_";

/** The samplers of an SDK, which have the same names in both SDK lines. */
export interface SamplerClasses {
  readonly AlwaysOnSampler: new () => object;
  readonly AlwaysOffSampler: new () => object;
  readonly TraceIdRatioBasedSampler: new (ratio: number) => object;
  readonly ParentBasedSampler: new (options: object) => object;
}

/** The sampler of `OTEL_TRACES_SAMPLER`; `undefined` for the SDK's default, which is `parentbased_always_on`. */
export function samplerOf(env: Environment, sdk: SamplerClasses, warn: Warn): object | undefined {
  const text = variableOf(env, "OTEL_TRACES_SAMPLER");
  if (text === undefined) return undefined;
  const name = text.toLowerCase();
  const isByParent = name.startsWith(byParent);
  const rootName = samplerNames.find((one) => one === (isByParent ? name.slice(byParent.length) : name));
  if (rootName === undefined) {
    const all = [...samplerNames, ...samplerNames.map((one) => byParent + one)].join(", ");
    warn(`OTEL_TRACES_SAMPLER is ${shownValue(text)}, which is ignored: the samplers are ${all}`);
    return undefined;
  }
  const root =
    rootName === "traceidratio"
      ? new sdk.TraceIdRatioBasedSampler(ratioOf(env, warn))
      : new (rootName === "always_on" ? sdk.AlwaysOnSampler : sdk.AlwaysOffSampler)();
  return isByParent ? new sdk.ParentBasedSampler({ root }) : root;
}

function ratioOf(env: Environment, warn: Warn): number {
  const text = variableOf(env, "OTEL_TRACES_SAMPLER_ARG");
  const ratio = Number(text ?? 1);
  if (ratio >= 0 && ratio <= 1) return ratio;
  warn(`OTEL_TRACES_SAMPLER_ARG is ${shownValue(text)}, which is ignored: it must be a number from 0 to 1`);
  return 1;
}

/** The variables of each limit, the first that is set counts: the specification's, then those of the SDK alone. */
const limitVariables: Readonly<Record<keyof typeof spanLimits, readonly string[]>> = {
  attributeValueLengthLimit: ["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"],
  attributeCountLimit: ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"],
  eventCountLimit: ["OTEL_SPAN_EVENT_COUNT_LIMIT"],
  linkCountLimit: ["OTEL_SPAN_LINK_COUNT_LIMIT"],
  attributePerEventCountLimit: [
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_PER_EVENT_COUNT_LIMIT",
  ],
  attributePerLinkCountLimit: ["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_PER_LINK_COUNT_LIMIT"],
};

/** The limits of spans: those of the environment, else {@link spanLimits}. */
export function limitsOf(env: Environment, warn: Warn): typeof spanLimits {
  const limitOf = (variables: readonly string[]): number | undefined => {
    for (const variable of variables) {
      const text = variableOf(env, variable);
      if (text === undefined) continue;
      const limit = numberIn(text);
      if (typeof limit === "number") return limit;
      warn(`${variable} is ${shownValue(text)}, which is ignored: it must be an integer from 0`);
    }
    return undefined;
  };
  const limits = Object.entries(limitVariables).map(
    ([name, variables]) => [name, limitOf(variables)] as const,
  );
  return { ...spanLimits, ...Object.fromEntries(limits.filter(([, limit]) => limit !== undefined)) };
}

const propagatorNames = ["tracecontext", "baggage", "none"];

/** What is used of `@opentelemetry/core`. */
export interface Propagators {
  readonly W3CTraceContextPropagator: new () => TextMapPropagator;
  readonly W3CBaggagePropagator: new () => TextMapPropagator;
  readonly CompositePropagator: new (options: object) => TextMapPropagator;
}

/** The propagators of `OTEL_PROPAGATORS`; `undefined` for `none`. */
export function propagatorOf(env: Environment, core: Propagators, warn: Warn): TextMapPropagator | undefined {
  const given = (variableOf(env, "OTEL_PROPAGATORS") ?? "").split(",").map((name) => name.trim());
  const names = new Set<string>();
  for (const name of given.filter((one) => one !== "")) {
    if (propagatorNames.includes(name.toLowerCase())) names.add(name.toLowerCase());
    else
      warn(
        `OTEL_PROPAGATORS names ${shownValue(name)}, which is ignored: without @opentelemetry/sdk-node the propagators ` +
          `are ${propagatorNames.join(", ")}`,
      );
  }
  if (names.has("none")) return undefined;
  const classes = { tracecontext: core.W3CTraceContextPropagator, baggage: core.W3CBaggagePropagator };
  const propagators = Object.entries(classes)
    .filter(([name]) => names.size === 0 || names.has(name))
    .map(([, Propagator]) => new Propagator());
  return new core.CompositePropagator({ propagators });
}
