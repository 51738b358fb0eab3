/** How options and environment variables are combined, for the exporter. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diag } from "@opentelemetry/api";
import { afterEach, describe, expect, test, vi } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import {
  type CrashSafeFileSpanExporterOptions,
  resolveExporterOptions,
} from "../../src/exporter/file-exporter-options.js";
import type { Environment } from "../../src/platform/environment.js";
import { CrashSafeFileError } from "../../src/platform/errors.js";

import { listenToDiag } from "../support/span-processor-stage.js";

afterEach(() => vi.unstubAllEnvs());

/** Every option that a variable can set, with a value of each. */
const variables: [option: string, variable: string, text: string, value: unknown][] = [
  ["dir", "CRASH_SAFE_FILE_DIR", " traces ", "traces"],
  ["durability", "CRASH_SAFE_FILE_DURABILITY", "each", "each"],
  ["maxFiles", "CRASH_SAFE_FILE_MAX_FILES", "100", 100],
  ["maxFileAgeMillis", "CRASH_SAFE_FILE_MAX_FILE_AGE_MILLIS", "86400000", 86_400_000],
  ["maxTotalBytes", "CRASH_SAFE_FILE_MAX_TOTAL_BYTES", "1000000000", 1_000_000_000],
  ["maxValueBytes", "CRASH_SAFE_FILE_MAX_VALUE_BYTES", "0", 0],
  ["maxSpanBytes", "CRASH_SAFE_FILE_MAX_SPAN_BYTES", "10000", 10_000],
  ["maxSpans", "CRASH_SAFE_FILE_MAX_SPANS", "5000", 5_000],
  ["sessionIdleMillis", "CRASH_SAFE_FILE_SESSION_IDLE_MILLIS", " 60000 ", 60_000],
  ["withoutSession", "CRASH_SAFE_FILE_WITHOUT_SESSION", "drop", "drop"],
];
const standard = resolveExporterOptions({ dir: "d" }, {}) as unknown as Record<string, unknown>;

