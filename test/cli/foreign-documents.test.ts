/** Documents of other programs, whose members have any type: every command reads them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { command, emptyDirectory } from "../support/command-stage.js";
import { documentOf, rootSpan, startedAt, toolSpan } from "../support/trace-documents.js";
import { randomOf, runSeed, trials } from "../support/trials.js";

const tokens = { input: 10, output: 5, reasoning: 1, cacheRead: 2, cacheWrite: 3, total: 21 };

/** A document with every member that the format has. */
function fullDocument(): object {
  const spans: TraceSpan[] = [
    toolSpan(1, {
      kind: "user-message",
      name: "user-message",
      input: "What is wrong?",
      endTime: startedAt + 1,
    }),
    toolSpan(2, {
      kind: "generation",
      name: "generation",
      model: { modelId: "large", providerId: "acme", variant: "high" },
      finishReason: "tool-calls",
      cost: 0.5,
      tokens,
      input: [{ role: "user", content: [{ type: "text", content: "What is wrong?" }] }],
      output: [{ role: "assistant", content: [{ type: "tool_call", name: "bash" }] }],
      endTime: startedAt + 9,
    }),
    toolSpan(3, {
      parentSpanId: "tool2",
      status: "error",
      statusMessage: "it failed",
      tool: { callId: "call", durationMs: 1 },
      input: { command: "make" },
      output: { error: "it failed" },
      attributes: { "otel.events": [{ name: "e", time: 1 }], "otel.links": [{ spanId: "s", traceId: "t" }] },
      original: { at: ["/input"], values: { key: { at: 0 } }, events: { "0": { key: "value" } } },
      traceId: "1af7651916cd43dd8448eb211c80319c",
      traceState: "a=b",
      remoteParentSpanId: "0123456789abcdef",
      resource: "r1",
      scope: "s1",
    }),
    toolSpan(4, { interrupted: true, status: "error" }),
    toolSpan(5, { kind: "span", name: "3 spans elided", attributes: { elided: 3, totalSpans: 9 } }),
    rootSpan({ attributes: { "crash_safe_file.parent.session_id": "ses_parent" } }),
  ];
  const document = documentOf("ses_1", { spans });
  const metadata = { title: "t", model: "acme/large", agent: "build", prompt: "p", tags: ["a"] };
  const summary = {
    ...document.summary,
    ...{ status: "crashed", error: "e", detector: "SIGTERM", reconstructed: true, narrative: "n" },
    ...{ turns: 1, errors: 1, interrupted: 1, lastActivityAt: document.endedAt },
    loops: [{ tool: "bash", inputHash: "0", count: 3, description: "d" }],
    topTools: [{ name: "bash", count: 3, totalDuration: 5 }],
  };
  const attributes = { "service.name": "n" };
  const resources = { r1: { attributes, schemaUrl: "u" } };
  const scopes = { s1: { name: "n", version: "1", schemaUrl: "u", attributes } };
  const layout = {
    v: 1,
    recovered: true,
    tools: [],
    calls: [],
    started: {},
    awaits: {},
    lost: {},
    moved: [],
  };
  return { ...document, metadata, summary, resources, scopes, layout: { ...layout, tailStart: 1 } };
}

/** Every type of JSON, and numbers that are no time and no count. */
const values = [
  null,
  true,
  -1,
  1e300,
  1.7e18,
  "",
  "text",
  [],
  [null],
  [1, "text"],
  {},
  { x: 1 },
  { x: null },
];

/** Paths of all members, as deep as the format defines them. */
function pathsIn(value: unknown, depth = 0): string[][] {
  if (typeof value !== "object" || value === null || depth > 5) return [];
  return Object.entries(value).flatMap(([key, member]) => [
    [key],
    ...pathsIn(member, depth + 1).map((path) => [key, ...path]),
  ]);
}

function replaced(document: object, path: readonly string[], value: unknown): object {
  const copy = structuredClone(document);
  const at = path.slice(0, -1).reduce((parent, key) => parent[key] as never, copy as Record<string, unknown>);
  at[path.at(-1) as string] = value;
  return copy;
}

const commands: readonly (readonly string[])[] = [
  ["list"],
  ["list", "--json", "--search", "x"],
  ["show", "./ses_1.json", "--limit", "0"],
  ["show", "./ses_1.json", "--json"],
  ["show", "./ses_1.json", "--span", "tool3"],
  ["show", "latest", "--errors"],
  ["show", "ses"],
  ["tail", "./ses_1.json", "--exit"],
  ["tail", "./ses_1.json", "--exit", "--json"],
  ["postmortem", "./ses_1.json"],
  ["postmortem", "./ses_1.json", "--md"],
  ["postmortem", "./ses_1.json", "--json"],
  ["stats"],
  ["stats", "./ses_1.json", "--json"],
  ["share", "./ses_1.json", "-o", "-"],
  ["share", "./ses_1.json", "-o", "-", "--no-content"],
  ["export", "./ses_1.json", "--format", "md"],
  ["export", "./ses_1.json", "--format", "otlp-json"],
  ["export", "./ses_1.json", "--format", "chrome"],
  ["export", "./ses_1.json", "--format", "jsonl"],
  ["verify"],
  ["replay", "--otlp", "http://localhost:1", "--dry-run"],
  ["recover", "--dry-run"],
  ["prune", "--keep", "1", "--dry-run"],
];

/** What a command said that shows a fault of its own. */
async function faultsOn(dir: string, document: object): Promise<string[]> {
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(document));
  const faults: string[] = [];
  for (const args of commands) {
    const stop = new AbortController();
    const { err } = await command(dir, args, {
      columns: 80,
      signal: stop.signal,
      onOutput: () => args[0] === "tail" && stop.abort(),
    });
    if (/report this as a bug|Error\b.*\n\s+at |is not a function/.test(err))
      faults.push(`${args.join(" ")}: ${err}`);
  }
  return faults;
}

test("P6 every command takes a document with a member of any type", { timeout: 1_800_000 }, async () => {
  const dir = emptyDirectory();
  const document = fullDocument();
  const cases = pathsIn(document).flatMap((path) => values.map((value) => [path, value] as const));
  const random = randomOf(runSeed);
  const order = cases.map((one) => [random(), one] as const).sort(([a], [b]) => a - b);
  const known = [
    [["id"], { x: 1 }],
    [["spans", "2", "name"], 5],
    [["spans", "1", "model"], 5],
    [["spans", "2", "startTime"], "noon"],
    [["spans", "2", "startTime"], 1.7e18],
  ] as const;
  const wanted = [...known, ...order.slice(0, trials(12, cases.length)).map(([, one]) => one)];
  for (const [path, value] of wanted) {
    const faults = await faultsOn(dir, replaced(document, path, value));
    expect(faults, `seed ${runSeed}: ${path.join(".")} = ${JSON.stringify(value)}`).toEqual([]);
  }
});
