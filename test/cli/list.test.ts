/** `list`: which files it opens, and sessions that are in no file of their own yet. */
import fs, { cpSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { expect, onTestFinished, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { command, commandDirectory, emptyDirectory } from "../support/command-stage.js";

const released = "test/fixtures/released/0.1.0";
const agent = { "gen_ai.operation.name": "invoke_agent" };
const deadFiles = "ses_killed.json.1-1-0-00000000-00000000";

/** Sessions of a dead process: a document, and side files with the end of it. `ses_dead00` has the newest write. */
function deadSessions(count: number): string {
  const dir = emptyDirectory();
  const document = readFileSync(`${released}/crashed.json`, "utf8");
  for (let n = 0; n < count; n++) {
    const name = `ses_dead${String(n).padStart(2, "0")}`;
    writeFileSync(`${dir}/${name}.json`, document.replaceAll("ses_golden", name));
    for (const end of ["open", "live"]) {
      const text = readFileSync(`${released}/${deadFiles}.${end}`, "utf8");
      writeFileSync(
        `${dir}/${deadFiles.replace("ses_killed", name)}.${end}`,
        text.replaceAll("ses_killed", name),
      );
    }
    const at = new Date(Date.UTC(2026, 0, 2, 3, 4, 10) - n * 60_000);
    for (const file of readdirSync(dir)) if (file.startsWith(name)) utimesSync(`${dir}/${file}`, at, at);
  }
  return dir;
}

/** The calls of `node:fs` while `run` runs, by name. */
async function callsOf(run: () => Promise<unknown>): Promise<Record<string, readonly string[]>> {
  const seen: Record<string, string[]> = {};
  const restore: (() => void)[] = [];
  const modules = { fs: fs as never, promises: fs.promises as never } as Record<
    string,
    Record<string, unknown>
  >;
  for (const [module, name] of [
    ["fs", "readdirSync"],
    ["promises", "readdir"],
    ["fs", "openSync"],
    ["fs", "open"],
  ] as const) {
    const calls = modules[module] as Record<string, (...args: unknown[]) => unknown>;
    const call = calls[name] as (...args: unknown[]) => unknown;
    calls[name] = (...args) => {
      seen[name] = [...(seen[name] ?? []), String(args[0])];
      return call.apply(calls, args);
    };
    restore.push(() => {
      calls[name] = call;
    });
  }
  try {
    await run();
  } finally {
    for (const one of restore) one();
  }
  return seen;
}

test("P13 reads the directory once, and the side files only of dead sessions that are shown", async () => {
  const dir = deadSessions(30);
  const calls = await callsOf(async () => {
    const { code, out } = await command(dir, ["list", "--limit", "2", "--json"]);
    expect(code).toBe(0);
    const { total, sessions } = JSON.parse(out);
    expect(total).toBe(30);
    expect(sessions.map(({ name }: { name: string }) => name)).toEqual(["ses_dead00", "ses_dead01"]);
  });
  expect((calls.readdirSync ?? []).length + (calls.readdir ?? []).length).toBe(1);
  const logs = [...(calls.open ?? []), ...(calls.openSync ?? [])].filter((path) =>
    /\.(open|live)$/.test(path),
  );
  expect(new Set(logs.map((path) => /ses_dead\d\d/.exec(path)?.[0]))).toEqual(
    new Set(["ses_dead00", "ses_dead01"]),
  );
});

test("P14 a filter finds dead sessions by the state that their side files show", async () => {
  const dir = deadSessions(5);
  cpSync(`${released}/completed.json`, `${dir}/ses_golden.json`);
  for (const [args, names] of [
    [
      ["--status", "crashed"],
      ["ses_dead00", "ses_dead01", "ses_dead02", "ses_dead03", "ses_dead04"],
    ],
    [["--status", "completed"], ["ses_golden"]],
    [["--since", "5m"], []],
    [["--search", "ses_dead03"], ["ses_dead03"]],
  ] as const) {
    const { out } = await command(dir, ["list", ...args, "--json"]);
    expect(
      JSON.parse(out).sessions.map(({ name }: { name: string }) => name),
      args.join(" "),
    ).toEqual(names);
  }
});

test("P13 a filter reads no dead session that it leaves out by its last write, or because nothing runs in it", async () => {
  const dir = deadSessions(5);
  for (const [args, read] of [
    [
      ["--since", "7m"],
      ["ses_dead00", "ses_dead01"],
    ],
    [["--status", "running,idle"], []],
    [["--status", "running,crashed", "--since", "6m"], ["ses_dead00"]],
  ] as const) {
    const calls = await callsOf(async () => {
      const { code, err } = await command(dir, ["list", ...args, "--json"]);
      expect({ args, code, err }).toEqual({ args, code: 0, err: "" });
    });
    const logs = [...(calls.open ?? []), ...(calls.openSync ?? [])].filter((path) => path.endsWith(".open"));
    expect(new Set(logs.map((path) => /ses_dead\d\d/.exec(path)?.[0])), args.join(" ")).toEqual(
      new Set(read),
    );
  }
});

test("P11 a trace that names no session yet is listed, shown and followed under its trace id", async () => {
  const dir = emptyDirectory();
  const exporter = new CrashSafeFileSpanExporter({ dir });
  const provider = new BasicTracerProvider({ spanProcessors: [new CrashSafeSpanProcessor(exporter)] });
  onTestFinished(() => provider.shutdown());
  const span = provider.getTracer("test").startSpan("GET /orders");
  const { traceId } = span.spanContext();
  // Nothing but the unnamed log of this process.
  expect(readdirSync(dir)).toEqual([expect.stringMatching(/^unnamed\..*\.live$/)]);
  const { out } = await command(dir, ["list", "--json"]);
  expect(JSON.parse(out).sessions).toMatchObject([{ id: traceId, status: "running", writer: "alive" }]);
  for (const reference of [traceId, traceId.slice(0, 6), "latest"]) {
    const shown = await command(dir, ["show", reference]);
    expect(shown).toMatchObject({ code: 0, out: expect.stringContaining("GET /orders") });
  }
  span.end();
});

test("P14 shows a session that runs as long as show does: until now", async () => {
  const dir = commandDirectory();
  const { sessions } = JSON.parse((await command(dir, ["list", "--status", "running", "--json"])).out);
  const [{ id, durationMs }] = sessions;
  expect({ id, durationMs }).toEqual({ id: "ses_active", durationMs: 355_000 });
  for (const args of [
    ["list", "--status", "running"],
    ["show", id],
  ])
    expect((await command(dir, args)).out).toContain("5m55s");
});

test.each([
  ["calls of a model only", [{}, {}], 0],
  ["calls of an agent", [agent, {}, agent], 2],
])("P14 counts the turns of a client with %s as show does", async (_, attributes, turns) => {
  const dir = emptyDirectory();
  const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
  for (const more of attributes)
    tracer
      .startSpan("call", { attributes: { "session.id": "ses_1", "gen_ai.operation.name": "chat", ...more } })
      .end();
  await processor.shutdown();
  const { sessions } = JSON.parse((await command(dir, ["list", "--json"])).out);
  expect(sessions).toMatchObject([{ id: "ses_1", turns }]);
  const { out } = await command(dir, ["show", "ses_1"]);
  expect(/(\d+) turns?/.exec(out)?.[1]).toBe(turns === 0 ? undefined : String(turns));
  const { code } = await command(dir, ["show", "ses_1", "--turn", "2"]);
  expect(code).toBe(0);
});

test("P14 a session without a title that died is no title of its own: its status says that it died", async () => {
  const dir = emptyDirectory();
  const document = JSON.parse(readFileSync(`${released}/crashed.json`, "utf8"));
  const { title, prompt, ...metadata } = document.metadata;
  const errors = {
    ses_died: "The process ended without closing the session",
    ses_signal: "Received SIGTERM",
  };
  for (const [sessionId, error] of Object.entries(errors)) {
    const summary = { ...document.summary, error };
    writeFileSync(`${dir}/${sessionId}.json`, JSON.stringify({ ...document, sessionId, metadata, summary }));
  }
  const { out } = await command(dir, ["list"], { columns: 120 });
  expect(out).not.toContain("without closing");
  expect(out.match(/crashed/g)).toHaveLength(2);
  expect(out).toContain("Received SIGTERM");
});
