/** Side files that no writer made: each costs only itself, in bounded memory and time. */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { Stage } from "../support/session-stage.js";
import { ended } from "../support/span-lines.js";

const program = join(import.meta.dirname, "../programs/recovering.mjs");
/** An owner of another machine whose lease has expired. */
const token = "1-1-1-aaaaaaaa-bbbbbbbb";
const hourAgo = new Date(Date.now() - 3_600_000);

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hostile-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** The side files of a writer that was killed, in the directory. */
function killedSession(): void {
  const source = join(import.meta.dirname, "../programs/restricted-session.mjs");
  const { signal, stderr } = spawnSync(process.execPath, [source, dir, "kill"], { encoding: "utf8" });
  expect(signal, stderr).toBe("SIGKILL");
}

/** A file of this size without content, and the texts at these offsets. */
function sparse(path: string, size: number, texts: readonly (readonly [number, string])[] = []): void {
  const fd = openSync(path, "w");
  ftruncateSync(fd, size);
  for (const [at, text] of texts) writeSync(fd, text, at);
  closeSync(fd);
}

const hostile: Readonly<Record<string, (name: string) => void>> = {
  "a directory as append log": (name) => mkdirSync(`${name}.open`),
  "a directory as journal": (name) => mkdirSync(`${name}.live`),
  "an append log of 1 GB without content": (name) => sparse(`${name}.open`, 1_000_000_000),
  "a journal of 1 GB without content": (name) => sparse(`${name}.live`, 1_000_000_000),
  "an append log with a line of 512 MB": (name) => sparse(`${name}.open`, 512_000_001, [[512_000_000, "\n"]]),
  "a journal with a line of 512 MB": (name) => sparse(`${name}.live`, 512_000_001, [[512_000_000, "\n"]]),
  "an append log whose end claims a tail of 1 GB": (name) =>
    sparse(`${name}.open`, 1_000_000_000, [
      [0, '{"version":2,"id":"s","traceId":"","sessionId":"s","startedAt":"","spans":[\n'],
      [999_999_900, `\n${" ".repeat(60)}"layout":{"v":1,"tailStart":77}}\n`],
    ]),
};

describe("P2 P6 P12 recovery and listing beside hostile side files", () => {
  test.each(Object.entries(hostile))("%s holds up no other file of its session", (_, plant) => {
    killedSession();
    plant(join(dir, `s.json.${token}`));
    for (const file of readdirSync(dir))
      if (file.includes(token)) utimesSync(join(dir, file), hourAgo, hourAgo);
    const { stdout, stderr } = spawnSync(process.execPath, [program, dir], { encoding: "utf8" });
    expect(stderr).toBe("");
    const found = JSON.parse(stdout);
    expect(found.sessions).toBeGreaterThan(0);
    expect(found).toMatchObject({ running: 0, listed: 1 });
    expect(found.megabytes).toBeLessThan(150);
    expect(found.millis).toBeLessThan(15_000);
    const document = JSON.parse(readFileSync(join(dir, "s.json"), "utf8")) as TraceFile;
    expect(ended(document).map(({ name }) => name)).toEqual(["one", "two"]);
  });

  test("an unnamed log of 1 GB without content holds up no session", () => {
    killedSession();
    sparse(join(dir, `unnamed.${token}.live`), 1_000_000_000);
    const { stdout } = spawnSync(process.execPath, [program, dir], { encoding: "utf8" });
    expect(JSON.parse(stdout)).toMatchObject({ sessions: 1, running: 0 });
    expect(JSON.parse(stdout).megabytes).toBeLessThan(150);
  });

  test.skipIf(process.platform !== "linux")("a name that is no UTF-8 is not waited for", () => {
    killedSession();
    const name = Buffer.concat([Buffer.from(`${dir}/`), Buffer.of(0xff), Buffer.from(`.json.${token}.open`)]);
    writeFileSync(name, "");
    const { stdout } = spawnSync(process.execPath, [program, dir], { encoding: "utf8" });
    expect(JSON.parse(stdout)).toMatchObject({ sessions: 1, running: 0, listed: 1 });
    expect(JSON.parse(stdout).millis).toBeLessThan(10_000);
  });

  test("a document of 60 MB of brackets is listed by no one, and holds up no listing", () => {
    killedSession();
    writeFileSync(join(dir, "x.json"), `{"version":2,"spans":[${"{},".repeat(20_000_000)}{}]}`);
    const { stdout } = spawnSync(process.execPath, [program, dir], { encoding: "utf8" });
    expect(JSON.parse(stdout)).toMatchObject({ listed: 1 });
    expect(JSON.parse(stdout).megabytes).toBeLessThan(250);
  });

  test("an append log that fails with EIO is reported, and the files of another owner are recovered", async () => {
    const stage = new Stage();
    try {
      stage.actor().record("s", 2);
      stage.actor().record("s", 3);
      stage.liveness.bury();
      const first = stage.files.find((file) => file.endsWith(".open")) as string;
      const bad = nodeFileSystem.sync.lstat(join(stage.dir, first))?.ino;
      const isBad = (fd: number) => nodeFileSystem.sync.fstat(fd).ino === bad;
      const fail = () => {
        throw Object.assign(new Error("EIO: injected, read"), { code: "EIO" });
      };
      const async: typeof nodeFileSystem.async = {
        ...nodeFileSystem.async,
        read: async (fd, ...rest) => (isBad(fd) ? fail() : nodeFileSystem.async.read(fd, ...rest)),
      };
      const clock = { now: () => Date.now(), monotonic: () => performance.now() } as never;
      const ports = { fileSystem: { ...nodeFileSystem, async }, clock, liveness: stage.liveness };
      const failed = await recoverDirectory(ports, stage.dir);
      expect(failed.failures).toHaveLength(1);
      expect(failed.sessions).toHaveLength(1);
      const later = await recoverDirectory({ ...ports, fileSystem: nodeFileSystem }, stage.dir);
      expect(later).toMatchObject({ failures: [] });
      expect(ended(stage.document("s"))).toHaveLength(5);
    } finally {
      stage.remove();
    }
  });
});
