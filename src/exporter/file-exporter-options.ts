/**
 * Options of the file exporter: one table gives for each option its check, its default, its environment variable, and
 * whether session tracing passes the option on.
 */
import type { MeterProvider } from "@opentelemetry/api";
import type { WithoutSession } from "../format/unnamed-policy.js";
import { Diagnostics } from "../otel/diagnostics.js";
import { meterProvider } from "../otel/metrics.js";
import type { Environment } from "../platform/environment.js";
import {
  limitOrZero,
  nearestName,
  numberVariable,
  type OptionSpec,
  optional,
  rejectUnknownOptions,
  resolveOption,
  wholeNumber,
} from "../platform/options.js";
import { isPath, type PathLike, pathOf } from "../platform/paths.js";
import { sharedState } from "../platform/shared-state.js";
import type { Durability } from "../storage/durability.js";
import type { Redact } from "./content-filter.js";
import { redactSecrets } from "./redact-secrets.js";
import type { SessionIdOption } from "./session-router.js";

/**
 * Options of {@link CrashSafeFileSpanExporter}. An option that the program does not give comes from its environment
 * variable, if it has one (`maxFiles`: `CRASH_SAFE_FILE_MAX_FILES`), else it has its default. `sessionId` and
 * `selfObsMeterProvider` have no variable; that of `redact` allows `secrets` only.
 */
export interface CrashSafeFileSpanExporterOptions {
  /**
   * Directory of the trace documents; created (0700) with the first session. Required, here or as a variable. `~/` stands
   * for the home directory, as in a shell; a `file:` URL is accepted, too. A program that restarts when files change
   * (nodemon, `node --watch-path`) must not watch this directory: each document would restart the program.
   */
  readonly dir?: PathLike | undefined;
  /**
   * What survives a power cut. `process` (default): an intact document, older or newer; if only the process dies,
   * everything recorded survives. `interval`: all but the last second. `each`: every span, at the cost of one disk sync
   * per span.
   */
  readonly durability?: Durability | undefined;
  /**
   * Number of documents to keep in `dir`; documents in use stay. Those of traces that name no session are removed first,
   * then the oldest. 0: all. Default: all documents of named sessions, and 1,000 of traces that name no session.
   */
  readonly maxFiles?: number | undefined;
  /** Longest time since a document was last written, in milliseconds. Documents in use stay. Default 0: no limit. */
  readonly maxFileAgeMillis?: number | undefined;
  /**
   * Total size of the documents in `dir`, in bytes. Removed in the order of `maxFiles`; documents in use stay. The side
   * files of running sessions are not counted. 0: no limit. Default: no limit for named sessions, and 256,000,000 for
   * traces that name no session.
   */
  readonly maxTotalBytes?: number | undefined;
  /**
   * Longest text anywhere in the content of a span, in bytes of UTF-8. A longer text is cut, and ends in a marker with
   * the number of missing bytes: `…[123456 bytes cut]`. Default 16,000,000: more than the largest context of a model in
   * any script, or a photo in base64, and recorded in about 100 ms. 0: no limit; else at least 1000.
   */
  readonly maxValueBytes?: number | undefined;
  /**
   * Largest record of a span as JSON, in bytes. In a larger record the texts are cut until it fits. Default 32,000,000:
   * the size of the queue in memory while writing to the disk fails. 0: no limit; else at least 10,000.
   */
  readonly maxSpanBytes?: number | undefined;
  /**
   * Number of spans to keep per document: the first 30 % and the last ones, with a marker between them. A crashed
   * document may hold twice as many, because neither a fence nor a recovery leaves spans out, and more if a process that
   * resumed the session ended it before the dead one was recovered. While several processes write to one session, all their
   * spans are kept. Totals count all spans. Default 0: all; else at least 10.
   */
  readonly maxSpans?: number | undefined;
  /** Milliseconds after which a session without open spans is ended; a later span resumes it. Default 1,800,000. */
  readonly sessionIdleMillis?: number | undefined;
  /**
   * What becomes of a trace whose spans name no session. `trace` (default): one document per trace, named by the trace id;
   * it appears when the last open span ends, or after 5 seconds. `process`: one document per run of the program, named by
   * `service.name`, start time and process number. `drop`: no document; the spans are counted as dropped. The first
   * exporter on a directory decides.
   */
  readonly withoutSession?: WithoutSession | undefined;
  /** Receives every content value before it is written to any file. Default: none. */
  readonly redact?: Redact | undefined;
  /** Names the session of a span. Default, and where it returns `undefined`: the attributes of the span. */
  readonly sessionId?: SessionIdOption | undefined;
  /** Receives the metrics of this exporter (semantic conventions, "OTel SDK metrics"). Default: none are recorded. */
  readonly selfObsMeterProvider?: MeterProvider | undefined;
}

