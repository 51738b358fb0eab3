/** Programs without code for tracing, started with `--import …/register`. Real processes; `build/` is what they load. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { OtlpServer } from "../support/otlp-server.js";

const register = "opentelemetry-exporter-crash-safe-file/register";
const isBun = process.versions.bun !== undefined;
const program = (name: string) => fileURLToPath(new URL(`../programs/${name}`, import.meta.url));

let scratch: string;
let dir: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "register-"));
  dir = join(scratch, "traces");
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

interface Run {
  readonly file?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Each is given to `--import`, or to Bun's `--preload`. */
  readonly preload?: readonly string[];
  readonly by?: "--import" | "--require";
}

/** Runs a program to its end, or until it waits: then it is killed. Returns what it printed to stderr. */
async function run({ file = "registered.mjs", args = [], env, preload = [register], by = "--import" }: Run) {
  const flag = isBun ? "--preload" : by;
  const flags = preload.flatMap((one) => [flag, one]);
  const own = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(OTEL_|CRASH_SAFE_FILE_|NODE_OPTIONS)/.test(name)),
  );
  const child = spawn(process.execPath, [...flags, program(file), ...args], {
    env: { ...own, CRASH_SAFE_FILE_DIR: dir, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk;
  });
  child.stdout.on("data", () => child.kill("SIGKILL"));
  const [code, signal] = await once(child, "close");
  return { code, signal, lines: stderr.split("\n").filter((line) => line !== "") };
}

const place = () => `crash-safe-file: traces go to ${dir}, one JSON document per session`;

async function spansOf(id: string) {
  const { trace } = await readTrace(join(dir, `${id}.json`));
  const names = new Map(trace.spans.map(({ spanId, name }) => [spanId, name]));
  const spans = trace.spans
    .filter(({ kind }) => kind !== "session")
    .map(({ name, parentSpanId, interrupted }) => [
      name,
      names.get(parentSpanId ?? ""),
      interrupted === true,
    ]);
  return { status: trace.summary.status, spans: spans.sort() };
}

describe("a directory that cannot be written", () => {
  test("P6 P14 is reported on stderr, once, and the program goes on", async () => {
    writeFileSync(dir, "no directory");
    const { code, lines } = await run({});
    expect(code).toBe(0);
    expect(lines.slice(0, 1)).toEqual([place()]);
    expect(lines.slice(1).join("\n")).toMatch(/^crash-safe-file: CrashSafe\w+: .*(ENOTDIR|EEXIST)/);
    expect(lines.length).toBeLessThan(5);
  });

  test("is not reported on stderr beside a logger of diag", async () => {
    writeFileSync(dir, "no directory");
    const { lines } = await run({ preload: [program("diag-logger.cjs"), register] });
    expect(lines.filter((line) => line.startsWith("crash-safe-file: CrashSafe"))).toEqual([]);
    expect(lines.join("\n")).toMatch(/ENOTDIR|EEXIST/);
  });
});

describe("a program without code for tracing", () => {
  test.each([
    ["an ES module by --import", { file: "registered.mjs", by: "--import" }],
    ["CommonJS by --import", { file: "registered.cjs", by: "--import" }],
    ["CommonJS by --require", { file: "registered.cjs", by: "--require" }],
  ] as const)("P2 is traced, and killed in the middle: %s", async (_, how) => {
    const { signal, lines } = await run({ ...how, args: ["wait"] });
    expect(signal).toBe("SIGKILL");
    expect(lines).toEqual([place()]);
    await recoverTraces(dir);
    expect(await spansOf("ses_1")).toEqual({
      status: "crashed",
      spans: [
        ["query", "request", false],
        ["request", "ses_1", true],
      ],
    });
  });

  test.skipIf(isBun)("is traced in its own threads, and not in Node's thread of module hooks", async () => {
    const { lines } = await run({ file: "hooked-modules.cjs", by: "--require" });
    expect(lines).toEqual([place(), "thread of hooks: not traced"]);
  });

  test("P5 has its spans in the document when it ends by itself", async () => {
    const { code, lines } = await run({});
    expect(code).toBe(0);
    expect(lines).toEqual([place()]);
    expect(await spansOf("ses_1")).toEqual({
      status: "completed",
      spans: [
        ["query", "request", false],
        ["request", "ses_1", false],
      ],
    });
  });

  test("P10 sends spans by OTLP beside the documents where the environment has an endpoint", async ({
    onTestFinished,
  }) => {
    const server = await OtlpServer.start();
    onTestFinished(() => server.close());
    const { lines } = await run({
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: server.endpoint, OTEL_SERVICE_NAME: "agent" },
    });
    expect(lines).toEqual([
      `crash-safe-file: traces go to ${dir}, one JSON document per session, and by OTLP to ${server.endpoint}`,
    ]);
    expect(server.spans.map(({ name }) => name).sort()).toEqual(["query", "request"]);
    expect(server.spans[0]?.resource).toMatchObject({ "service.name": "agent" });
    expect((await spansOf("ses_1")).spans).toHaveLength(2);
  });

  test("P11 is traced once, however often register is loaded", async () => {
    const { lines } = await run({ preload: [register, register] });
    expect(lines).toEqual([place()]);
    expect((await spansOf("ses_1")).spans).toHaveLength(2);
  });

  // Bun does not preload in threads.
  test.skipIf(isBun)(
    "P11 has the spans of its worker threads in the same directory, and one line",
    async () => {
      const { code, lines } = await run({ args: ["thread"] });
      expect(code).toBe(0);
      expect(lines).toEqual([place()]);
      expect((await spansOf("ses_thread")).spans).toEqual([["of the thread", "ses_thread", false]]);
    },
  );
});

