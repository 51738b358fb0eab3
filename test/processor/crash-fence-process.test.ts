/**
 * The fence in real processes that end in every way. The programs run the built package.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const program = (name: string) => fileURLToPath(new URL(`../programs/${name}`, import.meta.url));
const EXIT = "Process exited before trace completed";

interface End {
  readonly said: string[];
  readonly stderr: string;
  readonly code: number | null;
  readonly signal: string | null;
}

/** Runs a program to its end; sends `signal` when it says it is ready. */
function run(name: string, args: string[], signal: NodeJS.Signals = "SIGTERM"): Promise<End> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program(name), ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 20_000,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      const wasReady = stdout.includes("ready\n");
      stdout += chunk;
      if (!wasReady && stdout.includes("ready\n")) child.kill(signal);
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (code, endedBy) =>
      resolve({ said: stdout.split("\n").filter(Boolean), stderr, code, signal: endedBy }),
    );
  });
}

const fenced = (way: string, signal?: NodeJS.Signals) =>
  run("fence-process.mjs", [way, signal ?? ""], signal);
const signalled = (way: string, signal: NodeJS.Signals = "SIGTERM") => fenced(way, signal);

describe.skipIf(process.platform === "win32")("P3 on a signal", () => {
  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("P3 %s: fenced, then ended by it", async (signal) => {
    const end = await signalled("signal", signal);
    expect(end).toMatchObject({ said: ["ready", `a: Received ${signal}`], code: null, signal });
  });

  it("P3 every target is fenced, even when one throws", async () => {
    const end = await signalled("two targets, one throws");
    expect(end).toMatchObject({ said: ["ready", "b: Received SIGTERM"], signal: "SIGTERM" });
  });

  it("P3 another listener decides, and the fence stands again", async () => {
    const end = await signalled("another listener");
    const said = ["ready", "a: Received SIGTERM", "other", "alive, 2 listeners"];
    expect(end).toMatchObject({ said, code: 7 });
  });

  it("P3 another listener decides also when it is gone after its one call", async () => {
    const end = await signalled("another listener, once and earlier");
    expect(end).toMatchObject({ said: ["ready", "a: Received SIGTERM", "other"], code: 7 });
  });

  it("P6 does not keep a process alive that another polite listener would end", async () => {
    const end = await signalled("a listener that raises again when alone");
    expect(end).toMatchObject({ said: ["ready", "a: Received SIGTERM"], signal: "SIGTERM" });
  });

  it("P3 a second signal is fenced too", async () => {
    const end = await signalled("signal after signal");
    expect(end).toMatchObject({ said: ["ready", "a: Received SIGTERM", "a: Received SIGTERM"], code: 7 });
  });

  it("P3 a target that was ended normally stays so", async () => {
    const end = await signalled("stopped target");
    expect(end).toMatchObject({ said: ["ready"], signal: "SIGTERM" });
  });

  it("P3 an uninstalled fence leaves the signal as it was", async () => {
    const end = await signalled("uninstalled");
    expect(end).toMatchObject({ said: ["ready"], signal: "SIGTERM" });
  });

  it("P6 loses no signal that was caught before the fence was uninstalled", async () => {
    // It sends one to itself.
    const end = await run("fence-process.mjs", ["uninstalled after it was caught", "SIGTERM"]);
    expect(end).toMatchObject({ said: [], signal: "SIGTERM" });
  });

  it("P3 each target hears of the events it wants", async () => {
    const end = await signalled("each target its events");
    expect(end).toMatchObject({ said: ["ready", "a: Received SIGTERM"], signal: "SIGTERM" });
  });

  it("P3 two copies of the package share one listener and fence a target once", async () => {
    const end = await signalled("two copies of the package");
    const said = ["1 listener", "ready", "shared: Received SIGTERM", "b: Received SIGTERM"];
    expect(end).toMatchObject({ said, signal: "SIGTERM" });
  });
});

describe("P3 without a signal", () => {
  // Bun shows unhandled rejections to no monitor; there the exit is the first we hear of them.
  const rejectionIsSeen = process.versions.bun === undefined;
  it.each([
    ["uncaught exception", true],
    ["unhandled rejection", rejectionIsSeen],
  ])("P3 %s: fenced, and not swallowed", async (way, isSeen) => {
    const end = await fenced(way);
    const said = [...(isSeen ? ["a: Uncaught exception: boom"] : []), `a: ${EXIT}`];
    expect(end).toMatchObject({ said, code: 1 });
    expect(end.stderr).toContain("boom");
  });

  it("P6 an exception without a message does not break the fence", async () => {
    const end = await fenced("uncaught hostile value");
    expect(end).toMatchObject({ said: ["a: Uncaught exception: (no message)"], code: 1 });
  });

  it("P3 process.exit", async () => {
    expect(await fenced("process.exit")).toMatchObject({ said: [`a: ${EXIT}`], code: 3 });
  });

  it("P3 a natural end", async () => {
    expect(await fenced("natural exit")).toMatchObject({ said: [`a: ${EXIT}`], code: 0 });
  });

  it("P3 a natural end after a normal one", async () => {
    expect(await fenced("natural exit, stopped")).toMatchObject({ said: [], code: 0 });
  });

  it("P3 a worker thread: its exit is fenced, and it raises no signal", async () => {
    const end = await fenced("worker");
    const said = ["worker: Received SIGTERM", `worker: ${EXIT}`, "code 5"];
    expect(end).toMatchObject({ said, code: 0 });
  });
});

describe("P5 a program that simply finishes", () => {
  const finish = (way: string) => run("fence-natural-exit.mjs", [way]);

  it("P5 loses nothing", async () => {
    expect(await finish("ours")).toMatchObject({ said: ["1300 exported"], code: 0 });
  });

  it("loses the batch that is not full with the stock processor", async () => {
    expect(await finish("stock")).toMatchObject({ said: ["1024 exported"], code: 0 });
  });

  it.each(["never answers", "fails"])("P6 ends all the same when the exporter %s", async (how) => {
    const end = await finish(`ours, an exporter that ${how}`);
    expect(end).toMatchObject({ said: ["0 exported"], code: 0 });
  });

  it("P5 has a live exporter flushed, once", async () => {
    expect(await finish("ours, live")).toMatchObject({ said: ["flushed", "0 exported"], code: 0 });
  });

  it("P3 has a live exporter flushed and fenced", async () => {
    const end = await finish("ours, live, fenced");
    expect(end).toMatchObject({ said: ["flushed", `crash: ${EXIT}`, "0 exported"], code: 0 });
  });

  it("P3 is not fenced after a shutdown", async () => {
    const end = await finish("ours, live, fenced and shut down");
    expect(end).toMatchObject({ said: ["0 exported"], code: 0 });
  });
});
