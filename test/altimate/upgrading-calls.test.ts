/** The diffs of UPGRADING.md under "Calls that gain from a change": the code before and after runs on the drop-in, and the change gains. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FileExporter, Trace, type TraceExporter, type TraceFile } from "../../src/altimate.js";

const section =
  /^## Calls that gain from a change\n(.*?)^## /ms.exec(readFileSync("UPGRADING.md", "utf8"))?.[1] ?? "";
const diffs = [...section.matchAll(/^```diff\n(.*?)^```$/gms)].map(([, diff = ""]) =>
  diff.trimEnd().split("\n"),
);
const without = (lines: readonly string[], mark: string) =>
  lines
    .filter((line) => !line.startsWith(mark))
    .map((line) => line.slice(1))
    .join("\n");
const versions = diffs.map((lines) => ({ before: without(lines, "+"), after: without(lines, "-") }));

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "upgrading-"));
  vi.stubEnv("XDG_DATA_HOME", dir);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true, force: true });
});

/** Runs code of the page with these names; returns the value of its last expression where it has one line. */
function run(code: string, names: Readonly<Record<string, unknown>>): Promise<unknown> {
  const isExpression = !code.includes("\n");
  const body = isExpression ? `return (${code.replace(/;.*$/, "")});` : code;
  const AsyncFunction = (async () => {}).constructor as new (
    ...args: string[]
  ) => (...values: unknown[]) => Promise<unknown>;
  return new AsyncFunction(...Object.keys(names), body)(...Object.values(names));
}

function started(id: string): Trace {
  const trace = Trace.withExporters([new FileExporter(dir)]);
  trace.startTrace(id);
  return trace;
}

const document = (id: string): TraceFile => JSON.parse(readFileSync(join(dir, `${id}.json`), "utf8"));

test("the page has four of them, each with a line before or after", () => {
  expect(versions.length).toBe(4);
  for (const { before, after } of versions) expect(before).not.toBe(after);
});

test.each(["before", "after"] as const)("a tool that is logged when it starts: %s", async (version) => {
  const trace = started("s");
  const spans: TraceFile["spans"][] = [];
  const tool = async () => {
    await trace.flush();
    spans.push(document("s").spans.filter(({ kind }) => kind === "tool"));
    return "out";
  };
  const names = {
    trace,
    part: { tool: "ls", callID: "c" },
    input: { path: "/" },
    time: { start: 1, end: 2 },
    run: tool,
  };
  await run(versions[0]?.[version] as string, names);
  await trace.endTrace();
  expect(spans[0]).toMatchObject(version === "before" ? [] : [{ name: "ls", input: { path: "/" } }]);
  expect(spans[0]?.length).toBe(version === "before" ? 0 : 1);
  expect(document("s").spans.filter(({ kind }) => kind === "tool")).toMatchObject([
    { name: "ls", output: "out" },
  ]);
});

test.each(["before", "after"] as const)("a subagent that names its parent: %s", async (version) => {
  const trace = started("s");
  trace.logToolCall({ tool: "task", callID: "c", state: { status: "running" } } as never);
  const subagent = Trace.withExporters([new FileExporter(dir)]);
  await run(versions[1]?.[version] as string, { trace, subagent, childId: "child", prompt: "go" });
  subagent.logUserMessage("go");
  await subagent.endTrace();
  await trace.endTrace();
  const call = document("s").spans.find(({ kind }) => kind === "tool");
  const child = JSON.stringify(document("child"));
  expect(child.includes(call?.spanId as string)).toBe(version === "after");
});

test.each(["before", "after"] as const)("Langfuse: %s", async (version) => {
  class LangfuseExporter implements TraceExporter {
    readonly name = "langfuse";
    export = () => Promise.resolve(undefined);
  }
  const trace = await run(versions[2]?.[version] as string, { Trace, LangfuseExporter });
  expect(trace).toBeInstanceOf(Trace);
  (trace as Trace).startTrace("s");
  expect(await (trace as Trace).endTrace()).toMatch(/s\.json$/);
});

test.each(["before", "after"] as const)("a logger of the host: %s", async (version) => {
  const warnings: unknown[] = [];
  const log = { warn: (...args: unknown[]) => warnings.push(args) };
  const failing: TraceExporter = { name: "failing", export: () => Promise.reject(new Error("down")) };
  const exporters = [new FileExporter(dir), failing];
  const trace = (await run(versions[3]?.[version] as string, { Trace, exporters, log })) as Trace;
  trace.startTrace("s");
  await trace.endTrace();
  expect(warnings.length > 0).toBe(version === "after");
  expect(readdirSync(dir)).toContain("s.json");
});
