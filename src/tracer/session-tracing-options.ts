/**
 * Options of session tracing: those of the program and the environment, checked and combined into one plan.
 */
import type { MeterProvider, TracerProvider } from "@opentelemetry/api";
import {
  type DocumentOptions,
  documentOptionNames,
  exporterOptions,
} from "../exporter/file-exporter-options.js";
import { meterProvider } from "../otel/metrics.js";
import { type ResourceLike, resourceAttributesOf } from "../otel/resource.js";
import type { SpanExporter, SpanProcessor } from "../otel/types.js";
import { type Environment, variableOf } from "../platform/environment.js";
import { CrashSafeFileError, invalidOption, shownValue } from "../platform/errors.js";
import { checked, hasMethods, type OptionCheck, rejectUnknownOptions } from "../platform/options.js";
import { isPath, type PathLike } from "../platform/paths.js";

export type { DocumentOptions } from "../exporter/file-exporter-options.js";

/**
 * Options of {@link createSessionTracing}. The options of documents have an effect on documents only: spans that go to
 * other exporters are neither redacted nor cut.
 *
 * If none of `exporter`, `exporters`, `processors` and `tracerProvider` is given (an empty array counts as not given),
 * the environment decides where spans go: `OTEL_TRACES_EXPORTER` is a comma list of `crash-safe-file` (the default),
 * `otlp` and `console`, or `none`; `crash-safe-file,otlp` writes documents and sends spans to a backend. If one of the
 * options is given, the variable is not read.
 */
export interface SessionTracingOptions extends DocumentOptions {
  /**
   * Directory of the trace documents. Together with `exporter`, `exporters` or `processors`, documents are written as
   * well. Without them, the directory is used if the environment selects `crash-safe-file`; its default is then the
   * variable `CRASH_SAFE_FILE_DIR`. `OTEL_TRACES_EXPORTER=otlp` writes no documents, which is logged.
   */
  readonly dir?: PathLike | undefined;
  /** Any `SpanExporter`. Each exporter gets its own `CrashSafeSpanProcessor`, so that no exporter waits for another. */
  readonly exporter?: SpanExporter | undefined;
  /** More exporters. */
  readonly exporters?: readonly SpanExporter[] | undefined;
  /** Further processors. With `tracerProvider`: the processors of that provider. */
  readonly processors?: readonly SpanProcessor[] | undefined;
  /**
   * An existing provider. A provider accepts processors only when it is made, so `dir`, `exporter`, `exporters`,
   * `resource`, `selfObsMeterProvider` and the options of documents cannot be combined with it: make the provider with a
   * `CrashSafeSpanProcessor`, and pass that processor in `processors`, so that sessions find their documents.
   * `shutdown()` does not end the provider.
   */
  readonly tracerProvider?: TracerProvider | undefined;
  /**
   * A resource of the SDK, or `{ attributes }`, which are merged over the default resource of the SDK. Default: the
   * attributes of `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
   */
  readonly resource?: ResourceLike | undefined;
  /** Receives the metrics of the processors and the file exporter that are made. Default: none are recorded. */
  readonly selfObsMeterProvider?: MeterProvider | undefined;
}

type OwnOption = Exclude<keyof SessionTracingOptions, keyof DocumentOptions>;

/** Whether an option that is not one of documents can be combined with `tracerProvider`. */
const ownOptions: Readonly<Record<OwnOption, "any provider" | "own provider">> = {
  dir: "own provider",
  exporter: "own provider",
  exporters: "own provider",
  processors: "any provider",
  tracerProvider: "any provider",
  resource: "own provider",
  selfObsMeterProvider: "own provider",
};

const ownNames = Object.keys(ownOptions) as OwnOption[];

/** Options of the file exporter that session tracing does not have, and why. */
const excludedOptions: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(exporterOptions).flatMap(([name, { sessionTracing }]) =>
    typeof sessionTracing === "string" ? [] : [[name, sessionTracing.excluded]],
  ),
);

/** How spans are sent by OTLP. */
type OtlpProtocol = "http/protobuf" | "http/json";

