/**
 * P11 our own I/O is never traced: hosts whose fs, http, undici, net and dns are instrumented, in processes of their own.
 * The programs run the built package.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HttpCollector } from "../support/http-collector.js";

const program = fileURLToPath(new URL("../programs/instrumented-host.mjs", import.meta.url));

interface Plan {
  readonly processor: "ours" | "batch" | "simple";
  readonly manager: boolean;
  readonly first: "package" | "instrumentation";
  readonly isWorker: boolean;
}

interface Printed {
  /** Spans that started, by name, or by instrumentation. */
  readonly started: Record<string, number>;
  /** Spans in documents, by name. */
  readonly recorded: Record<string, number>;
  readonly names: readonly string[];
  readonly stats: Record<string, number>;
}

let root: string;
let url: string;
const backend = new HttpCollector((response) => response.end("{}"));
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "own-io-"));
  url = await backend.listen();
});
afterAll(async () => {
  await backend.close();
  rmSync(root, { recursive: true, force: true });
});

function run(plan: Plan): Promise<Printed> {
  const dir = join(mkdtempSync(join(root, "host-")), "traces");
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, JSON.stringify({ ...plan, dir, url })], {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 60_000,
      killSignal: "SIGKILL",
    });
    let printed = "";
    child.stdout.on("data", (chunk) => {
      printed += chunk;
    });
    child.on("close", (code, signal) =>
      code === 0 ? resolve(JSON.parse(printed)) : reject(new Error(`ended with ${code ?? signal}`)),
    );
  });
}

const plans = (["ours", "batch", "simple"] as const).flatMap((processor) => [
  { processor, first: "package", isWorker: true } as const,
  { processor, first: "instrumentation", isWorker: false } as const,
]);
const described = "$processor processor, $first first, worker $isWorker";

describe("P11 with every instrumentation, and a context manager", () => {
  it.each(plans)(`only the host's own calls become spans: ${described}`, async (plan) => {
    const { started, recorded, names, stats } = await run({ ...plan, manager: true });
    expect(started).toEqual({ work: 7, fs: 1 });
    // Two of the six sessions are left by the limit of files, beside that of the root.
    expect(recorded).toEqual({ work: 3, "fs existsSync": 1 });
    expect(names.filter((name) => name.endsWith(".json"))).toEqual(["host.json", "ses_4.json", "ses_5.json"]);
    expect(stats).toMatchObject({ recoveredSessions: 1, dropped: 0, faults: 0 });
  });
});

describe("P11 with every instrumentation, and no context manager", () => {
  it.each(plans)(`no call of ours becomes a span: ${described}`, async (plan) => {
    const { started, recorded, stats } = await run({ ...plan, manager: false });
    // No context suppresses the spans of our own requests. A processor of the SDK passes them on.
    for (const name of ["http", "undici", "net", "dns"]) delete started[name];
    expect(started).toEqual({ work: 7, fs: 1 });
    expect(stats).toMatchObject({ recoveredSessions: 1, faults: 0 });
    if (plan.processor !== "ours") return;
    // The document of the trace without a session has ended: retention may have removed it (`maxFiles`).
    expect(Object.keys(recorded).filter((name) => name !== "fs existsSync")).toEqual(["work"]);
    expect(stats).toMatchObject({ recorded: 8, exported: 8 });
  });
});
