/** The command as it is installed: the file that `bin` names, in processes of their own. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { commandRows, falseWords, isJson } from "../support/command-rows.js";
import { commandDirectory, emptyDirectory } from "../support/command-stage.js";
import { everySession, withoutEnd } from "../support/every-session.js";

const project = mkdtempSync(join(tmpdir(), "packed-command-"));
const root = join(project, "node_modules/opentelemetry-exporter-crash-safe-file");
const program = join(root, "dist/cli.js");

beforeAll(() => {
  const npm = ["pack", "--ignore-scripts", "--silent", "--pack-destination", project];
  const tarball = join(project, execFileSync("npm", npm, { encoding: "utf8" }).trim());
  mkdirSync(root, { recursive: true });
  execFileSync("tar", ["-xzf", tarball, "-C", root, "--strip-components=1"]);
  mkdirSync(join(project, "node_modules/.bin"));
  // npm makes the file executable when it links it.
  chmodSync(program, 0o755);
  symlinkSync(program, join(project, "node_modules/.bin/crash-safe-file"));
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

const run = (dir: string, ...args: string[]) =>
  spawnSync(process.execPath, [program, ...args], {
    cwd: project,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...process.env, CRASH_SAFE_FILE_DIR: dir, NO_COLOR: "1" },
  });

test("runs without any other package, and knows its version", () => {
  const dir = commandDirectory();
  const version = run(dir, "--version");
  expect(version).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+/), stderr: "" });
  expect(run(dir, "list")).toMatchObject({ status: 0, stdout: expect.stringContaining("ses_finish") });
  expect(run(dir, "show", "ses_killed")).toMatchObject({ status: 0, stderr: "" });
  expect(run(dir, "postmortem", "ses_killed", "--json").status).toBe(0);
  expect(run(dir, "stats")).toMatchObject({ status: 0 });
  expect(run(dir, "verify")).toMatchObject({ status: 2 });
  expect(run(dir, "nonsense")).toMatchObject({ status: 2, stdout: "" });
  expect(run(dir, "export", "ses_finish", "-f", "chrome").status).toBe(0);
});

test.skipIf(process.versions.bun !== undefined || process.platform === "win32")(
  "runs under the name that npm links",
  () => {
    const linked = spawnSync(join(project, "node_modules/.bin/crash-safe-file"), ["--version"], {
      encoding: "utf8",
    });
    expect(linked).toMatchObject({ status: 0, stderr: "" });
  },
);

test("export and replay need the API of OpenTelemetry, which is a peer", () => {
  const dir = commandDirectory();
  symlinkSync(resolve("node_modules/@opentelemetry"), join(project, "node_modules/@opentelemetry"));
  expect(run(dir, "export", "ses_finish", "-f", "otlp")).toMatchObject({ status: 0, stderr: "" });
  expect(run(dir, "replay", "--otlp", "http://127.0.0.1:9", "--dry-run").status).toBe(0);
});

test.runIf(process.env.TORTURE === "1")(
  "P14 every command answers for every session, with facts only",
  async () => {
    const dir = await everySession();
    const faults: string[] = [];
    for (const { args, code, output } of commandRows(dir, withoutEnd)) {
      const { status, stdout, stderr } = run(dir, ...args);
      const shown = args[0] === "share" ? stderr : stdout + stderr;
      const isRight = status === code && !falseWords.test(shown) && (output !== "json" || isJson(stdout));
      if (!isRight) faults.push(`${args.join(" ")}: exit code ${status}: ${shown.slice(0, 400)}`);
    }
    expect(faults).toEqual([]);
  },
);

test("a reader that goes away ends the command without a word", () => {
  // More than a pipe holds.
  const shell = `"${process.execPath}" "${program}" export ses_finish ses_crashd ses_capped ses_finish ses_finish ses_finish -f jsonl | head -c 10`;
  const piped = spawnSync("bash", ["-c", `set -o pipefail; ${shell}`], {
    encoding: "utf8",
    env: { ...process.env, CRASH_SAFE_FILE_DIR: commandDirectory() },
  });
  expect(piped).toMatchObject({ status: 0, stderr: "", stdout: '{"schema":' });
});

test("Ctrl-C ends a command that follows with 130", async () => {
  const child = spawn(process.execPath, [program, "tail"], {
    env: { ...process.env, CRASH_SAFE_FILE_DIR: emptyDirectory() },
  });
  await once(child.stderr, "data");
  child.kill("SIGINT");
  expect(await once(child, "exit")).toEqual([130, null]);
});