/** @internal One exporter of a plan. */
export type PlannedExporter =
  | { readonly type: "given"; readonly exporter: SpanExporter }
  | ({ readonly type: "crash-safe-file"; readonly dir: PathLike } & DocumentOptions)
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
      /** What the environment asks for and does not get, for the log. */
      readonly warnings: readonly string[];
    };

/**
 * @internal The plan of a session tracing.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the option or variable, its value and what is allowed
 */
export function resolveOptions(user: SessionTracingOptions, env: Environment): TracingPlan {
  rejectUnknownOptions(component, user, [...ownNames, ...documentOptionNames], excludedOptions);
  const { exporter, tracerProvider, resource } = user;
  const dir = checked(component, "dir", user.dir, isPathIfAny);
  const processors = listOf("processors", user.processors);
  const given = [...(exporter === undefined ? [] : [exporter]), ...listOf("exporters", user.exporters)];
  for (const one of given) {
    if (!hasMethods(one, "export", "shutdown"))
      throw invalid("exporter", one, "a SpanExporter (export, shutdown)");
  }
  for (const one of processors) {
    if (!hasMethods(one, "onStart", "onEnd", "forceFlush", "shutdown")) {
      throw invalid("one of processors", one, "a SpanProcessor (onStart, onEnd, forceFlush, shutdown)");
    }
  }
  if (resource !== undefined && typeof resource?.attributes !== "object") {
    throw invalid("resource", resource, "a Resource, or { attributes }");
  }
  const meters = checked(component, "selfObsMeterProvider", user.selfObsMeterProvider, meterProvider);
  if (tracerProvider !== undefined) {
    if (!hasMethods(tracerProvider, "getTracer")) {
      throw invalid("tracerProvider", tracerProvider, "a TracerProvider");
    }
    rejectBesideProvider(user);
    return { type: "host's", provider: tracerProvider, processors };
  }
  const service = resource ?? { attributes: resourceAttributesOf(env) };
  const own = { type: "own", processors, resource: service, meterProvider: meters, warnings: [] } as const;
  if (given.length === 0 && processors.length === 0) return { ...own, ...plannedExporters(env, user) };
  if (dir === undefined) rejectWithoutDir(user);
  const named = given.map((one) => ({ type: "given", exporter: one }) as const);
  return { ...own, exporters: dir === undefined ? named : [fileExporter(dir, user), ...named] };
}

const component = "createSessionTracing";

const isPathIfAny: OptionCheck<PathLike | undefined> = {
  ...isPath,
  accepts: (value): value is PathLike | undefined => value === undefined || isPath.accepts(value),
};

function fileExporter(dir: PathLike, user: SessionTracingOptions): PlannedExporter {
  const given = documentOptionNames.filter((option) => user[option] !== undefined);
  return {
    type: "crash-safe-file",
    dir,
    ...Object.fromEntries(given.map((option) => [option, user[option]])),
  };
}

/** @internal The exporters that the environment asks for, and what it asks for in vain. */
interface ExporterChoice {
  readonly exporters: readonly PlannedExporter[];
  readonly warnings: readonly string[];
}

const exporterNames = ["crash-safe-file", "otlp", "console", "none"] as const;
type ExporterName = (typeof exporterNames)[number];
const isKnown = (name: string): name is ExporterName => exporterNames.some((one) => one === name);

/** Where exporters are chosen by the environment. */
interface Asked {
  readonly env: Environment;
  readonly user: SessionTracingOptions;
  /** The component, for messages. */
  readonly by: string;
  readonly warnings: string[];
}

/**
 * @internal The exporters of `OTEL_TRACES_EXPORTER`. A name that is unknown is ignored and logged, as the specification
 * asks for ("Environment variables", enum values).
 *
 * @param by the component, for messages
 * @throws CrashSafeFileError `INVALID_OPTION`
 */
