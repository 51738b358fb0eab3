/**
 * P7 Version 0.1.0 beside a process that has met SIGTERM and lives on: 0.1.0 knows no provisional verdict. It reads, recovers
 * and writes the session meanwhile, and every span is in the document once.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { CommandedHost } from "../support/commanded-host.js";

let root: string;
/** The build of 0.1.0. */
let old: string;
let dir: string;
const hosts: CommandedHost[] = [];

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "old-version-"));
  mkdirSync(join(root, "node_modules"));
  const tarball = fileURLToPath(new URL("../fixtures/packages/0.1.0.tgz", import.meta.url));
  execFileSync("tar", ["-xzf", tarball, "-C", root]);
  symlinkSync(resolve("node_modules/@opentelemetry"), join(root, "node_modules/@opentelemetry"));
  old = join(root, "package/build");
});
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => {
  dir = mkdtempSync(join(root, "traces-"));
});
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.kill();
});

function newHost(build?: string): CommandedHost {
  const host = new CommandedHost(dir, build);
  hosts.push(host);
  return host;
}

/** Calls a function of the reader of 0.1.0 on the directory. */
function byOldVersion(name: "listTraces" | "recoverTraces"): unknown {
  const program = `require(process.argv[1]).${name}(process.argv[2]).then((r) => console.log(JSON.stringify(r)))`;
  const args = ["-e", program, join(old, "reader.js"), dir];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

const document = (): TraceFile => JSON.parse(readFileSync(join(dir, "s.json"), "utf8"));

/** The names of the spans of the session, sorted: a span that is there twice has its name there twice. */
const names = () =>
  document()
    .spans.filter(({ kind }) => kind !== "session")
    .map(({ name, interrupted }) => (interrupted ? `${name}!` : name))
    .sort();

/** A host with one span that has ended and one that is open, which has met SIGTERM. */
async function newFencedHost(): Promise<CommandedHost> {
  const host = newHost();
  await host.command("record", ["s"], "before");
  await host.command("start", ["s"], "open");
  await host.command("flush");
  await host.fence();
  return host;
}

describe("P7 version 0.1.0 beside the verdict of a process hook", () => {
  test("lists the session as crashed, and recovers nothing of it", async () => {
    const host = await newFencedHost();
    expect(document().summary).toMatchObject({ status: "crashed", detector: "SIGTERM" });
    expect(names()).toEqual(["before", "open!"]);
    const bytes = readFileSync(join(dir, "s.json"), "utf8");
    expect(byOldVersion("listTraces")).toMatchObject({ traces: [{ summary: { status: "crashed" } }] });
    expect(byOldVersion("recoverTraces")).toMatchObject({ sessions: [], failures: [] });
    expect(readFileSync(join(dir, "s.json"), "utf8")).toBe(bytes);
    await host.command("end");
    await host.command("record", ["s"], "after");
    await host.command("shutdown");
    expect(names()).toEqual(["after", "before", "open"]);
    expect(readdirSync(dir)).toEqual(["s.json"]);
    expect(document().summary).toMatchObject({ status: "completed" });
  });

  test("recovers while the verdict is taken back, and nothing is lost when the process dies", async () => {
    const host = await newFencedHost();
    expect(document().summary).toMatchObject({ status: "crashed", detector: "SIGTERM" });
    expect(names()).toEqual(["before", "open!"]);
    await host.command("record", ["s"], "after");
    expect(byOldVersion("recoverTraces")).toMatchObject({ failures: [] });
    await host.command("start", ["s"], "last");
    await host.kill();
    expect(byOldVersion("recoverTraces")).toMatchObject({ failures: [] });
    expect(names()).toEqual(["after", "before", "last!", "open!"]);
    expect(readdirSync(dir)).toEqual(["s.json"]);
    expect(document().summary.status).toBe("crashed");
  });

  test.each(["0.1.0 ends first", "0.1.0 ends last"])(
    "and its writer lives on, as the process does: %s",
    async (order) => {
      const twin = newHost(old);
      await twin.command("record", ["s"], "of the twin");
      const host = await newFencedHost();
      await twin.command("record", ["s"], "beside the verdict");
      await twin.command("flush");
      await host.command("end");
      await host.command("record", ["s"], "after");
      await host.command("flush");
      for (const one of order === "0.1.0 ends first" ? [twin, host] : [host, twin])
        await one.command("shutdown");
      expect(names()).toEqual(["after", "before", "beside the verdict", "of the twin", "open"]);
      expect(readdirSync(dir)).toEqual(["s.json"]);
    },
  );

  test("and its writer lives on: the process is killed after the verdict", async () => {
    const twin = newHost(old);
    await twin.command("record", ["s"], "of the twin");
    await twin.command("flush");
    const host = await newFencedHost();
    await host.kill();
    await twin.command("record", ["s"], "beside the verdict");
    await twin.command("shutdown");
    expect((await recoverTraces(dir)).failures).toEqual([]);
    expect(names()).toEqual(["before", "beside the verdict", "of the twin", "open!"]);
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });
});
