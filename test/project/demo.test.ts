import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { readTrace } from "../../src/recovery/read-trace.js";

const scratch = mkdtempSync(join(tmpdir(), "demo-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Run {
  readonly code: number;
  readonly output: string;
  readonly lines: readonly string[];
}

/** Runs a program of the example as a user does who pipes its output. */
function run(program: string, args: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  const { FORCE_COLOR: _, ...ambient } = process.env;
  return new Promise((resolve) => {
    const file = `examples/ai-sdk-agent/${program}`;
    const options = { env: { ...ambient, NO_COLOR: "1", COLUMNS: "80", ...env } };
    execFile(process.execPath, [file, ...args], options, (error, stdout, stderr) => {
      const output = `${stdout}${stderr}`;
      resolve({ code: error ? Number(error.code ?? -1) : 0, output, lines: output.split("\n") });
    });
  });
}

describe("the demo", () => {
  const dir = join(scratch, "kept");
  let demo: Run;
  let path: string;
  let trace: TraceFile;
  beforeAll(async () => {
    demo = await run("demo.mjs", [dir]);
    path = join(dir, readdirSync(dir).find((name) => name.endsWith(".json")) ?? "no document");
    trace = (await readTrace(path)).trace;
  });

  test("P2 a killed agent's session is whole, recovered, resumed and ended", () => {
    expect(demo.output).toContain("Everything was as promised");
    expect(demo.code).toBe(0);
    expect(demo.lines.filter((line) => line.startsWith("   ✗ "))).toEqual([]);
    expect(
      demo.lines
        .filter((line) => /^\d {2}/.test(line))
        .map((line) => line[0])
        .join(""),
    ).toBe("123456");
  });

  test("P2 the document has both runs", () => {
    expect(readdirSync(dir)).toHaveLength(1);
    expect(trace.summary.status).toBe("completed");
    expect(trace.summary.totalGenerations).toBe(5);
    const tools = trace.spans.filter(({ kind }) => kind === "tool");
    expect(tools.map(({ name, status, interrupted }) => [name, status, interrupted])).toEqual(
      expect.arrayContaining([
        ["list_files", "ok", undefined],
        ["read_file", "ok", undefined],
        ["run", "ok", undefined],
        ["time_disk_sync", "error", true],
        ["time_disk_sync", "ok", undefined],
      ]),
    );
    expect(tools).toHaveLength(5);
    const turns = trace.spans.filter(({ name }) => name === "ai.generateText");
    expect(turns.map(({ interrupted }) => interrupted)).toEqual([true, undefined]);
  });

  test("its tools did real work on this repository", () => {
    const outputs = trace.spans
      .filter(({ kind }) => kind === "tool")
      .map(({ output }) => JSON.stringify(output));
    expect(outputs.find((output) => output?.includes("session-writer.ts"))).toBeDefined();
    expect(
      outputs.find((output) => output?.includes("opentelemetry-exporter-crash-safe-file")),
    ).toBeDefined();
  });

  test("it is plain text without colours, and fits 80 columns except for paths", () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what it looks for
    expect(demo.output).not.toMatch(/\u001b/);
    expect(demo.lines.filter((line) => line.length > 80 && !line.includes(dir))).toEqual([]);
  });

  test("it draws both runs as the command does, and marks what was interrupted without a colour", () => {
    const isDrawn = (line: string) => /time_disk_sync .*[^ ]s +━*!$/.test(line);
    expect(demo.lines.filter(isDrawn)).toHaveLength(2);
    expect(demo.lines.filter((line) => line.includes("✗ crashed · "))).toHaveLength(1);
    expect(demo.lines.filter((line) => line.includes("✓ completed"))).toHaveLength(1);
  });
});

test("the demo fails when a promise is broken", async () => {
  const dir = join(scratch, "broken");
  const preload = "./test/programs/demo-immortal-files.mjs";
  const options = { NODE_OPTIONS: `--import ${preload}`, BUN_OPTIONS: `--preload ${preload}` };
  const { code, output } = await run("demo.mjs", [dir], options);
  expect(output).toContain("✗ the side files are gone");
  expect(output).toContain("Not as promised: ");
  expect(code).toBe(1);
});
