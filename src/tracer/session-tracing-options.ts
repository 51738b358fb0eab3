/**
 * Options of session tracing: what the user and the environment ask for, checked and made into one plan.
 */
import type { MeterProvider, TracerProvider } from "@opentelemetry/api";
import type { CrashSafeFileSpanExporterOptions } from "../exporter/file-exporter-options.js";
import { meterProviderOrNone } from "../otel/metrics.js";
import { type ResourceLike, resourceAttributesOf } from "../otel/resource.js";
import type { SpanExporter, SpanProcessor } from "../otel/types.js";
import { type Environment, variableOf } from "../platform/environment.js";
import { CrashSafeFileError, invalidOption, shownValue } from "../platform/errors.js";

const documentOptions = Object.freeze([
  ...["durability", "maxFiles", "maxFileAgeMillis", "maxTotalBytes", "maxSpans"],
  ...["maxValueBytes", "maxSpanBytes", "sessionIdleMillis", "redact"],
] as const);

/** How documents are written where `dir` has them written, as the file exporter takes it. */
export type DocumentOptions = Pick<
  CrashSafeFileSpanExporterOptions,
  | ("durability" | "maxFiles" | "maxFileAgeMillis" | "maxTotalBytes" | "maxSpans")
  | ("maxValueBytes" | "maxSpanBytes" | "sessionIdleMillis" | "redact")
>;

/**
 * Options of {@link createSessionTracing}. Those of documents count for documents only: what goes elsewhere is neither
 * redacted nor cut.
 *
 * As long as neither `exporter`, `exporters`, `processors` nor `tracerProvider` is given (empty arrays count as not
 * given), the environment decides where spans go: `OTEL_TRACES_EXPORTER` is a comma list of `crash-safe-file`
 * (the default), `otlp` and `console`, or `none`. If one of them is given, the variable is not read.
 */
export interface SessionTracingOptions extends DocumentOptions {
  /**
   * Directory of the trace documents. Default: the variable `CRASH_SAFE_FILE_DIR`. Beside `exporter`, `exporters` or
   * `processors`: documents are written there as well. Otherwise used when the environment asks for `crash-safe-file`.
   */
  readonly dir?: string | undefined;
  /** Any `SpanExporter`; gets a `CrashSafeSpanProcessor` of its own, so that none waits for another. */
  readonly exporter?: SpanExporter | undefined;
  /** More of them. */
  readonly exporters?: readonly SpanExporter[] | undefined;
  /** Processors as they are. With `tracerProvider`: those of them that this provider was made with. */
  readonly processors?: readonly SpanProcessor[] | undefined;
  /**
   * A provider that is there already. A provider takes its processors only when it is made, so `dir`, `exporter`,
   * `exporters`, `resource`, `selfObsMeterProvider` and the options of documents cannot go with it: make it with a
   * `CrashSafeSpanProcessor`, and name that one in `processors`, which is how sessions find their documents. It stays
   * the host's: `shutdown()` leaves it running.
   */
  readonly tracerProvider?: TracerProvider | undefined;
  /**
   * A resource of the SDK, or just `{ attributes }` to be put over the SDK's default one. Default: what
   * `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, over the default one.
   */
  readonly resource?: ResourceLike | undefined;
  /** Gets the metrics of the processors and of the file exporter that are made. Default: none are recorded. */
  readonly selfObsMeterProvider?: MeterProvider | undefined;
}

/** How spans are sent by OTLP. */
type OtlpProtocol = "http/protobuf" | "http/json";

/** @internal One exporter of a plan. */
export type PlannedExporter =
  | { readonly type: "given"; readonly exporter: SpanExporter }
  | ({ readonly type: "crash-safe-file"; readonly dir: string } & DocumentOptions)
  | { readonly type: "otlp"; readonly protocol: OtlpProtocol }
  | { readonly type: "console" };

/** @internal Options and environment in one. */
export type TracingPlan =
  | {
      readonly type: "host's";
      readonly provider: TracerProvider;
      readonly processors: readonly SpanProcessor[];
    }
  | {
      readonly type: "own";
      readonly exporters: readonly PlannedExporter[];
      readonly processors: readonly SpanProcessor[];
      readonly resource: ResourceLike;
      readonly meterProvider: MeterProvider | undefined;
    };

/**
 * @internal What is to be built.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the option or variable, its value and what is allowed.
 */
