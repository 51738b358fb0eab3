/** The examples, run as a reader runs them. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { OtlpServer } from "../support/otlp-server.js";

const scratch = mkdtempSync(join(tmpdir(), "examples-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Runs an example without OpenTelemetry variables of the reader's environment. */
function run(file: string, args: readonly string[] = [], env: Record<string, string> = {}): Promise<string> {
  const own = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(OTEL_|FORCE_COLOR)/.test(name)),
  );
  const options = { env: { ...own, NO_COLOR: "1", COLUMNS: "80", ...env } };
  return new Promise((done, fail) =>
    execFile(process.execPath, [`examples/${file}`, ...args], options, (error, stdout, stderr) =>
      error ? fail(new Error(`${error.message}\n${stdout}`)) : done(stdout + stderr),
    ),
  );
}

test("hosted-otlp: turns arrive one by one, also of an agent that is killed, and the file has the rest", async () => {
  const output = await run("hosted-otlp/demo.mjs");
  const arrived = [...output.matchAll(/turn (\d) has arrived: "(.*)"/g)].map(
    ([, number, text]) => `${number} ${text}`,
  );
  const questions = ["1 How many files has the library?", "2 Which is the longest?", "3 And what is it for?"];
  expect(arrived).toEqual([...questions, ...questions.slice(0, 2)]);
  expect(output).toContain("killed: SIGKILL. The collector has 2 turns: all that were finished.");
  expect(output).toContain("The file has 3, and status crashed:");
  expect(output).toContain("It was killed in read_head.");
  expect(output).toMatch(/execute_tool list_files +\d+ ms +━/);
});

test("hosted-otlp: sends to the reader's collector", async () => {
  const server = await OtlpServer.start();
  const output = await run("hosted-otlp/demo.mjs", [], { OTEL_EXPORTER_OTLP_ENDPOINT: server.endpoint });
  await server.close();
  expect(output).toContain('Three turns of the service "librarian" are at http://127.0.0.1:');
  expect(server.names.filter((name) => name === "invoke_agent librarian")).toHaveLength(3);
  expect(server.spans[0]?.resource).toMatchObject({ "service.name": "librarian" });
});

test("existing-provider: spans of the host are nested under the right tool of the right session", async () => {
  const output = await run("existing-provider/host.mjs", [scratch]);
  expect(output).toMatch(/^ses_ada {2}✓ completed\nHow many customers\?/m);
  expect(output).toMatch(/other processor has had 10 spans as well/);
  for (const [id, table] of [
    ["ses_ada", "customers"],
    ["ses_bob", "orders"],
  ]) {
    const { spans }: TraceFile = JSON.parse(readFileSync(join(scratch, `${id}.json`), "utf8"));
    const query = spans.find(({ name }) => name.startsWith("SELECT"));
    expect(query?.name).toBe(`SELECT ${table}`);
    expect(spans.find(({ spanId }) => spanId === query?.parentSpanId)).toMatchObject({
      kind: "tool",
      name: "sql",
    });
  }
});
