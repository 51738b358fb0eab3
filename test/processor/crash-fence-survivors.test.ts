/** Real processes that meet a signal or an exception, and live on for a while or for good. They run the built package. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";

const scratch = mkdtempSync(join(tmpdir(), "survivors-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const program = fileURLToPath(new URL("../programs/surviving-process.mjs", import.meta.url));

interface Outcome {
  /** The exit code, or the signal that ended the process. */
  readonly by: number | string;
  readonly stdout: string;
  readonly dir: string;
}

async function run(way: string, before: readonly string[] = []): Promise<Outcome> {
  const dir = join(mkdtempSync(join(scratch, "way-")), "traces");
  const [command = process.execPath, ...args] = [...before, process.execPath, program, way, dir];
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 30_000,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  const [code, signal] = await once(child, "close");
  return { by: code ?? signal, stdout, dir };
}

/** Status, detector and error of a document; of each span its name, with `!` if it is interrupted. */
function look(dir: string, session = "s") {
  const { summary, spans }: TraceFile = JSON.parse(readFileSync(join(dir, `${session}.json`), "utf8"));
  const { status, detector, error } = summary;
  const names = spans
    .filter(({ kind }) => kind !== "session")
    .map(({ name, interrupted }) => (interrupted ? `${name}!` : name))
    .sort();
  return { status, detector, error, spans: names };
}

const byTerm = { status: "crashed", detector: "SIGTERM", error: "Received SIGTERM" };
const completed = { status: "completed", detector: undefined, error: undefined };

describe.skipIf(process.platform === "win32")("P11 a signal with a listener", () => {
  it.each(["drain after the fence", "drain before the fence"])("P11 %s: completed", async (way) => {
    const { by, dir } = await run(way);
    expect(by).toBe(0);
    expect(look(dir)).toEqual({ ...completed, spans: ["drained", "ended", "open"] });
    expect(look(dir, "t")).toEqual({ ...completed, spans: ["other"] });
    expect(readdirSync(dir).sort()).toEqual(["s.json", "t.json"]);
  });

  it("P11 end the session in the handler: completed", async () => {
    const { by, dir } = await run("end the session in the handler");
    expect(by).toBe(0);
    expect(look(dir)).toEqual({ ...completed, spans: ["ended", "open"] });
  });

  it("P11 end, then exit: the span is added, and the verdict stands", async () => {
    const { by, dir } = await run("end, then exit");
    expect(by).toBe(0);
    expect(look(dir)).toEqual({ ...byTerm, spans: ["ended", "open"] });
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });

  it("P11 drain, then exit without a shutdown: nothing is under way", async () => {
    const { dir } = await run("drain, then exit without a shutdown");
    expect(look(dir)).toEqual({ ...completed, spans: ["drained", "ended", "open"] });
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });

  it("P3 exit in the handler: the first detector stays", async () => {
    const { by, dir } = await run("exit in the handler");
    expect(by).toBe(0);
    expect(look(dir)).toEqual({ ...byTerm, spans: ["ended", "open!"] });
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });

  it("P3 exit while a span of the drain is open: the first detector stays", async () => {
    const { dir } = await run("exit while a span of the drain is open");
    expect(look(dir)).toEqual({ ...byTerm, spans: ["drained!", "ended", "open!"] });
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });

  it.each([
    ["signal-exit 3", "SIGTERM", "exits by SIGTERM\n"],
    ["signal-exit 4", "SIGTERM", "exits by SIGTERM\n"],
    ["exit-hook", 143, "exits with 143\n"],
  ])("P3 %s ends the process as without the fence", async (way, by, stdout) => {
    const outcome = await run(way);
    expect(outcome).toMatchObject({ by, stdout });
    expect(look(outcome.dir)).toEqual({ ...byTerm, spans: ["ended", "open!"] });
    expect(readdirSync(outcome.dir)).toEqual(["s.json"]);
  });

  it("P11 exit-hook that drains: completed", async () => {
    const { by, dir } = await run("exit-hook that drains");
    expect(by).toBe(143);
    expect(look(dir)).toEqual({ ...completed, spans: ["drained", "ended", "open"] });
    expect(look(dir, "t")).toEqual({ ...completed, spans: ["other"] });
  });

  it("P3 no other listener: the process dies by the signal", async () => {
    const { by, dir } = await run("no other listener");
    expect(by).toBe("SIGTERM");
    expect(look(dir)).toEqual({ ...byTerm, spans: ["ended", "open!"] });
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });

  it("P14 no other listener, and nothing under way: completed", async () => {
    const { by, dir } = await run("no other listener, and nothing under way");
    expect(by).toBe("SIGTERM");
    expect(look(dir)).toEqual({ ...completed, spans: ["ended", "open"] });
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });
});

