/** The crash fence in real processes that end in every way. The programs run the built package. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const program = (name: string) => fileURLToPath(new URL(`../programs/${name}`, import.meta.url));
const EXIT = "Process exited before trace completed";

interface End {
  readonly printed: string[];
  readonly stderr: string;
  readonly code: number | null;
  readonly signal: string | null;
}

/** Runs a program to its end. Sends `signal` when the program prints that it is ready. */
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
      resolve({ printed: stdout.split("\n").filter(Boolean), stderr, code, signal: endedBy }),
    );
  });
}

const fenced = (way: string, signal?: NodeJS.Signals) =>
  run("fence-process.mjs", [way, signal ?? ""], signal);
const signalled = (way: string, signal: NodeJS.Signals = "SIGTERM") => fenced(way, signal);

describe.skipIf(process.platform === "win32")("P3 the crash fence on a signal", () => {
  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "P3 %s: fences, and the signal ends the process",
    async (signal) => {
      const end = await signalled("signal", signal);
      expect(end).toMatchObject({ printed: ["ready", `a: Received ${signal}`], code: null, signal });
    },
  );

  it("P3 fences every target, even when one throws", async () => {
    const end = await signalled("two targets, one throws");
    expect(end).toMatchObject({ printed: ["ready", "b: Received SIGTERM"], signal: "SIGTERM" });
  });

  it("P3 lets another listener decide about the process, and fences again on the next signal", async () => {
    const end = await signalled("another listener");
    const printed = ["ready", "a: Received SIGTERM", "other", "alive, 2 listeners"];
    expect(end).toMatchObject({ printed, code: 7 });
  });

  it("P3 lets a listener decide that is removed after its first call", async () => {
    const end = await signalled("another listener, once and earlier");
    expect(end).toMatchObject({ printed: ["ready", "a: Received SIGTERM", "other"], code: 7 });
  });

  it("P6 keeps no process alive that another listener would end when it is alone", async () => {
    const end = await signalled("a listener that raises again when alone");
    expect(end).toMatchObject({ printed: ["ready", "a: Received SIGTERM"], signal: "SIGTERM" });
  });

  it("P3 fences on a second signal", async () => {
    const end = await signalled("signal after signal");
    expect(end).toMatchObject({ printed: ["ready", "a: Received SIGTERM", "a: Received SIGTERM"], code: 7 });
  });

  it("P3 leaves a target alone that has ended normally", async () => {
    const end = await signalled("stopped target");
    expect(end).toMatchObject({ printed: ["ready"], signal: "SIGTERM" });
  });

  it("P3 leaves the signal its default effect after uninstall", async () => {
    const end = await signalled("uninstalled");
    expect(end).toMatchObject({ printed: ["ready"], signal: "SIGTERM" });
  });

  it("P6 loses no signal that was caught before the fence was uninstalled", async () => {
    // The program sends the signal to itself.
    const end = await run("fence-process.mjs", ["uninstalled after it was caught", "SIGTERM"]);
    expect(end).toMatchObject({ printed: [], signal: "SIGTERM" });
  });

  it("P6 loses no signal that is caught in a turn after the uninstallation", async () => {
    const end = await run("fence-process.mjs", [
      "uninstalled before it was caught in a later turn",
      "SIGTERM",
    ]);
    expect(end).toMatchObject({ printed: [], signal: "SIGTERM" });
  });

  it("P3 calls each target on the events it wants", async () => {
    const end = await signalled("each target its events");
    expect(end).toMatchObject({ printed: ["ready", "a: Received SIGTERM"], signal: "SIGTERM" });
  });

  it("P3 of two copies of the package shares one listener, and fences a target once", async () => {
    const end = await signalled("two copies of the package");
    const printed = ["1 listener", "ready", "shared: Received SIGTERM", "b: Received SIGTERM"];
    expect(end).toMatchObject({ printed, signal: "SIGTERM" });
  });
});

describe("P3 the crash fence without a signal", () => {
  // Bun reports unhandled rejections to no monitor. There the exit is the first event that the fence gets.
  const rejectionIsSeen = process.versions.bun === undefined;
  it.each([
    ["uncaught exception", true],
    ["unhandled rejection", rejectionIsSeen],
  ])("P3 %s: fences, and does not swallow it", async (way, isSeen) => {
    const end = await fenced(way);
    const printed = [...(isSeen ? ["a: Uncaught exception: boom"] : []), `a: ${EXIT}`];
    expect(end).toMatchObject({ printed, code: 1 });
    expect(end.stderr).toContain("boom");
  });

  it("P6 survives an exception without a message", async () => {
    const end = await fenced("uncaught hostile value");
    expect(end).toMatchObject({ printed: ["a: Uncaught exception: (no message)"], code: 1 });
  });

  it("P3 fences on process.exit", async () => {
    expect(await fenced("process.exit")).toMatchObject({ printed: [`a: ${EXIT}`], code: 3 });
  });

  it("P3 fences on a natural end", async () => {
    expect(await fenced("natural exit")).toMatchObject({ printed: [`a: ${EXIT}`], code: 0 });
  });

  it("P3 fences no target on a natural end after a normal one", async () => {
    expect(await fenced("natural exit, stopped")).toMatchObject({ printed: [], code: 0 });
  });

  it("P3 fences on the exit of a worker thread, and raises no signal there", async () => {
    const end = await fenced("worker");
    const printed = ["worker: Received SIGTERM", `worker: ${EXIT}`, "code 5"];
    expect(end).toMatchObject({ printed, code: 0 });
  });
});

describe("P5 a program that ends without shutdown", () => {
  const finish = (way: string) => run("fence-natural-exit.mjs", [way]);

  it("P5 loses no span", async () => {
    expect(await finish("ours")).toMatchObject({ printed: ["1300 exported"], code: 0 });
  });

  it("P5 loses the last partial batch with the stock processor", async () => {
    expect(await finish("stock")).toMatchObject({ printed: ["1024 exported"], code: 0 });
  });

  it.each(["never answers", "fails"])("P6 ends when the exporter %s", async (how) => {
    const end = await finish(`ours, an exporter that ${how}`);
    expect(end).toMatchObject({ printed: ["0 exported"], code: 0 });
  });

  it("P5 flushes a live exporter once", async () => {
    expect(await finish("ours, live")).toMatchObject({ printed: ["flushed", "0 exported"], code: 0 });
  });

  it("P3 flushes and fences a live exporter", async () => {
    const end = await finish("ours, live, fenced");
    expect(end).toMatchObject({ printed: ["flushed", `crash: ${EXIT}`, "0 exported"], code: 0 });
  });

  it("P3 is not fenced after a shutdown", async () => {
    const end = await finish("ours, live, fenced and shut down");
    expect(end).toMatchObject({ printed: ["0 exported"], code: 0 });
  });
});
