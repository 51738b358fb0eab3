/** The directory of the traces and its parents, where Node's own `mkdir` with `recursive` would never return. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { errorCode, nodeFileSystem } from "../../src/platform/file-system.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "mkdirs-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const { mkdirs } = nodeFileSystem.sync;

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return errorCode(error);
  }
  return "nothing was thrown";
}

test("makes all that is missing, and returns the topmost directory that it made", async () => {
  expect(mkdirs(join(dir, "a/b/c"))).toBe(join(dir, "a"));
  expect(mkdirs(join(dir, "a/b/c"))).toBeUndefined();
  expect(mkdirs(join(dir, "a/b/d"))).toBe(join(dir, "a/b/d"));
  expect(await nodeFileSystem.async.mkdirs(join(dir, "e/f"))).toBe(join(dir, "e"));
  expect(await nodeFileSystem.async.mkdirs(join(dir, "e/f"))).toBeUndefined();
  mkdirSync(join(dir, "real"));
  symlinkSync(join(dir, "real"), join(dir, "link"));
  expect(mkdirs(join(dir, "link/x"))).toBe(join(dir, "link/x"));
  expect(existsSync(join(dir, "real/x"))).toBe(true);
});

test("throws what stands in the way", () => {
  writeFileSync(join(dir, "file"), "");
  expect(codeOf(() => mkdirs(join(dir, "file")))).toBe("EEXIST");
  expect(codeOf(() => mkdirs(join(dir, "file/below")))).toBe("ENOTDIR");
  symlinkSync(join(dir, "nowhere"), join(dir, "dangling"));
  expect(codeOf(() => mkdirs(join(dir, "dangling/below")))).toBe("EEXIST");
});

test.runIf(process.platform === "linux")(
  "P6 below a directory that takes no entries a program records in memory, and goes on",
  () => {
    const program = `
      const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } = require("./build/index.js");
      const { BasicTracerProvider } = require("@opentelemetry/sdk-trace-base");
      const exporter = new CrashSafeFileSpanExporter({ dir: "/proc/none/below" });
      const spanProcessors = [new CrashSafeSpanProcessor(exporter)];
      const tracer = new BasicTracerProvider({ spanProcessors }).getTracer("test");
      tracer.startSpan("work", { attributes: { "session.id": "s" } }).end();
      const { queuedBytes } = exporter.stats();
      process.stdout.write(queuedBytes > 0 ? "goes on" : "nothing is kept");
      process.exit(0);`;
    const { stdout, signal } = spawnSync(process.execPath, ["--eval", program], {
      cwd: resolve("."),
      encoding: "utf8",
      timeout: 20_000,
      killSignal: "SIGKILL",
    });
    expect({ stdout, signal }).toEqual({ stdout: "goes on", signal: null });
  },
);