describe.skipIf(process.platform === "win32")("P11 a process that survives", () => {
  it.for(["survived exception", "survived rejection", "error in a domain", "survived SIGINT"])(
    "P11 %s: all later spans and sessions are recorded",
    async (way, { skip }) => {
      const endsOnBun = process.versions.bun !== undefined && /rejection|domain/.test(way);
      skip(endsOnBun, "Bun ends the process for an unhandled rejection, and for an error in a domain");
      const { by, dir } = await run(way);
      expect(by).toBe(0);
      expect(look(dir)).toEqual({ ...completed, spans: ["ended", "later", "open"] });
      expect(look(dir, "t")).toEqual({ ...completed, spans: ["other"] });
      expect(readdirSync(dir).sort()).toEqual(["s.json", "t.json"]);
    },
  );

  it("P3 an exception that ends the process: its name is the detector", async () => {
    const { by, dir } = await run("exception");
    expect(by).toBe(1);
    const exception = { status: "crashed", detector: "TypeError", error: "Uncaught exception: boom" };
    expect(look(dir)).toEqual({ ...exception, spans: ["ended", "open!"] });
  });

  const namespace = ["unshare", "-p", "-f", "--mount-proc"];
  const isPossible = spawnSync("unshare", ["-p", "-f", "--mount-proc", "true"]).status === 0;
  it.skipIf(!isPossible)(`P11 a signal to process 1${isPossible ? "" : " (needs unshare)"}`, async () => {
    const { by, dir } = await run("process 1", namespace);
    expect(by).toBe(0);
    expect(look(dir)).toEqual({ ...completed, spans: ["ended", "later", "open"] });
    expect(look(dir, "t")).toEqual({ ...completed, spans: ["other"] });
  });
});

describe.skipIf(process.platform === "win32")("P2 a process that is killed after the fence", () => {
  it("P3 before anything follows: the document of the fence stays", async () => {
    const { by, dir } = await run("killed before anything follows");
    expect(by).toBe("SIGKILL");
    expect(look(dir)).toEqual({ ...byTerm, spans: ["ended", "open!"] });
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });

  it("P2 after a span has ended: the span is added, and the verdict stands", async () => {
    const { dir } = await run("killed after a span has ended");
    await recoverTraces(dir);
    expect(look(dir)).toEqual({ ...byTerm, spans: ["also open!", "ended", "open"] });
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });

  it("P2 after a span has started: both spans are there, and the first detector", async () => {
    const { dir } = await run("killed after a span has started");
    await recoverTraces(dir);
    expect(look(dir)).toMatchObject({ status: "crashed", detector: "SIGTERM" });
    expect(look(dir).spans).toEqual(["drained!", "ended", "open"]);
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });
});

describe.skipIf(process.platform === "win32")("P3 the fence of a process hook beside others", () => {
  it("P3 an explicit fence before is final", async () => {
    const { dir } = await run("explicit before");
    expect(look(dir)).toEqual({
      status: "crashed",
      detector: undefined,
      error: "by hand",
      spans: ["ended", "open!"],
    });
  });

  it("P3 an explicit fence after is final", async () => {
    const { dir } = await run("explicit after");
    expect(look(dir)).toEqual({ ...byTerm, error: "by hand", spans: ["ended", "open!"] });
  });

  it("P3 a stock processor exports later what had ended before: the verdict stands", async () => {
    const { dir } = await run("stock batch that exports later");
    expect(look(dir)).toEqual({ ...completed, spans: ["ended", "open"] });
    expect(readdirSync(dir)).toEqual(["s.json"]);
  });

  it("P11 a stock processor drains", async () => {
    const { dir } = await run("stock batch that drains");
    expect(look(dir)).toEqual({ ...completed, spans: ["drained", "ended", "open"] });
    expect(look(dir, "t")).toEqual({ ...completed, spans: ["other"] });
  });

  it("P11 sessions of a worker thread are not fenced", async () => {
    const { by, dir } = await run("worker thread");
    expect(by).toBe(0);
    expect(look(dir)).toMatchObject({ ...completed, spans: ["drained", "ended", "open"] });
    const worker = look(dir, "w");
    expect(worker).toMatchObject(completed);
    expect(worker.spans.filter((name) => name.endsWith("!"))).toEqual([]);
  });
});