type Name = keyof CrashSafeFileSpanExporterOptions;

/** Options of documents: session tracing passes these on to the file exporter that it makes. */
export type DocumentOptions = Omit<
  CrashSafeFileSpanExporterOptions,
  "dir" | "withoutSession" | "sessionId" | "selfObsMeterProvider"
>;

/** How session tracing treats an option: passes it on, has an option of this name itself, or has none, and why. */
type InSessionTracing<N extends Name> = N extends keyof DocumentOptions
  ? "passed on"
  : "own option" | { readonly excluded: string };

type Table = {
  readonly [N in Name]-?: OptionSpec<CrashSafeFileSpanExporterOptions[N]> & {
    readonly sessionTracing: InSessionTracing<N>;
  };
};

const passedOn = { sessionTracing: "passed on" } as const;

const isFunction = <F>(): Pick<OptionSpec<F | undefined>, "allowed" | "accepts"> => ({
  allowed: "a function",
  accepts: (value): value is F | undefined => value === undefined || typeof value === "function",
});

const policies: readonly unknown[] = ["trace", "process", "drop"] satisfies WithoutSession[];
const levels: readonly unknown[] = ["process", "interval", "each"] satisfies Durability[];

/** @internal Every option of the exporter. */
export const exporterOptions = {
  dir: {
    ...isPath,
    required: "pass { dir }, or set CRASH_SAFE_FILE_DIR",
    variable: { name: "CRASH_SAFE_FILE_DIR" },
    sessionTracing: "own option",
  },
  durability: {
    allowed: '"process", "interval" or "each"',
    accepts: (value): value is Durability => levels.includes(value),
    default: "process",
    variable: { name: "CRASH_SAFE_FILE_DURABILITY" },
    ...passedOn,
  },
  maxFiles: {
    ...optional(wholeNumber(0)),
    variable: numberVariable("CRASH_SAFE_FILE_MAX_FILES"),
    ...passedOn,
  },
  maxFileAgeMillis: {
    ...wholeNumber(0),
    default: 0,
    variable: numberVariable("CRASH_SAFE_FILE_MAX_FILE_AGE_MILLIS"),
    ...passedOn,
  },
  maxTotalBytes: {
    ...optional(wholeNumber(0)),
    variable: numberVariable("CRASH_SAFE_FILE_MAX_TOTAL_BYTES"),
    ...passedOn,
  },
  maxValueBytes: {
    ...limitOrZero(1_000),
    default: 16_000_000,
    variable: numberVariable("CRASH_SAFE_FILE_MAX_VALUE_BYTES"),
    ...passedOn,
  },
  maxSpanBytes: {
    ...limitOrZero(10_000),
    default: 32_000_000,
    variable: numberVariable("CRASH_SAFE_FILE_MAX_SPAN_BYTES"),
    ...passedOn,
  },
  maxSpans: {
    // A head, a marker, a tail and the session span.
    ...limitOrZero(10),
    default: 0,
    variable: numberVariable("CRASH_SAFE_FILE_MAX_SPANS"),
    ...passedOn,
  },
  sessionIdleMillis: {
    ...wholeNumber(1),
    default: 1_800_000,
    variable: numberVariable("CRASH_SAFE_FILE_SESSION_IDLE_MILLIS"),
    ...passedOn,
  },
  withoutSession: {
    allowed: '"trace", "process" or "drop"',
    accepts: (value): value is WithoutSession => policies.includes(value),
    default: "trace",
    variable: { name: "CRASH_SAFE_FILE_WITHOUT_SESSION" },
    sessionTracing: { excluded: "a session tracer names the session of each of its spans" },
  },
  redact: {
    ...isFunction<Redact>(),
    allowed: "a function of a value and its field, such as redactSecrets(), with its parentheses",
    accepts: (value): value is Redact | undefined =>
      isFunction<Redact>().accepts(value) && (value as unknown) !== redactSecrets,
    variable: {
      name: "CRASH_SAFE_FILE_REDACT",
      parse: (text) => (text === "secrets" ? redactSecrets() : text),
      allowed: '"secrets"',
    },
    ...passedOn,
  },
  sessionId: {
    ...isFunction<SessionIdOption>(),
    sessionTracing: { excluded: "a session tracer names the session of each of its spans" },
  },
  selfObsMeterProvider: { ...meterProvider, sessionTracing: "own option" },
} as const satisfies Table;

