/** The installed entry: by `import` and by `require`, with and without the optional packages. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";

const scratch = mkdtempSync(join(tmpdir(), "session-entry-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The packages that the required peers install. */
const peers = ["api", "core", "semantic-conventions"];
const withSdk = [...peers, "resources", "sdk-trace", "sdk-trace-base"];

/** A project in which this package and some packages of OpenTelemetry are installed. */
function projectWith(packages: readonly string[]): string {
  const project = mkdtempSync(join(scratch, "project-"));
  const name = "opentelemetry-exporter-crash-safe-file";
  mkdirSync(join(project, "node_modules", name), { recursive: true });
  mkdirSync(join(project, "node_modules/@opentelemetry"));
  for (const file of ["dist", "package.json"]) {
    symlinkSync(resolve(file), join(project, "node_modules", name, file));
  }
  for (const one of packages) {
    symlinkSync(
      resolve("node_modules/@opentelemetry", one),
      join(project, "node_modules/@opentelemetry", one),
    );
  }
  return project;
}

/** Runs a program in a project. Links stay links, so that packages find only what the project has. */
function run(project: string, type: "module" | "commonjs", program: string): Promise<string> {
  const flags = [
    "--preserve-symlinks",
    "--preserve-symlinks-main",
    `--input-type=${type}`,
    "--eval",
    program,
  ];
  const { OTEL_TRACES_EXPORTER: _, ...env } = process.env;
  return new Promise((done) =>
    execFile(process.execPath, flags, { cwd: project, env }, (_error, stdout, stderr) =>
      done(stdout + stderr),
    ),
  );
}

const load = {
  module: 'import { createSessionTracing } from "opentelemetry-exporter-crash-safe-file/session";',
  commonjs: 'const { createSessionTracing } = require("opentelemetry-exporter-crash-safe-file/session");',
};
const session = `
  const tracing = createSessionTracing({ dir: "traces" });
  tracing.tracer("ses_1").logUserMessage("hello");
  tracing.shutdown().then(() => console.log("done"));
`;
const tryToTrace = `
  try {
    createSessionTracing({ dir: "traces" });
  } catch ({ name, code, message }) {
    console.log(name, code, message);
  }
`;

for (const type of ["module", "commonjs"] as const) {
  test(`P10 traces a session, loaded as ${type}`, async () => {
    const project = projectWith(withSdk);
    expect(await run(project, type, load[type] + session)).toBe("done\n");
    const document = JSON.parse(readFileSync(join(project, "traces/ses_1.json"), "utf8"));
    expect(document.summary.status).toBe("completed");
  });

  test(`without an SDK, loaded as ${type}, it loads, and names what to install when it is used`, async () => {
    const output = await run(projectWith(peers), type, load[type] + tryToTrace);
    expect(output).toMatch(
      /^CrashSafeFileError MISSING_PACKAGE .*`npm install @opentelemetry\/sdk-trace-base` \(docs\/errors\.md#missing_package\)\n$/,
    );
  });
}

const altimate = `
  const { FileExporter, Trace } = require("opentelemetry-exporter-crash-safe-file/altimate");
  const trace = Trace.withExporters([new FileExporter("traces")]);
  const hasSdk = () => Object.keys(require.cache).some((file) => file.includes("sdk-trace"));
  trace.startTrace("ses_1", { title: "first", prompt: "hello" });
  const states = [hasSdk()];
  trace.logUserMessage("hello");
  states.push(hasSdk());
  trace.logUserMessage("again");
  trace.endTrace().then(() => console.log(states.join()));
`;
const altimateDocument = (project: string) =>
  JSON.parse(readFileSync(join(project, "traces/ses_1.json"), "utf8"));

test("altimate's first document needs no SDK: the first span loads the SDK", async () => {
  const project = projectWith(withSdk);
  expect(await run(project, "commonjs", altimate)).toBe("false,true\n");
  const { spans } = altimateDocument(project);
  expect(spans.map(({ kind }: { kind: string }) => kind).sort()).toEqual([
    "session",
    "user-message",
    "user-message",
  ]);
});

test("without an SDK, altimate's session has a document without spans, and one message names what to install", async () => {
  const project = projectWith(peers);
  const logging = `
    const { diag, DiagLogLevel } = require("@opentelemetry/api");
    diag.setLogger({ error: (...text) => console.log(text.join(" ")), warn() {}, info() {}, debug() {}, verbose() {} });
  `;
  const output = await run(project, "commonjs", logging + altimate);
  expect(output.match(/npm install @opentelemetry\/sdk-trace-base/g)).toHaveLength(1);
  expect(output).toMatch(/false,false\n$/);
  const { metadata, spans, summary } = altimateDocument(project);
  expect([metadata.title, spans.length, summary.status]).toEqual(["first", 1, "completed"]);
});

test("either package of the SDK is sufficient", async () => {
  const project = projectWith(withSdk.filter((name) => name !== "sdk-trace-base"));
  expect(await run(project, "module", load.module + session)).toBe("done\n");
});

test.for([
  ["http/json", '"@opentelemetry/exporter-trace-otlp-http@<0.300"'],
  ["http/protobuf", '"@opentelemetry/exporter-trace-otlp-proto@<0.300"'],
])("without the exporter for %s it names %s to install", async ([protocol, name]) => {
  const environment = `Object.assign(process.env, { OTEL_TRACES_EXPORTER: "otlp", OTEL_EXPORTER_OTLP_PROTOCOL: "${protocol}" });`;
  const output = await run(projectWith(withSdk), "module", load.module + environment + tryToTrace);
  expect(output).toContain(
    `MISSING_PACKAGE OTEL_TRACES_EXPORTER otlp by ${protocol} needs a package: \`npm install ${name}\` (docs/errors.md#missing_package)\n`,
  );
});
