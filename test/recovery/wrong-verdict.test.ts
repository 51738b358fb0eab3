/**
 * A writer that other processes take for dead while it is paused, and that goes on: what it had under way when it dies later
 * is a crash, whatever the others had written meanwhile, and however wrong their clocks are.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { type Liveness, SystemLiveness } from "../../src/platform/liveness.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { CommandedHost } from "../support/commanded-host.js";

let dir: string;
let host: CommandedHost;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "wrong-verdict-"));
  host = new CommandedHost(dir);
});
afterEach(async () => {
  await host.kill();
  rmSync(dir, { recursive: true, force: true });
});

const document = (): TraceFile => JSON.parse(readFileSync(join(dir, "s.json"), "utf8"));

/** Takes a process for dead, and no other owner. */
function mistakenAbout(pid: number): Liveness {
  const system = new SystemLiveness(nodeFileSystem.sync);
  return {
    newToken: () => system.newToken(),
    verdict: (token) => (token.startsWith(`${pid.toString(36)}-`) ? "dead" : system.verdict(token)),
  };
}

const hourMillis = 3_600_000;
const clocks = [
  { name: "right", aheadMillis: 0 },
  { name: "an hour ahead", aheadMillis: hourMillis },
].map(({ name, aheadMillis }) => ({
  name,
  clock: { ...systemClock, now: () => Date.now() + aheadMillis },
}));

/** What a process does that takes the host for dead. */
const others = [
  {
    name: "a recovery completes the session",
    async run(ports: { liveness: Liveness; clock: typeof systemClock }) {
      const { failures } = await recoverDirectory({ ...ports, fileSystem: nodeFileSystem }, dir);
      expect(failures).toEqual([]);
    },
  },
  {
    name: "another writer ends the session",
    async run(ports: { liveness: Liveness; clock: typeof systemClock }) {
      const exporter = new CrashSafeFileSpanExporter({ dir }, ports);
      const processor = new CrashSafeSpanProcessor(exporter);
      const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("other");
      tracer.startSpan("other", { attributes: { "session.id": "s" } }).end();
      await exporter.endSession("s");
      await processor.shutdown();
      // The recovery of the exporter goes on after its end.
      await recoverDirectory({ ...ports, fileSystem: nodeFileSystem }, dir);
    },
  },
];

describe.each(clocks)("P14 a process with a clock that is $name", ({ name: time, clock }) => {
  test.each(others)(
    `a writer goes on after $name (clock ${time}), and dies with a span open`,
    async ({ run }) => {
      await host.command("record", ["s"]);
      await host.command("flush");
      host.pause();
      await run({ liveness: mistakenAbout(host.pid), clock });
      await expect.poll(() => readdirSync(dir)).toEqual(["s.json"]);
      expect(document().summary).toMatchObject({ status: "completed", interrupted: 0 });

      host.goOn();
      await host.command("start", ["s"]);
      await host.kill();
      await recoverTraces(dir);

      expect(readdirSync(dir)).toEqual(["s.json"]);
      expect(document().summary).toMatchObject({
        status: "crashed",
        interrupted: 1,
        detector: "process gone",
        reconstructed: true,
      });
    },
  );
});
