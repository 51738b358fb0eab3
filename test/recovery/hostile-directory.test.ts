/**
 * A directory with 68 kinds of files that no writer makes, sparse gigabytes among them (hundreds of megabytes outside of
 * torture): every public function and every command that reads a directory ends in bounded time and memory, and does for the
 * other sessions what it does elsewhere. In torture each kind is tried alone, too.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hostileKinds, hostileLogs, plantHostile } from "../support/hostile-directory.js";
import { isTorture } from "../support/trials.js";

const program = join(import.meta.dirname, "../programs/hostile-use.mjs");
const released = join(import.meta.dirname, "../fixtures/released/0.1.0");
const dead = "ses_killed.json.1-1-0-00000000-00000000";

/** Uses in this order: those that write come last. `expected` is the result, or a part of it. */
const uses: readonly (readonly [use: string, ...args: string[]])[] = [
  ["listTraces"],
  ["readTrace"],
  ["altimate"],
  ["command", "list"],
  ["command", "show", "good"],
  ["command", "tail", "good", "--exit"],
  ["command", "postmortem", "good"],
  ["command", "stats"],
  ["command", "export", "good", "--format", "jsonl"],
  ["command", "share", "good", "-o", "-"],
  ["command", "verify"],
  ["command", "verify", "--ground"],
  ["command", "recover", "--dry-run"],
  ["command", "replay", "--otlp", "http://127.0.0.1:9", "--dry-run"],
  ["command", "prune", "--older-than", "9999w", "--dry-run"],
  ["retention"],
  ["exporter"],
  ["recoverTraces"],
  ["replayTraces"],
  ["command", "prune", "--older-than", "9999w"],
];

interface Used {
  readonly result: unknown;
  readonly millis: number;
  readonly megabytes: number;
}

async function use(dir: string, args: readonly string[]): Promise<Used> {
  const child = spawn(process.execPath, [program, dir, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    err += text;
  });
  const [code, signal] = await once(child, "close");
  expect({ code, signal, err }, args.join(" ")).toEqual({ code: 0, signal: null, err: "" });
  return JSON.parse(out);
}

function newDirectory(kinds: readonly string[]): string {
  const dir = mkdtempSync(join(tmpdir(), "hostile-"));
  const document = readFileSync(join(released, "completed.json"), "utf8");
  writeFileSync(
    join(dir, "good.json"),
    document.replaceAll("ses_golden", "good").replaceAll("      good", "good"),
  );
  for (const ending of ["open", "live"])
    copyFileSync(join(released, `${dead}.${ending}`), join(dir, `${dead}.${ending}`));
  plantHostile(dir, kinds);
  return dir;
}

const kinds = [...Object.keys(hostileKinds), ...Object.keys(hostileLogs)];
const directories: readonly (readonly [name: string, kinds: readonly string[]])[] = [
  [`${kinds.length} kinds at once`, kinds],
  ...(isTorture ? kinds.map((kind) => [kind, [kind]] as const) : []),
];

describe.each(directories)("P6 P12 P13 beside %s", (_, planted) => {
  let dir: string;
  beforeAll(() => {
    dir = newDirectory(planted);
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  test.each(uses.map((args) => ({ args })))("$args ends, in bounded memory", async ({ args }) => {
    const { result, millis, megabytes } = await use(dir, args);
    console.log(args.join(" "), JSON.stringify(result).slice(0, 300), millis, megabytes);
    expect(megabytes).toBeLessThan(250);
    expect(millis).toBeLessThan(30_000);
  });

  test("the other sessions are there, and recovered", () => {
    for (const name of ["good", "ses_killed"])
      expect(JSON.parse(readFileSync(join(dir, `${name}.json`), "utf8")).summary.status).toBeDefined();
    expect(readdirSync(dir).some((file) => file.startsWith("ses_killed.json."))).toBe(false);
  });
});
