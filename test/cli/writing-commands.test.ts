/** `recover`, `replay` and `prune`: the only commands that write. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { command, commandDirectory, emptyDirectory } from "../support/command-stage.js";
import { OtlpServer } from "../support/otlp-server.js";

test("recover does what its dry run reports, and verify finds the session whole then", async () => {
  const dir = commandDirectory();
  const reported = await command(dir, ["recover", "--dry-run", "--json"]);
  expect((await command(dir, ["verify", "ses_killed"])).code).toBe(1);
  const done = await command(dir, ["recover", "--json"]);
  const [planned, real] = [JSON.parse(reported.out), JSON.parse(done.out)];
  expect(planned).toMatchObject({
    dryRun: true,
    running: 1,
    failures: [],
    sessions: [{ id: "ses_killed", status: "crashed" }],
  });
  expect(real).toEqual({ ...planned, dryRun: false });
  expect((await command(dir, ["verify", "ses_killed"])).code).toBe(0);
  const { out } = await command(dir, ["recover", "--json"]);
  expect(JSON.parse(out).sessions).toEqual([]);
  expect(readdirSync(dir).some((name) => name.startsWith("ses_active.json."))).toBe(true);
});

test("P14 recover reports a directory that does not exist, and does not create it", async () => {
  const dir = join(emptyDirectory(), "typo");
  const { code, err } = await command(dir, ["recover"]);
  expect([code, err]).toEqual([1, expect.stringContaining(`${dir}: it does not exist`)]);
  expect(existsSync(dir)).toBe(false);
});

test("replay sends crashed sessions once, and reports a backend that refuses them", async () => {
  const dir = commandDirectory();
  const server = await OtlpServer.start();
  const replay = (...args: string[]) =>
    command(dir, ["replay", "--otlp", server.endpoint, "--json", ...args]);
  try {
    const planned = JSON.parse((await replay("--dry-run")).out);
    expect(planned.sessions.map(({ id }: { id: string }) => id).sort()).toEqual([
      "ses_broken",
      "ses_crashd",
      "ses_killed",
      "ses_newer",
    ]);
    server.behaviour = 400;
    const refused = await replay();
    expect(refused.code).toBe(1);
    expect(JSON.parse(refused.out).failures[0].error).toContain("answered 400");
    server.behaviour = "take";
    const sent = await replay();
    expect(sent.code).toBe(0);
    expect(JSON.parse(sent.out)).toMatchObject({ url: server.url, failures: [] });
    const { length } = server.spans;
    expect(length).toBeGreaterThan(20);
    expect(new Set(server.spans.map(({ traceId, spanId }) => `${traceId} ${spanId}`)).size).toBeGreaterThan(
      15,
    );
    expect(JSON.parse((await replay("--dry-run")).out).sessions).toEqual([]);
    expect(JSON.parse((await replay()).out).sessions).toEqual([]);
    expect(server.spans).toHaveLength(length);
  } finally {
    await server.close();
  }
});

test("replay tries again when a backend is busy", async () => {
  const dir = commandDirectory();
  const server = await OtlpServer.start();
  try {
    server.behaviour = 503;
    const replay = command(dir, ["replay", "--otlp", server.url]);
    await server.until(({ requests }) => requests.length > 0);
    server.behaviour = "take";
    expect((await replay).code).toBe(0);
    expect(server.spans.length).toBeGreaterThan(0);
  } finally {
    await server.close();
  }
});

test("replay asks a backend that is down once, and says so in one line", async () => {
  const dir = commandDirectory();
  const server = await OtlpServer.start();
  const { url } = server;
  await server.close();
  const { code, err } = await command(dir, ["replay", "--otlp", url]);
  expect(code).toBe(1);
  const failed = err.split("\n").filter((line) => line.startsWith("failed:"));
  expect(failed).toEqual([
    expect.stringMatching(/^failed: 4 sessions: http:.* does not answer: .*ECONNREFUSED/),
  ]);
  const json = await command(dir, ["replay", "--otlp", url, "--json"]);
  expect(JSON.parse(json.out).failures).toHaveLength(4);
});

test("prune removes what its dry run reports, and neither live sessions, unrecovered ones, nor foreign files", async () => {
  const dir = commandDirectory();
  const before = readdirSync(dir);
  const args = ["prune", "--keep", "1", "--json"];
  const planned = JSON.parse((await command(dir, [...args, "--dry-run"])).out);
  expect(readdirSync(dir)).toEqual(before);
  const done = JSON.parse((await command(dir, args)).out);
  expect(done).toEqual({ ...planned, dryRun: false });
  expect(done.removed.length).toBeGreaterThan(2);
  expect(done.held.sort()).toEqual([join(dir, "ses_active.json"), join(dir, "ses_killed.json")]);
  const removed = done.removed.map(({ path }: { path: string }) => path.slice(dir.length + 1));
  expect(readdirSync(dir).sort()).toEqual(before.filter((name) => !removed.includes(name)).sort());
  expect(readFileSync(join(dir, "package.json"), "utf8")).toBe('{"name":"no trace"}\n');
  expect(removed).not.toContain("package.json");
});

test("prune by age and by size", async () => {
  const dir = commandDirectory();
  const young = JSON.parse((await command(dir, ["prune", "--older-than", "52w", "--dry-run", "--json"])).out);
  expect(young.removed).toEqual([]);
  const old = JSON.parse((await command(dir, ["prune", "--older-than", "1h", "--dry-run", "--json"])).out);
  expect(old.removed.length).toBeGreaterThan(3);
  const { removed } = JSON.parse((await command(dir, ["prune", "--max-bytes", "40KB", "--json"])).out);
  expect(removed.length).toBeGreaterThan(0);
  const left = readdirSync(dir).filter((name) =>
    /^ses_(finish|failed|crashd|capped|broken|newer)\.json$/.test(name),
  );
  const bytes = left.reduce((sum, name) => sum + readFileSync(join(dir, name)).length, 0);
  expect(bytes).toBeLessThanOrEqual(40 * 1024);
});