describe("an option comes from the program, else from the environment, else from the defaults", () => {
  test("every option that is no function or object has a variable", () => {
    const objects = ["redact", "sessionId", "selfObsMeterProvider"];
    expect([...variables.map(([option]) => option), ...objects].sort()).toEqual(Object.keys(standard).sort());
  });

  test.for(variables)("%s is set by %s", ([option, variable, text, value]) => {
    const base = option === "dir" ? {} : { dir: "d" };
    const of = (user: object, env: Environment) =>
      (resolveExporterOptions({ ...base, ...user }, env) as unknown as Record<string, unknown>)[option];
    expect(of({}, { [variable]: text })).toBe(value);
    const others: Record<string, unknown> = {
      dir: "other",
      durability: "interval",
      withoutSession: "process",
    };
    const users = others[option] ?? 50_000;
    expect(of({ [option]: users }, { [variable]: text })).toBe(users);
    // `undefined` options of the program, and empty variables, count as absent.
    expect(of({ [option]: undefined }, { [variable]: text })).toBe(value);
    if (option === "dir") return;
    expect(of({}, { [variable]: "  " })).toBe(standard[option]);
    expect(of({}, {})).toBe(standard[option]);
  });

  test("P9 a redactor is chosen by its name, and the program's redactor wins", () => {
    const env = { CRASH_SAFE_FILE_REDACT: "secrets" };
    const { redact } = resolveExporterOptions({ dir: "d" }, env);
    expect(redact?.("Bearer abcdefghijklmnopqrstuvwxyz0123456789", "input")).toMatch("[redacted:");
    const own = (value: unknown) => value;
    expect(resolveExporterOptions({ dir: "d", redact: own }, env).redact).toBe(own);
  });

  test("neither options nor environment are changed", () => {
    const user = Object.freeze({ maxFiles: 3 });
    const env = Object.freeze({ CRASH_SAFE_FILE_DIR: "d", CRASH_SAFE_FILE_MAX_FILES: "4" });
    expect(resolveExporterOptions(user, env)).toEqual({ ...standard, maxFiles: 3 });
  });

  test("a variable of another package has no effect", () => {
    const env = { CRASH_SAFE_FILE_REDACTOR: "x", CRASH_SAFE_FILE_SESSION_ID: "s", MAX_FILES: "1" };
    expect(resolveExporterOptions({ dir: "d" }, env)).toEqual(standard);
  });

  test("P6 a variable of this package that does not exist is reported once, with the nearest one", async () => {
    const reported = listenToDiag();
    const dir = mkdtempSync(join(tmpdir(), "environment-"));
    vi.stubEnv("CRASH_SAFE_FILE_MAX_FILE", "3");
    vi.stubEnv("CRASH_SAFE_FILE_SESSION_ID", "s");
    for (let n = 0; n < 2; n++) await new CrashSafeFileSpanExporter({ dir }).shutdown();
    expect(reported).toEqual([
      "CrashSafeFileSpanExporter: there is no variable CRASH_SAFE_FILE_MAX_FILE; did you mean CRASH_SAFE_FILE_MAX_FILES?",
      expect.stringMatching(
        /there is no variable CRASH_SAFE_FILE_SESSION_ID; the variables are CRASH_SAFE_FILE_DIR, /,
      ),
    ]);
    diag.disable();
    rmSync(dir, { recursive: true });
  });

  test("P11 a variable of blanks counts as not set, and is reported", async () => {
    const reported = listenToDiag();
    const dir = mkdtempSync(join(tmpdir(), "environment-"));
    vi.stubEnv("CRASH_SAFE_FILE_DIR", " \t");
    vi.stubEnv("CRASH_SAFE_FILE_MAX_FILES", "");
    expect(() => new CrashSafeFileSpanExporter()).toThrow(/set CRASH_SAFE_FILE_DIR \(docs/);
    await new CrashSafeFileSpanExporter({ dir }).shutdown();
    expect(reported).toEqual([
      "CrashSafeFileSpanExporter: CRASH_SAFE_FILE_DIR is blank and counts as not set",
    ]);
    diag.disable();
    rmSync(dir, { recursive: true });
  });

  test("an exporter without options takes its directory from the process's environment", async () => {
    const dir = mkdtempSync(join(tmpdir(), "environment-"));
    vi.stubEnv("CRASH_SAFE_FILE_DIR", dir);
    const exporter = new CrashSafeFileSpanExporter();
    exporter.openSession({ id: "ses_env", traceId: "", startTime: 0, name: "ses_env", metadata: {} });
    await exporter.shutdown();
    expect(readdirSync(dir)).toEqual(["ses_env.json"]);
    rmSync(dir, { recursive: true });
  });
});

describe("an invalid value is an error that names the option, its value and what is allowed", () => {
  const wrong = (user: unknown) => user as CrashSafeFileSpanExporterOptions;
  const component = "CrashSafeFileSpanExporter:";
  const whole = "must be a whole number of at least";
  test.for<[user: CrashSafeFileSpanExporterOptions, env: Environment, message: string]>([
    [{}, {}, `${component} dir is undefined, and must be a path: pass { dir }, or set CRASH_SAFE_FILE_DIR`],
    [wrong(null), { CRASH_SAFE_FILE_DIR: " " }, `${component} dir is undefined`],
    [{ dir: "" }, { CRASH_SAFE_FILE_DIR: "d" }, `${component} dir is "", and must be a path`],
    [{ dir: "a\0b" }, {}, `${component} dir is "a\\u0000b"`],
    [{}, { CRASH_SAFE_FILE_DIR: "a\0b" }, `${component} CRASH_SAFE_FILE_DIR is "a\\u0000b"`],
    [wrong({ dir: 7 }), {}, `${component} dir is 7, and must be a path`],
    [
      { dir: "d" },
      { CRASH_SAFE_FILE_DURABILITY: "always" },
      `${component} CRASH_SAFE_FILE_DURABILITY is "always", and must be "process", "interval" or "each"`,
    ],
    [wrong({ dir: "d", durability: 1 }), {}, `${component} durability is 1`],
    [wrong({ dir: "d", durability: "toString" }), {}, `${component} durability is "toString"`],
    [
      { dir: "d" },
      { CRASH_SAFE_FILE_MAX_FILES: "ten" },
      `${component} CRASH_SAFE_FILE_MAX_FILES is "ten", and ${whole} 0`,
    ],
    [{ dir: "d" }, { CRASH_SAFE_FILE_MAX_FILES: "-1" }, `CRASH_SAFE_FILE_MAX_FILES is "-1"`],
    [{ dir: "d" }, { CRASH_SAFE_FILE_MAX_FILES: "1.5" }, `CRASH_SAFE_FILE_MAX_FILES is "1.5"`],
    [{ dir: "d" }, { CRASH_SAFE_FILE_MAX_FILES: "1e3" }, `CRASH_SAFE_FILE_MAX_FILES is "1e3"`],
    [{ dir: "d" }, { CRASH_SAFE_FILE_MAX_FILES: "9".repeat(20) }, "CRASH_SAFE_FILE_MAX_FILES is 1"],
    [
      { dir: "d" },
      { CRASH_SAFE_FILE_MAX_SPANS: "9" },
      `CRASH_SAFE_FILE_MAX_SPANS is 9, and ${whole} 10, or 0: no`,
    ],
    [{ dir: "d" }, { CRASH_SAFE_FILE_SESSION_IDLE_MILLIS: "0" }, `SESSION_IDLE_MILLIS is 0, and ${whole} 1`],
    [wrong({ dir: "d", maxFiles: "3" }), {}, `${component} maxFiles is "3", and ${whole} 0`],
    [wrong({ dir: "d", maxSpans: Number.NaN }), {}, `${component} maxSpans is NaN`],
    [
      { dir: "d" },
      { CRASH_SAFE_FILE_REDACT: "all" },
      `${component} CRASH_SAFE_FILE_REDACT is "all", and must be "secrets"`,
    ],
    [
      wrong({ dir: "d", maxFiles: null }),
      {},
      `${component} maxFiles is null, and must be a whole number of at least 0`,
    ],
    [wrong({ dir: null }), { CRASH_SAFE_FILE_DIR: "d" }, `${component} dir is null`],
    [wrong({ dir: "d", redact: null }), { CRASH_SAFE_FILE_REDACT: "secrets" }, `${component} redact is null`],
    [wrong({ dir: "d", redact: "secrets" }), {}, `${component} redact is "secrets", and must be a function`],
    [
      wrong({ dir: "d", sessionId: Object.create(null) }),
      {},
      `${component} sessionId is object, and must be`,
    ],
  ])("%o with %o", ([user, env, message]) => {
    const resolve = () => resolveExporterOptions(user, env);
    expect(resolve).toThrow(message);
    expect(resolve).toThrow(CrashSafeFileError);
  });

  test("is thrown at construction, before anything is on disk", () => {
    const dir = mkdtempSync(join(tmpdir(), "environment-"));
    vi.stubEnv("CRASH_SAFE_FILE_MAX_SPANS", "many");
    expect(() => new CrashSafeFileSpanExporter({ dir })).toThrow('CRASH_SAFE_FILE_MAX_SPANS is "many"');
    expect(readdirSync(dir)).toEqual([]);
    rmSync(dir, { recursive: true });
  });
});