const names = Object.keys(exporterOptions) as Name[];

/** @internal The options of documents, by name. */
export const documentOptionNames = names.filter(
  (name) => exporterOptions[name].sessionTracing === "passed on",
) as (keyof DocumentOptions)[];

type ValueOf<S> = S extends { readonly accepts: (value: unknown) => value is infer T } ? T : never;

/** @internal Checked options with their defaults. */
export type ResolvedExporterOptions = {
  readonly [N in Exclude<Name, "dir">]: ValueOf<(typeof exporterOptions)[N]>;
} & { readonly dir: string };

/**
 * @internal The options of the program over the environment over the defaults.
 *
 * An invalid variable is an error, as an invalid option is, although the OpenTelemetry specification asks to ignore it:
 * these variables decide how much is lost and how much is kept, and a typo that was silently ignored would be noticed
 * only after data was lost.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the option or variable, its value and what is allowed
 */
export function resolveExporterOptions(
  user: CrashSafeFileSpanExporterOptions,
  env: Environment = {},
  component = "CrashSafeFileSpanExporter",
): ResolvedExporterOptions {
  rejectUnknownOptions(component, user, names);
  const resolved = names.map((name) => {
    const spec: OptionSpec<unknown> = exporterOptions[name];
    const value = resolveOption(component, name, spec, user?.[name], env);
    return [name, name === "dir" ? pathOf(value) : value];
  });
  return Object.fromEntries(resolved) as ResolvedExporterOptions;
}

/** @internal The members of an object that are options. */
export function knownExporterOptions(given: object): CrashSafeFileSpanExporterOptions {
  return Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(exporterOptions, name)));
}

/** @internal The error with which a caller ends a session. An option that does not exist would lose it. */
export function endErrorOf(options: { readonly error?: string | undefined } | null): string | undefined {
  rejectUnknownOptions("endSession", options, ["error"]);
  return options?.error;
}

const diagnostics = new Diagnostics("CrashSafeFileSpanExporter");
const prefix = "CRASH_SAFE_FILE_";
const reportedVariables = sharedState("reported-variables/1", () => new Set<string>());

/** @internal Logs each variable of our namespace that does not exist, once per process. */
export function reportUnknownVariables(env: Environment): void {
  for (const message of takeUnknownVariables(env)) diagnostics.log("warn", message);
}

/** @internal The messages that no caller has taken yet: each is to be reported once per process. */
export function takeUnknownVariables(env: Environment): string[] {
  const messages = unknownVariables(env).filter((message) => !reportedVariables.has(message));
  for (const message of messages) reportedVariables.add(message);
  return messages;
}

/** A message for each variable of our namespace that does not exist, or that is blank. */
function unknownVariables(env: Environment): string[] {
  const known = Object.values(exporterOptions).flatMap((spec) =>
    "variable" in spec ? [spec.variable.name as string] : [],
  );
  return Object.keys(env)
    .filter((variable) => variable.startsWith(prefix))
    .flatMap((variable) => {
      // An empty text unsets a variable (OpenTelemetry specification, "Environment variables"). Blanks look like a mistake.
      const isBlank = env[variable] !== "" && env[variable]?.trim() === "";
      if (known.includes(variable)) return isBlank ? [`${variable} is blank and counts as not set`] : [];
      const near = nearestVariable(variable, known);
      const hint = near === undefined ? `the variables are ${known.join(", ")}` : `did you mean ${near}?`;
      return [`there is no variable ${variable}; ${hint}`];
    });
}

/** Compared without the prefix, which would make all names alike. */
function nearestVariable(variable: string, known: readonly string[]): string | undefined {
  const near = nearestName(
    variable.slice(prefix.length),
    known.map((name) => name.slice(prefix.length)),
  );
  return near && prefix + near;
}
