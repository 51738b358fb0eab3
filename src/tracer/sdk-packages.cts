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
 * What to install beside the API that is there. SDK 3.x wants API 1.10 and Node 22.15, SDK 2.x an older API. npm takes the
 * newest version that fits the running Node, so that a name alone would not do.
 */
export function advisedPackages(): AdvisedPackages {
  const isForSdk3 = apiMinor() >= 10;
  if (isForSdk3 && isNodeOfSdk3())
    return {
      sdk: "@opentelemetry/sdk-trace@3",
      otlp: (ending) => `"@opentelemetry/exporter-trace-otlp-${ending}@>=0.300"`,
    };
  return {
    sdk: `${isForSdk3 ? "@opentelemetry/api@1.9 " : ""}@opentelemetry/sdk-trace-base`,
    otlp: (ending) => `"@opentelemetry/exporter-trace-otlp-${ending}@<0.300"`,
  };
}

/** The second number of the installed API's version; 0 where it cannot be found, as in a bundle. */
function apiMinor(): number {
  try {
    const main: string = require.resolve("@opentelemetry/api").replaceAll("\\", "/");
    const packages = main.slice(0, main.lastIndexOf("/@opentelemetry/api/"));
    const { version } = require(`${packages}/@opentelemetry/api/package.json`);
    return Number(version.split(".")[1]);
  } catch {
    return 0;
  }
}

function isNodeOfSdk3(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  return major > 22 || (major === 22 && minor >= 15);
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