export function plannedExporters(
  env: Environment,
  user: SessionTracingOptions,
  by: string = component,
): ExporterChoice {
  const variable = "OTEL_TRACES_EXPORTER";
  const given = (variableOf(env, variable) ?? "").split(",").map((name) => name.trim());
  const warnings = [...new Set(given)]
    .filter((name) => name !== "" && !isKnown(name.toLowerCase()))
    .map(
      (name) =>
        `${variable} names ${shownValue(name)}, which is ignored: the exporters are ${exporterNames.join(", ")}; ` +
        "pass any other one in the option exporter",
    );
  const known = [...new Set(given.map((name) => name.toLowerCase()))].filter(isKnown);
  const text = known.join(",");
  const asked = { env, user, by, warnings };
  const exporters = exportersOf(known.length > 0 ? known : ["crash-safe-file"], asked);
  if (user.dir !== undefined && known.length > 0 && !known.includes("crash-safe-file"))
    warnings.push(
      `${variable} is ${text}, so no documents are written to ${shownValue(user.dir)}: set it to ` +
        `${known.includes("none") ? "crash-safe-file" : `crash-safe-file,${text}`} for documents`,
    );
  return { exporters, warnings };
}

function exportersOf(names: readonly ExporterName[], asked: Asked): PlannedExporter[] {
  const text = names.join(",");
  if (names.includes("none") && names.length > 1)
    throw invalidOption(
      asked.by,
      "OTEL_TRACES_EXPORTER",
      text,
      'another list: "none" cannot be combined with other exporters',
    );
  return names.filter((name) => name !== "none").map((name) => exporterNamed(name, text, asked));
}

function exporterNamed(name: Exclude<ExporterName, "none">, text: string, asked: Asked): PlannedExporter {
  const { env, user } = asked;
  switch (name) {
    case "crash-safe-file":
      return fileExporter(user.dir ?? variableOf(env, "CRASH_SAFE_FILE_DIR") ?? missingDir(text), user);
    case "otlp":
      return { type: name, protocol: protocolOf(asked) };
    case "console":
      return { type: name };
  }
}

/** A protocol that is unknown is ignored and logged. `grpc` is known, and this package has no exporter for it. */
function protocolOf({ env, by, warnings }: Asked): OtlpProtocol {
  const allowed = "http/protobuf or http/json";
  for (const variable of ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
    const text = variableOf(env, variable);
    if (text === undefined) continue;
    const protocol = text.toLowerCase();
    if (protocol === "http/protobuf" || protocol === "http/json") return protocol;
    if (protocol === "grpc")
      throw invalidOption(
        by,
        variable,
        text,
        `${allowed}; for grpc, pass an exporter in the option exporter`,
      );
    warnings.push(`${variable} is ${shownValue(text)}, which is ignored: it must be ${allowed}`);
  }
  return "http/protobuf";
}

/** A redactor without an effect would be noticed only after it was needed. */
function rejectWithoutDir(user: SessionTracingOptions): void {
  for (const option of documentOptionNames) {
    if (user[option] === undefined) continue;
    const how = "pass dir, or give the option to the exporter that you pass";
    throw new CrashSafeFileError(
      "INVALID_OPTION",
      `${component}: ${option} is ${shownValue(user[option])}, but no documents are written without dir: ${how}`,
    );
  }
}

function rejectBesideProvider(user: SessionTracingOptions): void {
  const ours = ownNames.filter((name) => ownOptions[name] === "own provider");
  for (const option of [...ours, ...documentOptionNames]) {
    const value = user[option];
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    throw new CrashSafeFileError(
      "INVALID_OPTION",
      `${component}: ${option} is ${shownValue(value)}, but tracerProvider is given too, and a provider accepts ` +
        "processors and a resource only when it is made. Make the provider with a processor, such as new " +
        "CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir })), and pass that processor here in processors",
    );
  }
}

function listOf<T>(option: string, value: readonly T[] | undefined): readonly T[] {
  if (value === undefined || Array.isArray(value)) return value ?? [];
  throw invalid(option, value, "an array");
}

function missingDir(text: string): never {
  throw new CrashSafeFileError(
    "INVALID_OPTION",
    `${component}: dir is undefined, and exporter ${text} needs it: pass dir, or set CRASH_SAFE_FILE_DIR, ` +
      "or set OTEL_TRACES_EXPORTER to otlp, console or none",
  );
}

const invalid = (option: string, value: unknown, allowed: string): CrashSafeFileError =>
  invalidOption(component, option, value, allowed);