describe("register never ends a program, and prints what it does not do", () => {
  test("P11 a session that a handler of SIGTERM drains and shuts down is completed", async () => {
    expect(await run({ file: "registered-drain.mjs" })).toMatchObject({ code: 0, signal: null });
    const { trace } = await readTrace(join(dir, "ses_drained.json"));
    expect(trace.summary).toMatchObject({ status: "completed", interrupted: 0 });
    expect(trace.spans.map(({ name }) => name)).toContain("GET /slow");
  });

  test("a variable that does not exist is printed, with the nearest one", async () => {
    const { lines } = await run({ env: { CRASH_SAFE_FILE_MAX_FILE: "3" } });
    expect(lines.filter((line) => line.includes("CRASH_SAFE_FILE_MAX_FILE"))).toEqual([
      "crash-safe-file: there is no variable CRASH_SAFE_FILE_MAX_FILE; did you mean CRASH_SAFE_FILE_MAX_FILES?",
    ]);
  });

  test("P10 sampler and limits of the environment apply, whichever SDK is installed", async () => {
    await run({ env: { OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: "4", OTEL_SDK_DISABLED: "no" } });
    const limited = (await listTraces(dir)).traces.map(({ path }) => basename(path));
    expect(limited).toEqual(["ses_.json"]);
    rmSync(dir, { recursive: true });
    const { lines } = await run({ env: { OTEL_TRACES_SAMPLER: "always_off", OTEL_SDK_DISABLED: "no" } });
    expect(lines).toEqual([
      'crash-safe-file: OTEL_SDK_DISABLED is "no", which is ignored: it must be true or false',
      place(),
    ]);
    expect(existsSync(dir)).toBe(false);
  });

  test("nothing with OTEL_SDK_DISABLED", async () => {
    const lines = ["crash-safe-file: this program is not traced: OTEL_SDK_DISABLED is true"];
    expect(await run({ env: { OTEL_SDK_DISABLED: "TRUE" } })).toMatchObject({ code: 0, lines });
    expect(existsSync(dir)).toBe(false);
  });

  test.each([
    ["none", "crash-safe-file: spans of this program go nowhere (OTEL_TRACES_EXPORTER is none)"],
    [
      "otlp",
      "crash-safe-file: traces go by OTLP to http://localhost:9; no documents are written (OTEL_TRACES_EXPORTER)",
    ],
  ])("no documents with OTEL_TRACES_EXPORTER=%s", async (exporters, line) => {
    const env = { OTEL_TRACES_EXPORTER: exporters, OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:9" };
    const { code, lines } = await run({ env });
    expect(code).toBe(0);
    expect(lines[0]).toBe(line);
    expect(existsSync(dir)).toBe(false);
  });

  test.each([
    [{ OTEL_TRACES_SAMPLER: "sometimes" }, /OTEL_TRACES_SAMPLER is "sometimes", which is ignored/],
    [
      { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "2" },
      /OTEL_TRACES_SAMPLER_ARG is "2", which is ignored/,
    ],
    [{ OTEL_TRACES_EXPORTER: "zipkin" }, /OTEL_TRACES_EXPORTER names "zipkin", which is ignored/],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:9", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
      /^crash-safe-file: register: OTEL_EXPORTER_OTLP_PROTOCOL is "grpc", and must be http\/protobuf or http\/json/,
    ],
  ])("documents in spite of an invalid variable: %o", async (env, line) => {
    const { code, lines } = await run({ env: env as Record<string, string> });
    expect(code).toBe(0);
    expect(lines).toEqual([expect.stringMatching(line), place()]);
    expect((await spansOf("ses_1")).spans).toHaveLength(2);
  });

  test("an endpoint that is no URL is printed, and where spans go instead", async () => {
    const { lines } = await run({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: "notaurl" } });
    expect(lines.slice(0, 2)).toEqual([
      expect.stringMatching(/the endpoint of OTLP is "notaurl", which is ignored: it must be a URL/),
      `${place()}, and by OTLP to localhost`,
    ]);
  });

  test("P11 a minified API without a provider is no provider", async () => {
    const { lines } = await run({ preload: [program("minified-api.cjs"), register] });
    expect(lines).toEqual([place()]);
    expect((await spansOf("ses_1")).spans).toHaveLength(2);
  });

  test("nothing beside a provider that the program has already, and what to do then", async () => {
    const { code, lines } = await run({ preload: [program("own-provider.mjs"), register] });
    expect(code).toBe(0);
    expect(lines).toEqual([
      expect.stringMatching(
        /has a tracer provider already.*new CrashSafeSpanProcessor.*leave out \/register/,
      ),
    ]);
    expect(existsSync(dir)).toBe(false);
  });

  test("a directory that cannot be made costs the traces, not the program", async () => {
    mkdirSync(scratch, { recursive: true });
    writeFileSync(dir, "a file");
    const { code, lines } = await run({});
    expect(code).toBe(0);
    expect(lines[0]).toBe(place());
    expect((await listTraces(scratch)).traces).toEqual([]);
  });
});
