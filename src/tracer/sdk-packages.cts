/**
 * Loads the OpenTelemetry SDK and the OTLP exporters. No other file does.
 *
 * They are optional peers, and this package is loaded with `import` and with `require`. So this file loads them with
 * `require`, only when an option asks for them. The file is CommonJS in the sources, too. Each `require` has a literal
 * name and is inside `try`, which bundlers treat as optional. The file imports no other source file, since those are ES
 * modules.
 */

/** The classes of an SDK that are used, under one name for both SDK lines. */
export interface Sdk {
  readonly Provider: new (options: object) => object;
  readonly ConsoleSpanExporter: new () => object;
}

/** The SDK: `sdk-trace` (from 2.9 on, and 3.x), else `sdk-trace-base` (2.x). Throws what `require` throws. */
export function requireSdk(): Sdk {
  try {
    const { TracerProvider, ConsoleSpanExporter } = require("@opentelemetry/sdk-trace");
    return { Provider: TracerProvider, ConsoleSpanExporter };
  } catch {
    // Try the older package.
  }
  let missing: unknown;
  try {
    const { BasicTracerProvider, ConsoleSpanExporter } = require("@opentelemetry/sdk-trace-base");
    return { Provider: BasicTracerProvider, ConsoleSpanExporter };
  } catch (error) {
    missing = error;
  }
  // Outside of the catch block: esbuild would not treat the package as optional.
  throw missing;
}

/** The packages of one SDK line, as `npm install` takes them beside the installed version of `@opentelemetry/api`. */
export interface AdvisedPackages {
  readonly sdk: string;
  /** The package of an OTLP exporter with this ending of its name. */
  otlp(ending: "http" | "proto"): string;
}

/**
 * What to install beside the API that is there. API 1.10 belongs to SDK 3.x, which refuses older ones; SDK 2.x refuses
 * API 1.10. Where both fit, or the API cannot be found, SDK 2.x is advised, which runs on every supported Node.
 */
export function advisedPackages(): AdvisedPackages {
  let minor = 0;
  try {
    const main: string = require.resolve("@opentelemetry/api");
    const root = main.slice(0, main.replaceAll("\\", "/").lastIndexOf("/@opentelemetry/api/"));
    const { version } = require(`${root}/@opentelemetry/api/package.json`);
    minor = Number(version.split(".")[1]);
  } catch {
    // Bundled: nothing can be resolved.
  }
  if (minor >= 10)
    return {
      sdk: "@opentelemetry/sdk-trace",
      otlp: (ending) => `@opentelemetry/exporter-trace-otlp-${ending}`,
    };
  return {
    sdk: "@opentelemetry/sdk-trace-base",
    otlp: (ending) => `"@opentelemetry/exporter-trace-otlp-${ending}@<0.300"`,
  };
}

/** The constructor of an OTLP exporter. What the options lack, the exporter reads from the environment. */
export type OtlpExporter = new (options?: {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}) => object;

/** The class of an OTLP exporter, by protocol. Throws what `require` throws. */
export function requireOtlpExporter(protocol: "http/protobuf" | "http/json"): OtlpExporter {
  let found: { readonly OTLPTraceExporter: OtlpExporter } | undefined;
  let missing: unknown;
  try {
    if (protocol === "http/json") found = require("@opentelemetry/exporter-trace-otlp-http");
    else found = require("@opentelemetry/exporter-trace-otlp-proto");
  } catch (error) {
    missing = error;
  }
  if (found === undefined) throw missing;
  return found.OTLPTraceExporter;
}
