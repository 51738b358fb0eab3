/** Programs whose environment names the destinations of their sessions, and that are killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { OtlpServer, type PlainSpan } from "../support/otlp-server.js";

const scratch = mkdtempSync(join(tmpdir(), "hosted-process-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The same program each time, with another environment. */
function start(dir: string, env: Record<string, string>, stop = "end"): ChildProcess {
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("OTEL_")));
  const args = ["test/programs/hosted-session.mjs", dir, "ses_1", stop];
  return spawn(process.execPath, args, { env: { ...own, ...env }, stdio: ["ignore", "pipe", "pipe"] });
}

async function end(child: ChildProcess): Promise<{ code: unknown; output: string }> {
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (output += chunk));
  const [code, signal] = await once(child, "close");
  return { code: code ?? signal, output };
}

const kindsOf = (trace: TraceFile) => trace.spans.map(({ kind }) => kind).sort();
const namesOf = (spans: readonly PlainSpan[]) => spans.map(({ name }) => name.split(" ")[0]).sort();
const oneTurn = ["generation", "tool", "user-message"];
const oneSentTurn = ["chat", "execute_tool", "invoke_agent", "user-message"];

describe("P10 the environment alone swaps file and collector", () => {
  test.concurrent.for([
    ["crash-safe-file", "http/json", true, false],
    ["otlp", "http/json", false, true],
    ["otlp", "http/protobuf", false, true],
    [" crash-safe-file , otlp ", "http/protobuf", true, true],
    ["console", "http/json", false, false],
    ["none", "http/json", false, false],
  ] as const)("OTEL_TRACES_EXPORTER=%s by %s", async ([exporter, protocol, hasFile, isSent], { expect }) => {
    const server = await OtlpServer.start();
    const dir = join(mkdtempSync(join(scratch, "env-")), "traces");
    const { code, output } = await end(
      start(dir, {
        OTEL_TRACES_EXPORTER: exporter,
        OTEL_EXPORTER_OTLP_ENDPOINT: server.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
        OTEL_SERVICE_NAME: "swapped",
      }),
    );
    await server.close();
    expect(code, output).toBe(0);
    expect(readdirSync(join(dir, ".."))).toEqual(hasFile ? ["traces"] : []);
    if (hasFile) {
      expect(readdirSync(dir)).toEqual(["ses_1.json"]);
      const trace: TraceFile = JSON.parse(readFileSync(join(dir, "ses_1.json"), "utf8"));
      expect(trace.summary.status).toBe("completed");
      expect(kindsOf(trace)).toEqual([...oneTurn, ...oneTurn, "session"].sort());
    }
    expect(namesOf(server.spans)).toEqual(isSent ? [...oneSentTurn, ...oneSentTurn].sort() : []);
    if (isSent) expect(server.spans[0]?.resource).toMatchObject({ "service.name": "swapped" });
    const type = protocol === "http/json" ? "application/json" : "application/x-protobuf";
    expect(new Set(server.requests)).toEqual(new Set(isSent ? [type] : []));
    expect(/name: ["']invoke_agent tester["']/.test(output)).toBe(exporter === "console");
    if (exporter !== "console") expect(output).toBe("");
  });

  test("an invalid combination ends the program with the variable's name", async ({ expect }) => {
    const { code, output } = await end(start(scratch, { OTEL_TRACES_EXPORTER: "none,otlp" }));
    expect(code).toBe(1);
    expect(output).toContain('OTEL_TRACES_EXPORTER is "none,otlp"');
  });
});

test("P2 after SIGKILL in a turn the collector has all finished turns, and the file has all spans", async ({
  expect,
}) => {
  const server = await OtlpServer.start();
  const dir = mkdtempSync(join(scratch, "kill-"));
  const child = start(
    dir,
    {
      OTEL_TRACES_EXPORTER: "crash-safe-file,otlp",
      OTEL_EXPORTER_OTLP_ENDPOINT: server.endpoint,
    },
    "turn 2",
  );
  const ended = end(child);
  await server.until(({ spans }) => spans.some(({ name }) => name.startsWith("invoke_agent")));
  child.kill("SIGKILL");
  expect((await ended).code).toBe("SIGKILL");
  await server.close();
  const [turn] = server.spans.filter(({ name }) => name.startsWith("invoke_agent"));
  expect(namesOf(server.spans.filter(({ traceId }) => traceId === turn?.traceId))).toEqual(oneSentTurn);

  await recoverTraces(dir);
  const { trace } = await readTrace(join(dir, "ses_1.json"));
  expect(trace.summary.status).toBe("crashed");
  expect(kindsOf(trace)).toEqual([...oneTurn, ...oneTurn, "session"].sort());
  const interrupted = trace.spans.filter((span) => span.interrupted).map(({ kind }) => kind);
  expect(interrupted).toContain("generation");
  expect(readdirSync(dir)).toEqual(["ses_1.json"]);
});

describe("the crash fence of a session tracing", () => {
  test.concurrent.for([
    ["exit in turn 2", "crashed", 3],
    ["SIGTERM in turn 2", "crashed", "SIGTERM"],
    ["exit", "completed", 3],
    ["SIGTERM", "completed", "SIGTERM"],
    ["end", "completed", 0],
  ] as const)(
    "P3 a program that ends by %s leaves a document with status %s",
    async ([stop, status, code], { expect }) => {
      const dir = mkdtempSync(join(scratch, "fence-"));
      const child = await end(start(dir, {}, stop));
      expect(child.code, child.output).toBe(code);
      const trace: TraceFile = JSON.parse(readFileSync(join(dir, "ses_1.json"), "utf8"));
      expect(trace.summary.status).toBe(status);
      expect(readdirSync(dir)).toEqual(["ses_1.json"]);
    },
  );
});
