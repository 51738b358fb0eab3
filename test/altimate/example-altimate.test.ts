/** The built altimate API: its example, both of its copies, and the cleanup of dropped traces. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";

const dir = mkdtempSync(join(tmpdir(), "example-altimate-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function run(program: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { FORCE_COLOR: _, ...ambient } = process.env;
  const options = { env: { ...ambient, NO_COLOR: "1", COLUMNS: "80", ...env } };
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], options, (error, stdout, stderr) =>
      resolve(`${stdout}${stderr}exit ${error ? error.code : 0}`),
    );
  });
}

describe("examples/altimate-code", () => {
  let output: string;
  let trace: TraceFile;
  beforeAll(async () => {
    output = await run("examples/altimate-code/demo.mjs", [dir]);
    trace = JSON.parse(readFileSync(join(dir, "ses_tuesday.json"), "utf8"));
  });

  test("P3 a signal in the middle of a tool call, and a resume: everything is as promised", () => {
    expect(output).toContain("Everything was as promised");
    expect(output).not.toContain("Not as promised");
    expect(output.match(/^ {3}✓ /gm)).toHaveLength(11);
    expect(output).toMatch(/exit 0$/);
    expect(readdirSync(dir)).toEqual(["ses_tuesday.json"]);
  });

  test("it prints what a person wants to know", () => {
    expect(output).toMatch(/Tue █+ 16287\n +Wed █+ 21010/);
    expect(output).toMatch(/find_gaps .*[^ ]s +━+!/);
    expect(output).toContain("Made 6 LLM calls using 3 tools (find_gaps, sum_by_day, describe_table).");
  });

  test("P10 the document has two turns, with what was logged", () => {
    const { metadata, spans, summary } = trace;
    expect(metadata).toMatchObject({
      title: "Tuesday's revenue",
      model: "example/scripted-1",
      agent: "analyst",
      userId: "ada",
    });
    expect(spans.filter(({ kind }) => kind === "user-message").map(({ input }) => input)).toEqual([
      "Why was Tuesday's revenue so low?",
      "Go on.",
    ]);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(2);
    expect(summary).toMatchObject({ status: "completed", totalGenerations: 6, totalToolCalls: 6 });
    const summed = spans.filter(({ name }) => name === "sum_by_day");
    expect(summed.map(({ status }) => status)).toEqual(["error", "ok"]);
    expect(summed[1]?.attributes).toMatchObject({ "de.lineage": ["orders.amount", "orders.day"] });
  });
});

test("the altimate entry can be required", async () => {
  const program = `const { Trace, Tracer } = require("opentelemetry-exporter-crash-safe-file/altimate");
    const trace = Trace.withExporters([]); trace.startTrace("x"); console.log(Tracer === Trace)`;
  expect(await run("-e", [program])).toBe("true\nexit 0");
});

test("a file exporter of another copy of the package records for a trace of this one", async () => {
  const program = `import { FileExporter, Trace } from "opentelemetry-exporter-crash-safe-file/altimate";
    import { secondCopyOf } from "./test/programs/second-copy.mjs";
    const other = secondCopyOf("altimate.js");
    const trace = Trace.withExporters([new other.FileExporter(process.argv[1])]); trace.startTrace("both");
    console.log(other.FileExporter === FileExporter, trace.getTracePath()); await trace.endTrace();`;
  const path = join(dir, "both.json");
  expect(await run("--input-type=module", ["-e", program, dir])).toBe(`false ${path}\nexit 0`);
  expect(JSON.parse(readFileSync(path, "utf8")).summary.status).toBe("completed");
});

test("P8 traces without a file that were dropped before their end leave nothing in memory", async () => {
  const program = `import { Trace } from "opentelemetry-exporter-crash-safe-file/altimate";
    const begin = (n) => {
      const trace = Trace.withExporters([{ name: "mine", export: async () => undefined }]);
      trace.startTrace("ses_" + n);
      trace.logStepStart({ id: "step" });
      trace.logText({ text: Buffer.alloc(1_000_000, "a").toString("latin1") });
    };
    for (let n = 0; n < 100; n++) begin(n);
    for (let n = 0; n < 5; n++) { await new Promise((later) => setTimeout(later, 10)); gc(); }
    const { heapUsed, external } = process.memoryUsage();
    console.log(heapUsed + external < 50_000_000);`;
  expect(await run("--expose-gc", ["--input-type=module", "-e", program])).toBe("true\nexit 0");
});
