import { execFile, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resolveExporterOptions } from "../src/file-exporter-options.js";
import * as api from "../src/index.js";
import { recoverTraces } from "../src/recover-traces.js";
import { SessionTracer } from "../src/session-tracer.js";
import type { SessionTracingOptions } from "../src/session-tracing-options.js";
import { resolveProcessorOptions } from "../src/span-processor-options.js";
import type { TraceFile } from "../src/trace-file.js";

const packageName = "opentelemetry-exporter-crash-safe-file";
const readme = readFileSync("README.md", "utf8");
const blocks = (language: string) =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(
    (match) => match[1] ?? "",
  );
const programs = blocks("ts");

/** A project that has installed this package, as npm links it. */
const project = mkdtempSync(join(tmpdir(), "readme-"));
beforeAll(() => {
  mkdirSync(join(project, "node_modules"));
  symlinkSync(resolve("."), join(project, "node_modules", packageName));
  for (const name of ["@opentelemetry", "@types"])
    symlinkSync(resolve("node_modules", name), join(project, "node_modules", name));
  writeFileSync(join(project, "package.json"), '{"type":"module"}');
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

function run(
  command: string,
  args: readonly string[],
  cwd = project,
): Promise<{ code: unknown; output: string }> {
  return new Promise((done) =>
    execFile(command, args, { cwd }, (error, stdout, stderr) =>
      done({ code: error ? (error.code ?? error.signal) : 0, output: stdout + stderr }),
    ),
  );
}

describe("the programs of the README", () => {
  test("have types that fit", async () => {
    expect(programs).toHaveLength(5);
    programs.forEach((program, i) => {
      writeFileSync(join(project, `program-${i}.ts`), program);
    });
    const options = { module: "nodenext", target: "es2022", strict: true, noEmit: true, types: ["node"] };
    // Libraries are checked as well: ours must not need what a user does not have.
    const compilerOptions = { ...options, lib: ["es2024"], skipLibCheck: false };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
    expect(await run(process.execPath, [join(typescript, "bin/tsc")])).toEqual({ code: 0, output: "" });
  });

  test("do what they say, one after the other", async () => {
    const outputs: string[] = [];
    for (const [i, program] of programs.entries()) {
      writeFileSync(join(project, `program-${i}.mjs`), program);
      const { code, output } = await run(process.execPath, [`program-${i}.mjs`]);
      expect(code, output).toBe(0);
      outputs.push(output);
    }
    expect(readdirSync(join(project, "traces"))).toEqual(["ses_1.json", "ses_2.json"]);
    const spansOf = (file: string) => {
      const document: TraceFile = JSON.parse(readFileSync(join(project, "traces", file), "utf8"));
      return document.spans.map(({ name }) => name);
    };
    expect(spansOf("ses_1.json")).toEqual(["chat", "ses_1"]);
    expect(spansOf("ses_2.json")).toEqual(["user-message", "read_file", "generation-step_1", "ses_2"]);
    expect(outputs).toEqual(["", "", "", "ses_2 completed 4\nses_1 completed 2\n", ""]);
  });
});

describe("the tables of the README", () => {
  /** Cells of the rows between a heading or sentence and the end of its table. */
  function tableAfter(sentence: string): string[][] {
    const from = readme.indexOf("\n|", readme.indexOf(sentence));
    const rows = readme.slice(from, readme.indexOf("\n\n", from)).trim().split("\n").slice(2);
    return rows.map((row) =>
      row
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  const plain = (cell: string | undefined) => (cell ?? "").replaceAll("`", "");

  test("give the defaults of the exporter", () => {
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

  test("give the defaults of the processor", () => {
    const rows = tableAfter("`new CrashSafeSpanProcessor(exporter, options?)`").map(([name, value]) => [
      plain(name),
      Number(plain(value)),
    ]);
    expect(Object.fromEntries(rows)).toEqual(resolveProcessorOptions({}).limits);
  });

  test("name every method of a session tracer", () => {
    const rows = tableAfter("are for all of them at once.").flatMap(
      ([methods]) => plain(methods).match(/[a-z]\w+(?=\(|,|$)/g) ?? [],
    );
    const methods = Object.getOwnPropertyNames(SessionTracer.prototype).filter(
      (name) => typeof Object.getOwnPropertyDescriptor(SessionTracer.prototype, name)?.value === "function",
    );
    expect(methods.filter((name) => name !== "constructor" && !rows.includes(name))).toEqual([]);
  });

  test("name every option of createSessionTracing", () => {
    const rows = tableAfter("By options, which win").flatMap(([names]) => plain(names).split(", "));
    const known: Record<keyof SessionTracingOptions, true> = {
      dir: true,
      exporter: true,
      exporters: true,
      processors: true,
      tracerProvider: true,
      resource: true,
    };
    expect(rows).toEqual(Object.keys(known));
  });

  test("name every export and no other", () => {
    const named = tableAfter("## API").flatMap(([names]) => plain(names).match(/[A-Za-z]+(?=\(|$|,)/g) ?? []);
    const exported = Object.keys(api);
    expect(exported.filter((name) => !named.includes(name))).toEqual([]);
    expect(named.filter((name) => /^[A-Z]|^(read|list|recover|install)/.test(name)).sort()).toEqual(
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
  const pastFence = ["SIGKILL", "SIGSEGV", "abort", "out of memory"];
  const rows = [
    ...["process", "interval", "each"].flatMap((durability) =>
      ["process.exit", "SIGKILL"].map((way) => [durability, way, "fenced"] as const),
    ),
    ...[...throughFence, ...pastFence].flatMap((way) =>
      ["fenced", "not fenced"].map((fence) => ["process", way, fence] as const),
    ),
    ["process", "shutdown", "not fenced"] as const,
  ];

  test.concurrent.for(rows)("durability %s, ends by %s, %s", async ([durability, way, fence], { expect }) => {
    const dir = mkdtempSync(join(project, "way-"));
    const program = resolve("test/programs/way-to-end.mjs");
    // No core files, and a heap that is soon full.
    const command = `ulimit -c 0; exec "$0" --max-old-space-size=48 "$@"`;
    await run("bash", ["-c", command, process.execPath, program, dir, durability, way, fence]);

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
      expect(running?.interrupted).toBe(way === "shutdown" ? undefined : true);
    }
    expect(summary.status).toBe(way === "shutdown" ? "completed" : "crashed");
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });
});

const hasJq = spawnSync("sh", ["-c", "command -v jq"]).status === 0;

test.skipIf(!hasJq)("the jq lines of the README print what they say (needs jq)", async () => {
  const lines = blocks("sh").flatMap((block) => block.split("\n").filter((line) => line.startsWith("jq ")));
  const dir = join(project, "jq");
  mkdirSync(join(dir, "traces"), { recursive: true });
  const base = { parentSpanId: "r", startTime: 1000, endTime: 2000, status: "ok" };
  const model = { modelId: "m" };
  const document = {
    sessionId: "ses_1",
    spans: [
      { ...base, spanId: "1", name: "chat", kind: "generation", model, tokens: { total: 5 } },
      { ...base, spanId: "2", name: "read", kind: "tool", startTime: 3000, tool: { durationMs: 7 } },
      {
        ...base,
        spanId: "3",
        name: "grep",
        kind: "tool",
        status: "error",
        statusMessage: "no",
        tool: { durationMs: 9 },
      },
      { ...base, spanId: "4", name: "run", kind: "tool", status: "error", interrupted: true, tool: {} },
      { ...base, spanId: "5", name: "chat", kind: "generation", model, interrupted: true },
    ],
    summary: { status: "crashed", totalTokens: 5 },
  };
  writeFileSync(join(dir, "traces/ses_1.json"), JSON.stringify(document));
  const outputs: string[] = [];
  for (const line of lines) {
    const { code, output } = await run("sh", ["-c", line], dir);
    expect(code, `${line}\n${output}`).toBe(0);
    outputs.push(output.trim());
  }
  expect(JSON.parse(outputs[0] ?? "")).toEqual(document.summary);
  expect(outputs.slice(1)).toEqual([
    "tool\trun\ngeneration\tchat",
    '{"name":"grep","statusMessage":"no"}',
    "9 ms grep\n7 ms read",
    '{"model":"m","calls":2,"tokens":5}',
    [
      "1970-01-01T00:00:01Z generation chat",
      "1970-01-01T00:00:01Z tool grep",
      "1970-01-01T00:00:01Z tool run",
      "1970-01-01T00:00:01Z generation chat",
      "1970-01-01T00:00:03Z tool read",
    ].join("\n"),
    "ses_1\tcrashed\t5",
  ]);
});
