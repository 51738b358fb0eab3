/**
 * What the OpenTelemetry specification demands (MUST, SHOULD) of the environment variables of a tracing SDK: "Environment
 * variables", with what a processor, a session tracing and `register` read. One test per demand.
 */
import { type Context, propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import * as core from "@opentelemetry/core";
import * as sdkTrace from "@opentelemetry/sdk-trace";
import { describe, expect, test } from "vitest";
import { resourceAttributesOf } from "../../src/otel/resource.js";
import type { Environment } from "../../src/platform/environment.js";
import { resolveProcessorOptions } from "../../src/processor/span-processor-options.js";
import {
  isDisabled,
  limitsOf,
  propagatorOf,
  type SamplerClasses,
  samplerOf,
} from "../../src/register/sdk-environment.js";
import { spanLimits } from "../../src/tracer/provider.js";
import { resolveOptions } from "../../src/tracer/session-tracing-options.js";

const sdk = sdkTrace as unknown as SamplerClasses;

/** What `read` returns, and what it warns of. */
function reading<T>(read: (warn: (message: string) => void) => T): { value: T; warnings: string[] } {
  const warnings: string[] = [];
  return { value: read((message) => void warnings.push(message)), warnings };
}

const limits = (env: Environment) => reading((warn) => limitsOf(env, warn));
const batches = (env: Environment) => resolveProcessorOptions({}, env);
const plan = (env: Environment) => {
  const found = resolveOptions({ dir: "d" }, env);
  if (found.type !== "own") throw new Error("the provider is the host's");
  return found;
};

describe("parsing empty values", () => {
  test("an empty value is the same as none", () => {
    const empty = {
      OTEL_BSP_SCHEDULE_DELAY: "",
      OTEL_BSP_EXPORT_TIMEOUT: " ",
      OTEL_SDK_DISABLED: "",
      OTEL_TRACES_SAMPLER: "",
      OTEL_TRACES_SAMPLER_ARG: "",
      OTEL_SPAN_EVENT_COUNT_LIMIT: "",
      OTEL_PROPAGATORS: "",
      OTEL_TRACES_EXPORTER: "",
      OTEL_EXPORTER_OTLP_PROTOCOL: "",
      OTEL_SERVICE_NAME: "",
      OTEL_RESOURCE_ATTRIBUTES: "",
    };
    expect(batches(empty)).toEqual(batches({}));
    expect(plan(empty)).toEqual(plan({}));
    expect(limits(empty)).toEqual({ value: spanLimits, warnings: [] });
    expect(reading((warn) => isDisabled(empty, warn))).toEqual({ value: false, warnings: [] });
    expect(reading((warn) => samplerOf(empty, sdk, warn))).toEqual({ value: undefined, warnings: [] });
    expect(fieldsOf(empty)).toEqual(fieldsOf({}));
    expect(resourceAttributesOf(empty)).toEqual({});
  });
});

describe("booleans", () => {
  test.each([
    ["true", true],
    ["TRUE", true],
    ["True", true],
    ["false", false],
    ["FALSE", false],
    [undefined, false],
  ])("OTEL_SDK_DISABLED=%s", (text, value) => {
    expect(reading((warn) => isDisabled({ OTEL_SDK_DISABLED: text }, warn))).toEqual({ value, warnings: [] });
  });

  test.each(["1", "yes", "on", "t"])("%s is false, with a warning that shows it", (text) => {
    expect(reading((warn) => isDisabled({ OTEL_SDK_DISABLED: text }, warn))).toEqual({
      value: false,
      warnings: [`OTEL_SDK_DISABLED is "${text}", which is ignored: it must be true or false`],
    });
  });
});

describe("numbers", () => {
  test("integers from 0 to 2³¹ − 1 are accepted", () => {
    for (const number of [0, 1, 2 ** 31 - 1])
      expect(limits({ OTEL_SPAN_EVENT_COUNT_LIMIT: `${number}` })).toEqual({
        value: { ...spanLimits, eventCountLimit: number },
        warnings: [],
      });
    expect(batches({ OTEL_BSP_SCHEDULE_DELAY: `${2 ** 31 - 1}` }).warnings).toEqual([]);
    expect(batches({ OTEL_BSP_MAX_QUEUE_SIZE: `${2 ** 31 - 1}` }).warnings).toEqual([]);
  });

  test.each(["many", "-1", "1.5", "1e3", "0x10", "Infinity"])(
    "%s is ignored with a warning, and gets no meaning of its own",
    (text) => {
      const found = limits({ OTEL_SPAN_LINK_COUNT_LIMIT: text });
      expect(found.value).toEqual(spanLimits);
      expect(found.warnings).toEqual([expect.stringContaining(`OTEL_SPAN_LINK_COUNT_LIMIT is "${text}"`)]);
      for (const variable of [
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
      ]) {
        const { limits: found, warnings } = batches({ [variable]: text });
        expect(found).toEqual(batches({}).limits);
        expect(warnings).toEqual([expect.stringContaining(`${variable} is "${text}"`)]);
      }
    },
  );

  test("a timeout of 0 is no limit, a duration of 0 is none", () => {
    expect(batches({ OTEL_BSP_EXPORT_TIMEOUT: "0" }).limits.exportTimeoutMillis).toBe(2 ** 31 - 1);
    expect(batches({ OTEL_BSP_SCHEDULE_DELAY: "0" }).limits.scheduledDelayMillis).toBe(0);
  });
});

describe("enums", () => {
  test("are read in any case", () => {
    expect(
      plan({ OTEL_TRACES_EXPORTER: "OTLP,Crash-Safe-File", OTEL_EXPORTER_OTLP_PROTOCOL: "HTTP/JSON" }),
    ).toMatchObject({
      exporters: [{ type: "otlp", protocol: "http/json" }, { type: "crash-safe-file" }],
      warnings: [],
    });
    expect(`${samplerOf({ OTEL_TRACES_SAMPLER: "Always_Off" }, sdk, () => {})}`).toBe("AlwaysOffSampler");
    expect(fieldsOf({ OTEL_PROPAGATORS: "Baggage" }).value).toEqual(["baggage"]);
  });

  test("a value that is not known is ignored with a warning that shows it", () => {
    const protocol = { OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "smtp", OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" };
    const { exporters, warnings } = plan({
      OTEL_TRACES_EXPORTER: "otlp,crash-safe-file,Zipkin",
      ...protocol,
    });
    expect(exporters).toEqual([
      { type: "otlp", protocol: "http/json" },
      { type: "crash-safe-file", dir: "d" },
    ]);
    expect(warnings).toEqual([
      expect.stringContaining('OTEL_TRACES_EXPORTER names "Zipkin"'),
      'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is "smtp", which is ignored: it must be http/protobuf or http/json',
    ]);
    expect(reading((warn) => samplerOf({ OTEL_TRACES_SAMPLER: "xray" }, sdk, warn))).toEqual({
      value: undefined,
      warnings: [expect.stringMatching(/^OTEL_TRACES_SAMPLER is "xray", which is ignored: .*always_on,/)],
    });
    expect(fieldsOf({ OTEL_PROPAGATORS: "b3,tracecontext" })).toEqual({
      value: ["traceparent", "tracestate"],
      warnings: [expect.stringMatching(/^OTEL_PROPAGATORS is "b3", which is ignored/)],
    });
  });

  test("none is the word for nothing", () => {
    expect(plan({ OTEL_TRACES_EXPORTER: "none" }).exporters).toEqual([]);
    expect(reading((warn) => propagatorOf({ OTEL_PROPAGATORS: "none" }, core, warn))).toEqual({
      value: undefined,
      warnings: [],
    });
  });
});

/** The headers of the propagators. */
const fieldsOf = (env: Environment) => reading((warn) => propagatorOf(env, core, warn)?.fields().sort());

describe("general variables", () => {
  test("OTEL_PROPAGATORS is tracecontext,baggage by default, and a name twice is one propagator", () => {
    expect(fieldsOf({}).value).toEqual(["baggage", "traceparent", "tracestate"]);
    const propagator = propagatorOf({ OTEL_PROPAGATORS: "baggage, baggage" }, core, () => {});
    const within = propagation.setBaggage(ROOT_CONTEXT, propagation.createBaggage({ a: { value: "1" } }));
    const set: string[] = [];
    propagator?.inject(within, {}, { set: (_, key) => void set.push(key) });
    expect(set).toEqual(["baggage"]);
  });

  test("OTEL_SERVICE_NAME wins over service.name of OTEL_RESOURCE_ATTRIBUTES", () => {
    const env = { OTEL_SERVICE_NAME: "agent", OTEL_RESOURCE_ATTRIBUTES: "service.name=other,team=a" };
    expect(resourceAttributesOf(env)).toEqual({ "service.name": "agent", team: "a" });
  });

  /** Which of a root and of the children of a sampled and an unsampled parent are recorded. */
  function sampled(env: Environment) {
    return reading((warn) => {
      const sampler = samplerOf(env, sdk, warn) as sdkTrace.Sampler | undefined;
      const tracer = new sdkTrace.TracerProvider({ ...(sampler && { sampler }) }).getTracer("test");
      const below = (traceFlags: number): Context =>
        trace.setSpanContext(ROOT_CONTEXT, { traceId: "1".repeat(32), spanId: "1".repeat(16), traceFlags });
      return [ROOT_CONTEXT, below(1), below(0)].map((parent) =>
        tracer.startSpan("s", {}, parent).isRecording(),
      );
    });
  }

  test.each([
    [undefined, undefined, [true, true, false]],
    ["always_on", undefined, [true, true, true]],
    ["always_off", undefined, [false, false, false]],
    ["traceidratio", "0", [false, false, false]],
    ["traceidratio", undefined, [true, true, true]],
    ["parentbased_always_on", undefined, [true, true, false]],
    ["parentbased_always_off", undefined, [false, true, false]],
    ["parentbased_traceidratio", "0", [false, true, false]],
    ["parentbased_traceidratio", "1", [true, true, false]],
  ])("OTEL_TRACES_SAMPLER=%s with the argument %s", (name, argument, recorded) => {
    const env = { OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: argument };
    expect(sampled(env)).toEqual({ value: recorded, warnings: [] });
  });

  test("an argument that is not valid is logged, and counts as not set", () => {
    for (const argument of ["2", "-0.1", "half"])
      expect(sampled({ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: argument })).toEqual({
        value: [true, true, true],
        warnings: [
          `OTEL_TRACES_SAMPLER_ARG is "${argument}", which is ignored: it must be a number from 0 to 1`,
        ],
      });
  });

  test("an argument without a sampler is not read", () => {
    expect(sampled({ OTEL_TRACES_SAMPLER_ARG: "2" }).warnings).toEqual([]);
  });
});

describe("limits", () => {
  test.each([
    ["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "attributeValueLengthLimit"],
    ["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "attributeValueLengthLimit"],
    ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "attributeCountLimit"],
    ["OTEL_ATTRIBUTE_COUNT_LIMIT", "attributeCountLimit"],
    ["OTEL_SPAN_EVENT_COUNT_LIMIT", "eventCountLimit"],
    ["OTEL_SPAN_LINK_COUNT_LIMIT", "linkCountLimit"],
    ["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "attributePerEventCountLimit"],
    ["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "attributePerLinkCountLimit"],
  ])("%s", (variable, limit) => {
    expect(limits({ [variable]: "3" })).toEqual({ value: { ...spanLimits, [limit]: 3 }, warnings: [] });
  });

  test("a limit of spans wins over the one of all attributes, unless it is not valid", () => {
    const general = { OTEL_ATTRIBUTE_COUNT_LIMIT: "5" };
    const both = (text: string) => limits({ ...general, OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: text }).value;
    expect(both("3").attributeCountLimit).toBe(3);
    expect(both("some").attributeCountLimit).toBe(5);
  });
});

describe("batch span processor", () => {
  test.each([
    ["OTEL_BSP_SCHEDULE_DELAY", "scheduledDelayMillis"],
    ["OTEL_BSP_EXPORT_TIMEOUT", "exportTimeoutMillis"],
    ["OTEL_BSP_MAX_QUEUE_SIZE", "maxQueueSize"],
    ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "maxExportBatchSize"],
  ] as const)("%s sets %s, which is an option of the program as well", (variable, option) => {
    const { limits: found, warnings } = batches({ [variable]: "600" });
    expect({ value: found[option], warnings }).toEqual({ value: 600, warnings: [] });
    expect(resolveProcessorOptions({ [option]: 600 }, {}).limits[option]).toBe(600);
  });

  test("timeout and batch have the defaults of the specification; delay and queue have documented ones", () => {
    expect(batches({}).limits).toEqual({
      exportTimeoutMillis: 30_000,
      maxExportBatchSize: 512,
      scheduledDelayMillis: 1_000, // 5,000 in the specification
      maxQueueSize: 65_536, // 2,048 in the specification
    });
  });
});