export function resolveOptions(user: SessionTracingOptions, env: Environment): TracingPlan {
  const { dir, exporter, tracerProvider, resource } = user;
  const processors = listOf("processors", user.processors);
  const given = [...(exporter === undefined ? [] : [exporter]), ...listOf("exporters", user.exporters)];
  if (dir !== undefined && (typeof dir !== "string" || dir === "")) throw invalid("dir", dir, "a path");
  for (const one of given) {
    if (!hasMethods(one, "export", "shutdown")) throw invalid("exporter", one, "a SpanExporter");
  }
  for (const one of processors) {
    if (!hasMethods(one, "onStart", "onEnd", "forceFlush", "shutdown")) {
      throw invalid("processors", one, "SpanProcessors");
    }
  }
  if (resource !== undefined && typeof resource?.attributes !== "object") {
    throw invalid("resource", resource, "a Resource, or { attributes }");
  }
  const meterProvider = meterProviderOrNone("createSessionTracing", user.selfObsMeterProvider);
  if (tracerProvider !== undefined) {
    if (!hasMethods(tracerProvider, "getTracer")) {
      throw invalid("tracerProvider", tracerProvider, "a TracerProvider");
    }
    rejectBesideProvider(user);
    return { type: "host's", provider: tracerProvider, processors };
  }
  const service = resource ?? { attributes: resourceAttributesOf(env) };
  const own = { type: "own", processors, resource: service, meterProvider } as const;
  if (given.length === 0 && processors.length === 0) {
    return { ...own, exporters: exportersOf(env, user) };
  }
  if (dir === undefined) rejectWithoutDir(user);
  const named = given.map((one) => ({ type: "given", exporter: one }) as const);
  return { ...own, exporters: dir === undefined ? named : [fileExporter(dir, user), ...named] };
}

function fileExporter(dir: string, user: SessionTracingOptions): PlannedExporter {
  const given = documentOptions.filter((option) => user[option] !== undefined);
  return {
    type: "crash-safe-file",
    dir,
    ...Object.fromEntries(given.map((option) => [option, user[option]])),
  };
}

function exportersOf(env: Environment, user: SessionTracingOptions): PlannedExporter[] {
  const variable = "OTEL_TRACES_EXPORTER";
  const text = variableOf(env, variable) ?? "crash-safe-file";
  const names = new Set(text.split(",").map((name) => name.trim().toLowerCase()));
  if (names.has("none")) {
    if (names.size > 1) throw wrongVariable(variable, text, "none goes with nothing else");
    return [];
  }
  return [...names].map((name): PlannedExporter => {
    switch (name) {
      case "crash-safe-file":
        return fileExporter(user.dir ?? variableOf(env, "CRASH_SAFE_FILE_DIR") ?? missingDir(text), user);
      case "otlp":
        return { type: name, protocol: protocolOf(env) };
      case "console":
        return { type: name };
      default:
        throw wrongVariable(
          variable,
          text,
          `${JSON.stringify(name)} is none of crash-safe-file, otlp, console, none`,
        );
    }
  });
}

function protocolOf(env: Environment): OtlpProtocol {
  for (const variable of ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
    const protocol = variableOf(env, variable);
    if (protocol === undefined) continue;
    if (protocol === "http/protobuf" || protocol === "http/json") return protocol;
    const instead =
      protocol === "grpc" ? "; for grpc pass an exporter of your own as the option exporter" : "";
    throw wrongVariable(variable, protocol, `it must be http/protobuf or http/json${instead}`);
  }
  return "http/protobuf";
}

/** A redactor that redacts nothing would be noticed too late. */
function rejectWithoutDir(user: SessionTracingOptions): void {
  for (const option of documentOptions) {
    if (user[option] === undefined) continue;
    const how = "pass dir, or give it to the exporter that you pass";
    throw new CrashSafeFileError(
      "INVALID_OPTION",
      `createSessionTracing: ${option} is ${shownValue(user[option])}, but no documents are written without dir: ${how}`,
    );
  }
}

function rejectBesideProvider(user: SessionTracingOptions): void {
  const ours = ["dir", "exporter", "exporters", "resource", "selfObsMeterProvider"] as const;
  for (const option of [...ours, ...documentOptions]) {
    const value = user[option];
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    throw new CrashSafeFileError(
      "INVALID_OPTION",
      `createSessionTracing: ${option} is ${shownValue(value)}, but tracerProvider is given too, and a provider takes its ` +
        "processors and its resource only when it is made. Make it with a processor, such as new " +
        "CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir })), and pass the same one here in processors",
    );
  }
}

function listOf<T>(option: string, value: readonly T[] | undefined): readonly T[] {
  if (value === undefined || Array.isArray(value)) return value ?? [];
  throw invalid(option, value, "an array");
}

function hasMethods(value: unknown, ...methods: string[]): boolean {
  const object = value as Record<string, unknown> | null | undefined;
  return methods.every((method) => typeof object?.[method] === "function");
}

function missingDir(text: string): never {
  throw new CrashSafeFileError(
    "INVALID_OPTION",
    `createSessionTracing: dir is undefined, and exporter ${text} needs it: pass dir, or set CRASH_SAFE_FILE_DIR, ` +
      "or set OTEL_TRACES_EXPORTER to otlp, console or none",
  );
}

function wrongVariable(variable: string, value: string, why: string): CrashSafeFileError {
  return new CrashSafeFileError("INVALID_OPTION", `${variable} is ${JSON.stringify(value)}: ${why}`);
}

const invalid = (option: string, value: unknown, allowed: string): CrashSafeFileError =>
  invalidOption("createSessionTracing", option, value, allowed);
