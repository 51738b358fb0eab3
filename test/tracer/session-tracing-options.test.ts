/** How options and environment variables are combined. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProxyTracerProvider } from "@opentelemetry/api";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { describe, expect, test } from "vitest";
import { exporterOptions } from "../../src/exporter/file-exporter-options.js";
import type { Environment } from "../../src/platform/environment.js";
import { CrashSafeFileError } from "../../src/platform/errors.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { resolveOptions, type SessionTracingOptions } from "../../src/tracer/session-tracing-options.js";
import { CollectedMetrics } from "../support/collected-metrics.js";

const exporter = new InMemorySpanExporter();
const processor = new CrashSafeSpanProcessor(exporter);
const file = { type: "crash-safe-file", dir: "d" };
const given = { type: "given", exporter };
const otlp = { type: "otlp", protocol: "http/protobuf" };

const exportersOf = (user: SessionTracingOptions, env: Environment = {}) => {
  const plan = resolveOptions(user, env);
  return plan.type === "own" ? plan.exporters : plan.type;
};

describe("P10 the destinations of spans", () => {
  test.for<[user: SessionTracingOptions, variable: string | undefined, exporters: unknown[]]>([
    [{ dir: "d" }, undefined, [file]],
    [{ dir: "d" }, "", [file]],
    [{ dir: "d" }, "crash-safe-file", [file]],
    [{ dir: "d" }, "otlp", [otlp]],
    [{ dir: "d" }, "console", [{ type: "console" }]],
    [{ dir: "d" }, "none", []],
    [{ dir: "d" }, " crash-safe-file , OTLP,otlp ", [file, otlp]],
    [{ dir: "d" }, "otlp,,console", [otlp, { type: "console" }]],
    [{ dir: "d" }, "zipkin", [file]],
    [{ dir: "d" }, "zipkin,otlp", [otlp]],
    [{}, "otlp", [otlp]],
    [{ dir: "d", exporters: [], processors: [] }, "otlp", [otlp]],
    [{ exporter }, "none", [given]],
    [{ dir: "d", exporter }, "console", [file, given]],
    [{ exporter, exporters: [exporter] }, "what?", [given, given]],
    [{ processors: [processor] }, "otlp", []],
    [{ dir: "d", processors: [processor] }, "otlp", [file]],
  ])("%o with OTEL_TRACES_EXPORTER=%s", ([user, variable, exporters]) => {
    expect(exportersOf(user, { OTEL_TRACES_EXPORTER: variable })).toEqual(exporters);
  });

  test.for<[user: SessionTracingOptions, variable: string, warnings: string[]]>([
    [{ dir: "d" }, "crash-safe-file,otlp", []],
    [{}, "otlp", []],
    [
      { dir: "d" },
      "zipkin",
      [
        'OTEL_TRACES_EXPORTER names "zipkin", which is ignored: the exporters are crash-safe-file, otlp, console, none; ' +
          "pass any other one in the option exporter",
      ],
    ],
    [
      { dir: "d" },
      "otlp",
      [
        'OTEL_TRACES_EXPORTER is otlp, so no documents are written to "d": set it to crash-safe-file,otlp for documents',
      ],
    ],
    [
      { dir: "d" },
      "none",
      [
        'OTEL_TRACES_EXPORTER is none, so no documents are written to "d": set it to crash-safe-file for documents',
      ],
    ],
  ])("%o with OTEL_TRACES_EXPORTER=%s warns of what is not written", ([user, variable, warnings]) => {
    expect(resolveOptions(user, { OTEL_TRACES_EXPORTER: variable, CRASH_SAFE_FILE_DIR: "e" })).toMatchObject({
      warnings,
    });
  });

  test("P9 document options apply to the file exporter, wherever the directory comes from", () => {
    const redact = (value: unknown) => value;
    const documents = { redact, maxTotalBytes: 9, durability: "each", maxValueBytes: 0 } as const;
    expect(exportersOf({ dir: "d", ...documents })).toEqual([{ ...file, ...documents }]);
    expect(exportersOf({ dir: "d", exporter, ...documents })).toEqual([{ ...file, ...documents }, given]);
    expect(exportersOf(documents, { CRASH_SAFE_FILE_DIR: "e" })).toEqual([
      { ...file, dir: "e", ...documents },
    ]);
    expect(exportersOf(documents, { OTEL_TRACES_EXPORTER: "otlp" })).toEqual([otlp]);
  });

  test("the directory may come from the environment, and the option wins", () => {
    const env = { CRASH_SAFE_FILE_DIR: "e" };
    expect(exportersOf({}, env)).toEqual([{ type: "crash-safe-file", dir: "e" }]);
    expect(exportersOf({ dir: "d" }, env)).toEqual([file]);
    expect(exportersOf({ exporter }, env)).toEqual([given]);
  });

  test.for<[string, Environment]>([
    ["http/protobuf", {}],
    ["http/json", { OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" }],
    ["http/json", { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/json" }],
    [
      "http/protobuf",
      { OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "" },
    ],
  ])("OTLP uses %s with %o", ([protocol, env]) => {
    expect(exportersOf({}, { OTEL_TRACES_EXPORTER: "otlp", ...env })).toEqual([{ type: "otlp", protocol }]);
  });

  test("a given provider is used unchanged, whatever the environment contains", () => {
    const provider = new ProxyTracerProvider();
    const plan = resolveOptions(
      { tracerProvider: provider, processors: [processor], exporters: [] },
      { OTEL_TRACES_EXPORTER: "what?" },
    );
    expect(plan).toEqual({ type: "host's", provider, processors: [processor] });
  });
});

describe("P9 every option of the file exporter", () => {
  const values: Readonly<Record<string, unknown>> = { durability: "each", redact: (value: unknown) => value };
  const passedOn = Object.entries(exporterOptions).map(
    ([name, { sessionTracing }]) => [name, sessionTracing] as const,
  );

  test.for(passedOn)(
    "%s is passed on, is an option of session tracing, or is excluded: %o",
    ([name, how]) => {
      const value = values[name] ?? 50_000;
      const resolve = () => exportersOf({ dir: "d", [name]: value } as SessionTracingOptions);
      if (how === "passed on") expect(resolve()).toEqual([{ ...file, [name]: value }]);
      else if (how === "own option") expect(resolve).not.toThrow(/there is no option/);
      else expect(resolve).toThrow(`createSessionTracing: there is no option ${name}: ${how.excluded}`);
    },
  );
});

describe("P10 the service by its variables", () => {
  test.for<[Environment, Record<string, string>]>([
    [{}, {}],
    [{ OTEL_SERVICE_NAME: " agent " }, { "service.name": "agent" }],
    [
      {
        OTEL_SERVICE_NAME: "agent",
        OTEL_RESOURCE_ATTRIBUTES: "service.name=other,team=data%2C%20ml, a = b ",
      },
      { "service.name": "agent", team: "data, ml", a: "b" },
    ],
    [{ OTEL_RESOURCE_ATTRIBUTES: "bad,=x,y=,z=%,u=1=2,ok=1" }, { ok: "1" }],
  ])("%o", ([env, attributes]) => {
    expect(resolveOptions({ dir: "d" }, env)).toMatchObject({ resource: { attributes } });
  });

  test("a given resource replaces the environment", () => {
    const resource = { attributes: { "service.name": "mine" } };
    const plan = resolveOptions({ dir: "d", resource }, { OTEL_SERVICE_NAME: "agent" });
    expect(plan).toMatchObject({ resource });
  });
});

test("a meter provider gets the metrics of the created components, and of no other", async () => {
  const metrics = new CollectedMetrics();
  const dir = mkdtempSync(join(tmpdir(), "tracing-options-"));
  const tracing = createSessionTracing({ dir, exporter, selfObsMeterProvider: metrics.provider });
  tracing.tracer("ses_metered").logSpan({ name: "step", startTime: 1, endTime: 2 });
  await tracing.shutdown();
  const components = new Set((await metrics.points()).map(({ type }) => type));
  expect(components).toEqual(new Set(["CrashSafeFileSpanExporter", "CrashSafeSpanProcessor"]));
  const values = await metrics.values();
  expect(values["otel.sdk.exporter.span.exported"]).toBeGreaterThan(0);
  rmSync(dir, { recursive: true });
});

describe("an invalid value is an error that names the option and the value", () => {
  const tracerProvider = new ProxyTracerProvider();
  const wrong = (user: unknown) => user as SessionTracingOptions;
  test.for<[user: SessionTracingOptions, env: Environment, message: RegExp]>([
    [{}, {}, /dir is undefined.*CRASH_SAFE_FILE_DIR/],
    [{}, { OTEL_TRACES_EXPORTER: "otlp,crash-safe-file" }, /dir is undefined.*otlp,crash-safe-file/],
    [wrong({ dir: "" }), {}, /dir is ""/],
    [wrong({ dir: 7 }), {}, /dir is 7/],
    [
      { dir: "d" },
      { OTEL_TRACES_EXPORTER: "none,otlp" },
      /OTEL_TRACES_EXPORTER is "none,otlp", .*"none" cannot be combined with other exporters/,
    ],
    [
      {},
      { OTEL_TRACES_EXPORTER: "otlp", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
      /OTEL_EXPORTER_OTLP_PROTOCOL is "grpc", and must be http\/protobuf or http\/json; for grpc/,
    ],
    [wrong({ exporter: 1 }), {}, /exporter is 1, and must be a SpanExporter/],
    [wrong({ exporters: "otlp" }), {}, /exporters is "otlp", and must be an array/],
    [
      wrong({ processors: [exporter] }),
      {},
      /one of processors is .*, and must be a SpanProcessor \(onStart, onEnd/,
    ],
    [wrong({ dir: "d", resource: 1 }), {}, /resource is 1/],
    [wrong({ tracerProvider: "global" }), {}, /tracerProvider is "global"/],
    [wrong({ selfObsMeterProvider: {} }), {}, /selfObsMeterProvider is .*, and must be a MeterProvider/],
    [
      { tracerProvider, selfObsMeterProvider: { getMeter: () => undefined as never } },
      {},
      /selfObsMeterProvider is .*but tracerProvider is given/,
    ],
    [{ tracerProvider, dir: "d" }, {}, /dir is "d", but tracerProvider is given.*CrashSafeSpanProcessor/],
    [{ exporter, redact: () => "" }, {}, /redact is .*but no documents are written without dir/],
    [{ processors: [processor], maxFiles: 3 }, {}, /maxFiles is 3, but no documents are written without dir/],
    [{ tracerProvider, redact: () => "" }, {}, /redact is .*but tracerProvider is given/],
    [{ tracerProvider, exporter }, {}, /exporter is .*but tracerProvider is given/],
    [{ tracerProvider, exporters: [exporter] }, {}, /exporters is .*but tracerProvider is given/],
    [{ tracerProvider, resource: { attributes: {} } }, {}, /resource is .*but tracerProvider is given/],
  ])("%o with %o", ([user, env, message]) => {
    expect(() => resolveOptions(user, env)).toThrow(message);
    expect(() => resolveOptions(user, env)).toThrow(CrashSafeFileError);
  });
});
