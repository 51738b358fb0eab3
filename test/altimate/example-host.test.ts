/**
 * `examples/altimate-code/host.mjs`, as users run it and as a compiled binary: turns, kills, continued sessions, many
 * sessions in a worker thread.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Trace } from "../../src/altimate.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { misplaced } from "../support/old-tracer-model.js";
import { orphansOf } from "../support/span-lines.js";

let dir: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "example-host-"));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(dir, { recursive: true, force: true });
});

const program = "examples/altimate-code/host.mjs";
const bun = process.versions.bun
  ? process.execPath
  : fileURLToPath(new URL("../matrix/node_modules/@oven/bun-linux-x64/bin/bun", import.meta.url));
const binaries = mkdtempSync(join(tmpdir(), "example-host-binary-"));
const binary = join(binaries, "host");
beforeAll(() => {
  if (existsSync(bun))
    execFileSync(bun, ["build", "--compile", program, "--outfile", binary], { stdio: "ignore" });
});
afterAll(() => rmSync(binaries, { recursive: true, force: true }));

/** The command of a host: the program, and the binary that Bun makes of the program and this package. */
let command: readonly string[] = [];
const ways = [
  ["the program", [process.execPath, program]],
  ["the compiled binary", [binary]],
] as const;

/** A host that runs, and the lines that it prints. */
function host(mode: string, ...args: string[]) {
  const [file = "", ...first] = command;
  const child = spawn(file, [...first, mode, dir, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const said: string[] = [];
  const waiting: (() => void)[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    said.push(line);
    for (const look of waiting) look();
  });
  return {
    child,
    said,
    ended: once(child, "close").then(([code, signal]) => code ?? signal),
    says: (words: string, times = 1) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (said.filter((line) => line.includes(words)).length >= times) resolve();
        };
        waiting.push(look);
        look();
      }),
  };
}

const documentOf = (id: string): TraceFile => JSON.parse(readFileSync(join(dir, `${id}.json`), "utf8"));
const shown = ({ spans }: TraceFile) =>
  spans.map(
    ({ kind, status, interrupted }) => `${kind}${interrupted ? " cut" : status === "error" ? " failed" : ""}`,
  );
const expectTree = (document: TraceFile) =>
  expect([orphansOf(document), misplaced(document)]).toEqual([[], []]);

describe.each(ways)("%s", (way, started) => {
  beforeEach(({ skip }) => {
    skip(way === "the compiled binary" && !existsSync(bun), "Bun is not installed");
    command = started;
  });

  test("a run, and a run that continues it", async () => {
    expect(await host("run", "ses_1", "list count").ended).toBe(0);
    expect(await host("run", "ses_2", "count").ended).toBe(0);
    expect(await host("run", "ses_1", "fail").ended).toBe(0);
    expect(await host("continue", "list").ended).toBe(0);
    const document = documentOf("ses_1");
    const step = ["generation", "tool"];
    const turns = [
      ["user-message", ...step, ...step, "generation"],
      ["user-message", "generation", "tool failed", "generation"],
      ["user-message", ...step, "generation"],
    ];
    expect(shown(document)).toEqual([...turns.flat(), "session"]);
    expectTree(document);
    expect(document.summary).toMatchObject({
      status: "completed",
      turns: 3,
      errors: 1,
      totalGenerations: 7,
      totalToolCalls: 4,
      tokens: { input: 420, cacheRead: 280, output: 140 },
    });
    const answers = document.spans.filter(
      ({ kind, output }) => kind === "generation" && /^Done/.test(String(output)),
    );
    expect(answers.map(({ output }) => output)).toEqual(["Done: list count", "Done: fail", "Done: list"]);
    const tools = document.spans.filter(({ kind, status }) => kind === "tool" && status === "ok");
    expect(tools.map(({ output }) => String(output).replace(/^\d+$/, "a number"))).toEqual([
      "src test package.json",
      "a number",
      "src test package.json",
    ]);
    expect(readdirSync(dir).sort()).toEqual(["ses_1.json", "ses_2.json"]);
  });

  test.each(["SIGKILL", "SIGTERM"] as const)(
    "P2 %s in the middle of a tool, and a continued session",
    async (signal) => {
      const first = host("run", "ses_1", "list wait");
      await first.says("runs wait");
      first.child.kill(signal);
      await first.ended;
      const { trace } = (await Trace.listTraces(dir))[0] as { trace: TraceFile };
      expect(trace.summary).toMatchObject({ status: "crashed", totalGenerations: 2, totalToolCalls: 2 });
      expect(shown(trace).sort()).toEqual(
        ["generation", "generation cut", "session cut", "tool", "tool cut", "user-message"].sort(),
      );
      expect(await host("continue", "count").ended).toBe(0);
      const document = documentOf("ses_1");
      expectTree(document);
      expect(document.summary).toMatchObject({
        status: "completed",
        turns: 2,
        interrupted: 2,
        totalGenerations: 4,
        totalToolCalls: 3,
      });
      expect(readdirSync(dir)).toEqual(["ses_1.json"]);
    },
  );

  test.each(["end of the input", "SIGTERM", "SIGKILL"] as const)(
    "P2 many sessions in a worker thread, until %s",
    async (end) => {
      const sessions = Array.from({ length: 6 }, (_, n) => `ses_${n}`);
      const server = host("serve");
      for (const id of sessions) server.child.stdin.write(`${id} list\n`);
      await server.says("answers Done: list", sessions.length);
      // One of them is in the middle of a tool.
      server.child.stdin.write("ses_0 wait\n");
      await server.says("ses_0 runs wait");
      if (end === "end of the input") server.child.stdin.end();
      else server.child.kill(end);
      expect(await server.ended).toBe(end === "SIGKILL" ? "SIGKILL" : 0);
      const listed = await Trace.listTraces(dir);
      expect(listed.map(({ sessionId }) => sessionId).sort()).toEqual(sessions);
      for (const { sessionId, trace } of listed) {
        const isBusy = sessionId === "ses_0";
        expectTree(trace as TraceFile);
        expect([sessionId, trace.summary.status]).toEqual([
          sessionId,
          isBusy && end === "SIGKILL" ? "crashed" : "completed",
        ]);
        expect(trace.summary).toMatchObject({
          turns: isBusy ? 2 : 1,
          interrupted: isBusy ? 2 : 0,
          totalToolCalls: isBusy ? 2 : 1,
        });
      }
      expect(await host("run", "ses_0", "count").ended).toBe(0);
      expect(documentOf("ses_0").summary).toMatchObject({ status: "completed", turns: 3, totalToolCalls: 3 });
    },
  );
});
