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

const ignored = (variable: string, text: string | undefined, allowed: string): string =>
  `${variable} is ${shownValue(text)}, which is ignored: it must be ${allowed}`;

/** Whether the SDK is switched off. A boolean variable is true only by the word, in any case. */
export function isDisabled(env: Environment, warn: Warn): boolean {
  const text = variableOf(env, "OTEL_SDK_DISABLED");
  const word = text?.toLowerCase();
  if (text !== undefined && word !== "true" && word !== "false")
    warn(ignored("OTEL_SDK_DISABLED", text, "true or false"));
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

/** What the environment asks for. */
interface PlannedSampler {
  readonly root: SamplerName;
  readonly ratio: number;
  readonly isByParent: boolean;
}

/** The sampler of `OTEL_TRACES_SAMPLER`; `undefined` for the SDK's default, which is `parentbased_always_on`. */
export function plannedSampler(env: Environment, warn: Warn): PlannedSampler | undefined {
  const text = variableOf(env, "OTEL_TRACES_SAMPLER");
  if (text === undefined) return undefined;
  const name = text.toLowerCase();
  const isByParent = name.startsWith(byParent);
  const root = samplerNames.find((one) => one === (isByParent ? name.slice(byParent.length) : name));
  if (root === undefined) {
    warn(
      ignored("OTEL_TRACES_SAMPLER", text, `${samplerNames.join(", ")}, or one of them after ${byParent}`),
    );
    return undefined;
  }
  return { root, ratio: root === "traceidratio" ? ratioOf(env, warn) : 1, isByParent };
}

/** The {@link plannedSampler}, made of the classes of an SDK. */
export function samplerOf(env: Environment, sdk: SamplerClasses, warn: Warn): object | undefined {
  const planned = plannedSampler(env, warn);
  if (planned === undefined) return undefined;
  const root =
    planned.root === "traceidratio"
      ? new sdk.TraceIdRatioBasedSampler(planned.ratio)
      : new (planned.root === "always_on" ? sdk.AlwaysOnSampler : sdk.AlwaysOffSampler)();
  return planned.isByParent ? new sdk.ParentBasedSampler({ root }) : root;
}

function ratioOf(env: Environment, warn: Warn): number {
  const text = variableOf(env, "OTEL_TRACES_SAMPLER_ARG");
  const ratio = Number(text ?? 1);
  if (ratio >= 0 && ratio <= 1) return ratio;
  warn(ignored("OTEL_TRACES_SAMPLER_ARG", text, "a number from 0 to 1"));
  return 1;
}

/** The limits of spans: those of the environment, else {@link spanLimits}. */
export function limitsOf(env: Environment, warn: Warn): typeof spanLimits {
  const limitOf = (variable: string): number | undefined => {
    const text = variableOf(env, variable);
    const limit = text && numberIn(text);
    if (typeof limit === "number") return limit;
    if (text) warn(ignored(variable, text, "an integer from 0"));
    return undefined;
  };
  const limits = Object.entries(spanLimits).map(([limit, standard]) => {
    const name = limit.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
    // For events and links, the SDK has a name beside that of the specification.
    const general = `OTEL_${name.replace(/ATTRIBUTE_PER_(EVENT|LINK)/, "$1_ATTRIBUTE")}`;
    return [limit, limitOf(`OTEL_SPAN_${name}`) ?? limitOf(general) ?? standard];
  });
  return Object.fromEntries(limits);
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
  const names = (variableOf(env, "OTEL_PROPAGATORS") ?? "").split(",").map((name) => name.trim());
  const isKnown = (name: string) => propagatorNames.includes(name.toLowerCase());
  for (const name of names)
    if (name !== "" && !isKnown(name))
      warn(
        ignored("OTEL_PROPAGATORS", name, `${propagatorNames.join(", ")} without @opentelemetry/sdk-node`),
      );
  const wanted = names.filter(isKnown).map((name) => name.toLowerCase());
  if (wanted.includes("none")) return undefined;
  const isWanted = (name: string) => wanted.length === 0 || wanted.includes(name);
  const propagators = [
    ...(isWanted("tracecontext") ? [new core.W3CTraceContextPropagator()] : []),
    ...(isWanted("baggage") ? [new core.W3CBaggagePropagator()] : []),
  ];
  return new core.CompositePropagator({ propagators });
}
