/**
 * Sets up tracing for a program that has no code for it: provider, context manager, instrumentations and crash fence, as
 * the environment asks for (OpenTelemetry specification, "Environment variables").
 */
import { register as registerHooks } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isMainThread, parentPort } from "node:worker_threads";
import { type ContextManager, context, propagation, trace } from "@opentelemetry/api";
import { takeUnknownVariables } from "../exporter/file-exporter-options.js";
import { Diagnostics, unheard } from "../otel/diagnostics.js";
import { isRegistered } from "../otel/registered-api.js";
import { resourceAttributesOf } from "../otel/resource.js";
import type { SpanExporter, SpanProcessor } from "../otel/types.js";
import { allSettledOrThrow } from "../platform/async.js";
import { type Environment, environment, variableOf } from "../platform/environment.js";
import { CrashSafeFileError, shownValue } from "../platform/errors.js";
import { pathOf } from "../platform/paths.js";
import { sharedState } from "../platform/shared-state.js";
import { installCrashFence } from "../processor/crash-fence.js";
import { CrashSafeSpanProcessor } from "../processor/span-processor.js";
import { exporterOf, newProvider } from "../tracer/provider.js";
import { type PlannedExporter, plannedExporters } from "../tracer/session-tracing-options.js";
import { packageOf, placeIn } from "./program-packages.cjs";
import {
  isDisabled,
  limitsOf,
  type Propagators,
  plannedSampler,
  propagatorOf,
  type SamplerClasses,
  samplerOf,
} from "./sdk-environment.js";

const diagnostics = new Diagnostics("register");

/** One registration per thread, whatever the number of copies of this package and of ways to load it. */
const registration = sharedState("registration/1", () => ({
  isDone: false,
  processors: [] as readonly SpanProcessor[],
}));

/**
 * Ends the sessions of this thread in good order and sends what waits for a backend: for a handler of a signal, after the last
 * request is answered. Spans that end later are dropped. Does nothing where `register` traces nothing.
 *
 * @throws CrashSafeFileError rejects with `WRITE_FAILED` if a document cannot be written, `EXPORT_TIMEOUT` or
 * `EXPORT_FAILED` if a backend does not take its spans; all exporters are shut down before it rejects
 */
export async function shutdown(): Promise<void> {
  await allSettledOrThrow(registration.processors.map((processor) => processor.shutdown()));
}

/**
 * Traces this program, unless `OTEL_SDK_DISABLED` is true, or a provider is registered already. Prints one line to stderr:
 * where traces go, or why nothing is traced. Never throws: a program starts without traces rather than not at all.
 */
export function registerTracing(): void {
  // Node's own thread of module hooks, which has no parent to write to, loads what `--require` names, too.
  if (registration.isDone || (!isMainThread && parentPort === null)) return;
  registration.isDone = true;
  // Faults of a thread are of its own.
  unheard.print = (text) => process.stderr.write(`crash-safe-file: ${text}\n`);
  try {
    const env = environment();
    if (isDisabled(env, print)) {
      print("this program is not traced: OTEL_SDK_DISABLED is true");
      return;
    }
    // Taken before an exporter of documents logs them, too.
    const warnings = takeUnknownVariables(env);
    print(isRegistered("trace") ? besideProvider : setUp(env, process.cwd()));
    warnings.forEach(print);
  } catch (error) {
    print(`this program is not traced: ${messageOf(error)}`);
  }
}

const besideProvider =
  "this program has a tracer provider already, which accepts processors only when it is made. Add " +
  "new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir })) to its spanProcessors, and leave out /register";

/** Returns the line for people. */
function setUp(env: Environment, directory: string): string {
  const made = chosenExporters(withDefaults(env)).flatMap((planned) => {
    const exporter = tryExporter(planned);
    return exporter ? [{ planned, exporter }] : [];
  });
  const processors = made.map(({ exporter }) => new CrashSafeSpanProcessor(exporter));
  const NodeSdk = packageOf(directory, "@opentelemetry/sdk-node")?.NodeSDK as NodeSdkClass | undefined;
  if (NodeSdk) startNodeSdk(NodeSdk, processors, env, directory);
  else startProvider(processors, env, directory);
  for (const processor of processors) installCrashFence(processor);
  registration.processors = processors;
  const places = made.map(({ planned }) => placeOf(planned, env));
  if (places.length === 0) return "spans of this program go nowhere (OTEL_TRACES_EXPORTER is none)";
  const hasDocuments = made.some(({ planned: { type } }) => type === "crash-safe-file");
  return `traces go ${places.join(", and ")}${hasDocuments ? "" : "; no documents are written (OTEL_TRACES_EXPORTER)"}`;
}

/** Documents in `traces`, and OTLP beside them where the environment has an endpoint. */
function withDefaults(env: Environment): Environment {
  const exporters = endpointOf(env) === undefined ? "crash-safe-file" : "crash-safe-file,otlp";
  return {
    ...env,
    CRASH_SAFE_FILE_DIR: variableOf(env, "CRASH_SAFE_FILE_DIR") ?? "traces",
    OTEL_TRACES_EXPORTER: variableOf(env, "OTEL_TRACES_EXPORTER") ?? exporters,
  };
}

