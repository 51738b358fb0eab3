/**
 * Loads the OpenTelemetry SDK and the OTLP exporters. No other file does.
 *
 * They are optional peers, and this package is loaded with `import` and with `require`. So this file loads them
 * synchronously, only when an option asks for them. The file is CommonJS in the sources; the build makes an ES module of it,
 * too, and leaves each `require` as it is. The file imports no other source file, since those are ES modules.
 *
 * A `require` with a literal name inside `try` is for esbuild and Bun: they put the package into the bundle, and accept a
 * package that is missing. webpack would log a warning for a missing package, so webpack never sees the names. An ES module
 * that runs without a bundler has no `require`. In both cases {@link requireHere} looks the package up at run time.
 */
// The default export: webpack would read calls of `createRequire`, and log a warning about what is no literal.
import nodeModule from "node:module";

/** webpack replaces `typeof __webpack_require__` by a constant, and drops the branch that never runs. */
declare const __webpack_require__: unknown;

/** Requires a package from this file, else from the program, which may be a bundle far from its sources. */
function requireHere(name: string): never {
  let missing: unknown;
  for (const place of [__filename, process.argv[1]]) {
    try {
      return nodeModule.createRequire(place as string)(name) as never;
    } catch (error) {
      missing ??= error;
    }
  }
  throw missing;
}

/** The classes of an SDK that are used, under one name for both SDK lines. */
export interface Sdk {
  readonly Provider: new (options: object) => object;
  readonly ConsoleSpanExporter: new () => object;
}

/** What is used of the two packages of the SDK. */
interface SdkExports {
  readonly TracerProvider: Sdk["Provider"];
  readonly BasicTracerProvider: Sdk["Provider"];
  readonly ConsoleSpanExporter: Sdk["ConsoleSpanExporter"];
}

/** The SDK: `sdk-trace` (from 2.9 on, and 3.x), else `sdk-trace-base` (2.x). Throws what `require` throws. */
export function requireSdk(): Sdk {
  try {
    const { TracerProvider, ConsoleSpanExporter } = sdkTrace();
    return { Provider: TracerProvider, ConsoleSpanExporter };
  } catch {
    const { BasicTracerProvider, ConsoleSpanExporter } = sdkTraceBase();
    return { Provider: BasicTracerProvider, ConsoleSpanExporter };
  }
}

function sdkTrace(): SdkExports {
  if (typeof __webpack_require__ !== "function") {
    try {
      return require("@opentelemetry/sdk-trace");
    } catch {
      // Look the package up.
    }
  }
  return requireHere("@opentelemetry/sdk-trace");
}

function sdkTraceBase(): SdkExports {
  if (typeof __webpack_require__ !== "function") {
    try {
      return require("@opentelemetry/sdk-trace-base");
    } catch {
      // Look the package up.
    }
  }
  return requireHere("@opentelemetry/sdk-trace-base");
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
    const lookUp = nodeModule.createRequire(__filename);
    const main: string = lookUp.resolve("@opentelemetry/api").replaceAll("\\", "/");
    const packages = main.slice(0, main.lastIndexOf("/@opentelemetry/api/"));
    const { version } = lookUp(`${packages}/@opentelemetry/api/package.json`);
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

interface OtlpExports {
  readonly OTLPTraceExporter: OtlpExporter;
}

/** The class of an OTLP exporter, by protocol. Throws what `require` throws. */
export const requireOtlpExporter = (protocol: "http/protobuf" | "http/json"): OtlpExporter =>
  (protocol === "http/json" ? otlpHttp() : otlpProto()).OTLPTraceExporter;

function otlpHttp(): OtlpExports {
  if (typeof __webpack_require__ !== "function") {
    try {
      return require("@opentelemetry/exporter-trace-otlp-http");
    } catch {
      // Look the package up.
    }
  }
  return requireHere("@opentelemetry/exporter-trace-otlp-http");
}

function otlpProto(): OtlpExports {
  if (typeof __webpack_require__ !== "function") {
    try {
      return require("@opentelemetry/exporter-trace-otlp-proto");
    } catch {
      // Look the package up.
    }
  }
  return requireHere("@opentelemetry/exporter-trace-otlp-proto");
}
