/** The tables of the README and the pages, compared with the code and run. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { exporterOptions, resolveExporterOptions } from "../../src/exporter/file-exporter-options.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import * as api from "../../src/index.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { resolveProcessorOptions } from "../../src/processor/span-processor-options.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { SessionTracer } from "../../src/tracer/session-tracer.js";
import type { SessionTracingOptions } from "../../src/tracer/session-tracing-options.js";
import { pages, projectWithPackage, run } from "../support/pages.js";

const text = pages.map((page) => page.text).join("\n");
const project = projectWithPackage();
afterAll(() => rmSync(project, { recursive: true, force: true }));

describe("the tables of the pages", () => {
  /** Cells of the rows between a heading or sentence and the end of its table. */
  function tableAfter(sentence: string): string[][] {
    const from = text.indexOf("\n|", text.indexOf(sentence));
    const rows = text.slice(from, text.indexOf("\n\n", from)).trim().split("\n").slice(2);
    return rows.map((row) =>
      row
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  const plain = (cell: string | undefined) => (cell ?? "").replaceAll("`", "");

  test("list the defaults of the exporter", () => {
    const rows = tableAfter("`new CrashSafeFileSpanExporter(options)`.").map(([name, value]) => [
      plain(name),
      plain(value),
    ]);
    const defaults = Object.entries(resolveExporterOptions({ dir: "x" })).map(([name, value]) => [
      name,
      name === "dir" ? "required" : value === undefined ? "none" : JSON.stringify(value),
    ]);
    expect(rows).toEqual(defaults);
  });

  test("list the defaults of the processor", () => {
    const rows = tableAfter("`new CrashSafeSpanProcessor(exporter, options?)`").map(([name, value]) => [
      plain(name),
      plain(value) === "none" ? undefined : Number(plain(value)),
    ]);
    expect(Object.fromEntries(rows)).toEqual({
      ...resolveProcessorOptions({}).limits,
      selfObsMeterProvider: undefined,
    });
  });

  test("list every variable and its option", () => {
    const rows = tableAfter("## Environment variables").map(([variable, option]) => [
      plain(variable),
      plain(option),
    ]);
    const variables = Object.entries(exporterOptions).flatMap(([option, spec]) =>
      "variable" in spec ? [[spec.variable.name, option]] : [],
    );
    expect(rows).toEqual(variables);
  });

  test("list every number of stats() of the exporter and of the processor", async () => {
    const named = (sentence: string) => tableAfter(sentence).flatMap(([names]) => plain(names).split(", "));
    const exporter = new CrashSafeFileSpanExporter({ dir: join(project, "stats") });
    const processor = new CrashSafeSpanProcessor(exporter);
    expect(named("Those of the exporter:").sort()).toEqual(Object.keys(exporter.stats()).sort());
    expect(named("Those of the processor:").sort()).toEqual(Object.keys(processor.stats()).sort());
    await processor.shutdown();
  });

  test("name every method of a session tracer", () => {
    const rows = tableAfter("## Methods of a session tracer").flatMap(
      ([methods]) => plain(methods).match(/[a-z]\w+(?=\(|,|$)/g) ?? [],
    );
    const methods = Object.getOwnPropertyNames(SessionTracer.prototype).filter(
      (name) => typeof Object.getOwnPropertyDescriptor(SessionTracer.prototype, name)?.value === "function",
    );
    expect(methods.filter((name) => name !== "constructor" && !rows.includes(name))).toEqual([]);
  });

  test("name every option of createSessionTracing", () => {
    const rows = tableAfter("Options win over").flatMap(([names]) => plain(names).split(", "));
    const known: Record<keyof SessionTracingOptions, true> = {
      dir: true,
      exporter: true,
      exporters: true,
      processors: true,
      tracerProvider: true,
      resource: true,
      durability: true,
      maxFiles: true,
      maxFileAgeMillis: true,
      maxTotalBytes: true,
      maxSpans: true,
      maxValueBytes: true,
      maxSpanBytes: true,
      sessionIdleMillis: true,
      redact: true,
      selfObsMeterProvider: true,
    };
    expect(rows).toEqual(Object.keys(known));
  });

  test("name every export and no other", () => {
    const named = tableAfter("## Main entry").flatMap(
      ([names]) => plain(names).match(/[A-Za-z]+(?=\(|$|,)/g) ?? [],
    );
    const exported = Object.keys(api);
    expect(exported.filter((name) => !named.includes(name))).toEqual([]);
    expect(named.filter((name) => /^[A-Z]|^(read|list|recover|install|redact)/.test(name)).sort()).toEqual(
      exported.filter((name) => !/SessionId$/.test(name)).sort(),
    );
  });
});

describe("P2 the table of promises", () => {
  const throughFence = [
    "exception",
    "unhandled rejection",
    "process.exit",
    "its end",
    "SIGTERM",
    "SIGINT",
    "SIGHUP",
  ];
  const ofV8 = "out of memory";
  const pastFence = ["SIGKILL", "SIGSEGV", "abort", ofV8];
  const rows = [
    ...["process", "interval", "each"].flatMap((durability) =>
      ["process.exit", "SIGKILL"].map((way) => [durability, way, "fenced"] as const),
    ),
    ...[...throughFence, ...pastFence].flatMap((way) =>
      ["fenced", "not fenced"].map((fence) => ["process", way, fence] as const),
    ),
    ["process", "shutdown", "not fenced"] as const,
  ];

  test.concurrent.for(rows)("durability %s, ends by %s, %s", async ([durability, way, fence], context) => {
    const { expect, skip } = context;
    skip(way === ofV8 && process.versions.bun !== undefined, "Bun has no heap of V8 that could be full");
    const dir = mkdtempSync(join(project, "way-"));
    const program = resolve("test/programs/way-to-end.mjs");
    // No core files, and a heap that is soon full.
    const command = `ulimit -c 0; exec "$0" --max-old-space-size=48 "$@"`;
    await run(project, "bash", ["-c", command, process.execPath, program, dir, durability, way, fence]);

    const read = (): TraceFile => JSON.parse(readFileSync(join(dir, "s.json"), "utf8"));
    const left = read();
    if (way === "shutdown") expect(left.summary.status).toBe("completed");
    else if (fence === "fenced" && throughFence.includes(way)) expect(left.summary.status).toBe("crashed");
    else expect(left.summary.status).toBe("running");

    await recoverTraces(dir);
    const { spans, summary } = read();
    const ended = spans.filter((span) => span.name.startsWith("ended") && span.endTime && !span.interrupted);
    expect(ended).toHaveLength(100);
    for (const name of ["running", "just started"]) {
      const running = spans.find((span) => span.name === name);
      expect(running?.endTime).toBeDefined();
      expect(running?.interrupted).toBe(true);
    }
    expect(summary.status).toBe(way === "shutdown" ? "completed" : "crashed");
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });
});
