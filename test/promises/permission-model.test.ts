/** Node's permission model: syncs are refused, `/proc` is out of reach, and only the directory of traces can be written. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { ended } from "../support/span-lines.js";

let dir: string;
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), "restricted-")));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const program = join(import.meta.dirname, "../programs/restricted-session.mjs");
const project = join(import.meta.dirname, "../..");
const isNode = process.versions.bun === undefined;
const flag = Number(process.versions.node.split(".")[0]) < 22 ? "--experimental-permission" : "--permission";

function run(way: string, traces: string) {
  const allowed = [`--allow-fs-read=${project}/`, `--allow-fs-read=${dir}/`, `--allow-fs-write=${dir}/`];
  return spawnSync(process.execPath, [flag, ...allowed, program, traces, way], { encoding: "utf8" });
}

const document = (traces: string): TraceFile => JSON.parse(readFileSync(join(traces, "s.json"), "utf8"));

describe.runIf(isNode)("P12 under node --permission", () => {
  test("P12 documents are written, also in a directory that is created", () => {
    const traces = join(dir, "deep/traces");
    const { stdout, stderr } = run("end", traces);
    expect(existsSync(join(traces, "s.json")), stderr).toBe(true);
    expect(readdirSync(traces)).toEqual(["s.json"]);
    expect(ended(document(traces)).map(({ name }) => name)).toEqual(["one", "two"]);
    expect(JSON.parse(stdout)).toMatchObject({
      faults: 0,
      dropped: 0,
      refused: { sync: "ERR_ACCESS_DENIED" },
    });
  });

  test("P2 P12 nothing is lost to SIGKILL, and the next run resumes the session", () => {
    const { signal } = run("kill", dir);
    expect(signal).toBe("SIGKILL");
    expect(ended(document(dir)).map(({ name }) => name)).toContain("one");
    expect(run("end", dir).stderr).not.toContain("Error");
    const names = ended(document(dir)).map(({ name }) => name);
    expect(names.filter((name) => name === "one")).toHaveLength(2);
  });
});
