/** Everything on the pages that can be run: programs, `jq` lines, links. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { blocks, pages, projectWithPackage, run } from "../support/pages.js";

const programs = blocks("ts");
const project = projectWithPackage();
afterAll(() => rmSync(project, { recursive: true, force: true }));

describe("the programs of the pages", () => {
  test("compile", async () => {
    expect(programs.map(({ path }) => path)).toEqual(
      expect.arrayContaining(["README.md", "UPGRADING.md", "docs/api.md", "docs/replay.md"]),
    );
    programs.forEach(({ block }, i) => {
      writeFileSync(join(project, `program-${i}.ts`), block);
    });
    const options = { module: "nodenext", target: "es2022", strict: true, noEmit: true, types: ["node"] };
    // Libraries are checked as well: the types of this package must need nothing a user does not have.
    const compilerOptions = { ...options, lib: ["es2024"], skipLibCheck: false };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
    const { code, output } = await run(project, process.execPath, [join(typescript, "bin/tsc")]);
    expect({ code, output }).toEqual({ code: 0, output: "" });
  });

  test("of the README, the API and replay print what the page shows, one after the other", async () => {
    const outputs: string[] = [];
    for (const [i, { path, block }] of programs.entries()) {
      if (!["README.md", "docs/api.md", "docs/replay.md"].includes(path)) continue;
      writeFileSync(join(project, `program-${i}.mjs`), block);
      const { code, output } = await run(project, process.execPath, [`program-${i}.mjs`]);
      expect(code, output).toBe(0);
      outputs.push(output);
    }
    expect(readdirSync(join(project, "traces"))).toEqual(["ses_2.json"]);
    const spansOf = (file: string) => {
      const document: TraceFile = JSON.parse(readFileSync(join(project, "traces", file), "utf8"));
      return document.spans.map(({ name }) => name);
    };
    expect(spansOf("ses_2.json")).toEqual(["user-message", "generation-step_1", "read_file", "ses_2"]);
    expect(outputs).toEqual(["", "ses_2 completed 4\n", ""]);
  });
});

describe("the links of the pages", () => {
  /** Anchors as the sites that show the pages make them. */
  const anchorsOf = (text: string) =>
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, "")
        .replaceAll(" ", "-"),
    );
  const links = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => ({ path, link })),
  );

  test("lead to existing files and headings", () => {
    expect(links.length).toBeGreaterThan(20);
    const dead = links.filter(({ path, link }) => {
      if (link.startsWith("https://")) return false;
      const [file, anchor] = link.split("#");
      const target = file ? join(dirname(path), file) : path;
      if (!existsSync(target)) return true;
      return anchor !== undefined && !anchorsOf(readFileSync(target, "utf8")).includes(anchor);
    });
    expect(dead).toEqual([]);
  });

  test("reach every page from the README", () => {
    const reached = new Set(["README.md"]);
    for (const page of reached) {
      for (const { path, link } of links) if (path === page) reached.add(join(dirname(path), link));
    }
    expect(pages.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([]);
  });
});

const hasJq = spawnSync("sh", ["-c", "command -v jq"]).status === 0;

test.skipIf(!hasJq)("the jq lines of the pages print what the page shows (needs jq)", async () => {
  const lines = blocks("sh")
    .flatMap(({ block }) => block.split("\n"))
    .filter((line) => line.startsWith("jq "));
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
    const { code, output } = await run(dir, "sh", ["-c", line]);
    expect(code, `${line}\n${output}`).toBe(0);
    outputs.push(output.trim());
  }
  const running = "tool\trun\ngeneration\tchat";
  expect(JSON.parse(outputs[0] ?? "")).toEqual(document.summary);
  expect(outputs.slice(1)).toEqual([
    running,
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