const endpointOf = (env: Environment): string | undefined =>
  variableOf(env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") ?? variableOf(env, "OTEL_EXPORTER_OTLP_ENDPOINT");

/** The endpoint that an OTLP exporter takes: one that is no URL is ignored there. */
function usableEndpointOf(env: Environment): string | undefined {
  const endpoint = endpointOf(env);
  if (endpoint === undefined || URL.canParse(endpoint)) return endpoint;
  print(
    `the endpoint of OTLP is ${shownValue(endpoint)}, which is ignored: it must be a URL, such as http://localhost:4318`,
  );
  return undefined;
}

/** The exporters that the environment asks for. A variable with an invalid value costs all but the documents. */
function chosenExporters(env: Environment): readonly PlannedExporter[] {
  try {
    const { exporters, warnings } = plannedExporters(env, {}, "register");
    warnings.forEach(print);
    return exporters;
  } catch (error) {
    print(messageOf(error));
    return plannedExporters({ ...env, OTEL_TRACES_EXPORTER: "crash-safe-file" }, {}).exporters;
  }
}

/** An exporter whose package is missing costs only itself. */
function tryExporter(planned: PlannedExporter): SpanExporter | undefined {
  try {
    return exporterOf(planned, {});
  } catch (error) {
    if (planned.type === "crash-safe-file") throw error;
    print(messageOf(error));
    return undefined;
  }
}

function placeOf(planned: PlannedExporter, env: Environment): string {
  switch (planned.type) {
    case "crash-safe-file":
      return `to ${resolve(pathOf(planned.dir) ?? "")}, one JSON document per session`;
    case "otlp":
      return `by OTLP to ${usableEndpointOf(env) ?? "localhost"}`;
    case "console":
    case "given":
      return "to the console";
  }
}

/** What is used of `NodeSDK`, in both SDK lines. */
type NodeSdkClass = new (options: object) => { start(): void };

/** With its detectors of resources, propagators, context manager and samplers, and all instrumentations if installed. */
function startNodeSdk(
  NodeSdk: NodeSdkClass,
  spanProcessors: readonly SpanProcessor[],
  env: Environment,
  directory: string,
): void {
  const instrumentations = packageOf(directory, "@opentelemetry/auto-instrumentations-node");
  const instrument = instrumentations?.getNodeAutoInstrumentations as (() => unknown) | undefined;
  if (instrument) hookModules(directory);
  // NodeSDK reads the variables itself, and logs an invalid value to a logger that a program without code does not have.
  plannedSampler(env, print);
  new NodeSdk({
    spanProcessors,
    spanLimits: limitsOf(env, print),
    instrumentations: instrument ? [instrument()] : [],
    // By default the SDK sends logs to a collector on this machine.
    ...(variableOf(env, "OTEL_LOGS_EXPORTER") === undefined && { logRecordProcessors: [] }),
  }).start();
}

/** ES modules are instrumented as they are loaded. Bun and programs without this hook have only `require` traced. */
function hookModules(directory: string): void {
  try {
    registerHooks?.("@opentelemetry/instrumentation/hook.mjs", pathToFileURL(placeIn(directory)));
  } catch (error) {
    diagnostics.log("warn", "ES modules are not instrumented", error);
  }
}

/** An SDK without `NodeSDK`: its provider, and what else is installed. */
function startProvider(processors: readonly SpanProcessor[], env: Environment, directory: string): void {
  const Manager = packageOf(directory, "@opentelemetry/context-async-hooks")
    ?.AsyncLocalStorageContextManager as (new () => ContextManager) | undefined;
  if (Manager) context.setGlobalContextManager(new Manager().enable());
  else print("spans have no parents: npm install @opentelemetry/context-async-hooks");
  const core = packageOf(directory, "@opentelemetry/core") as Propagators | undefined;
  const propagator = core && propagatorOf(env, core, print);
  if (propagator) propagation.setGlobalPropagator(propagator);
  const sdk =
    packageOf(directory, "@opentelemetry/sdk-trace") ?? packageOf(directory, "@opentelemetry/sdk-trace-base");
  // Without an SDK, `newProvider` throws what to install.
  const sampler = sdk && samplerOf(env, sdk as unknown as SamplerClasses, print);
  const resource = { attributes: resourceAttributesOf(env) };
  const more = { spanLimits: limitsOf(env, print), ...(sampler && { sampler }) };
  trace.setGlobalTracerProvider(newProvider(processors, resource, more));
}

const messageOf = (error: unknown): string =>
  error instanceof CrashSafeFileError ? error.message : String((error as Error)?.stack ?? error);

/** A worker thread has a provider of its own, and the directory of its process, which the main thread has printed. */
function print(message: string): void {
  if (isMainThread) process.stderr.write(`crash-safe-file: ${message}\n`);
}
