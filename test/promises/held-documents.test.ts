/** Another program holds a document open where an open file cannot be replaced (Windows): nothing is lost, and no work hangs. */
import { linkSync, mkdirSync, rmSync } from "node:fs";
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Ground, onGround } from "../../src/platform/ground.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { type Refusals, RefusingFileSystem } from "../support/refusing-file-system.js";
import { type Actor, Stage } from "../support/session-stage.js";
import { ended } from "../support/span-lines.js";

let stage: Stage;
/** The file system as the writer finds it, or a recovery after the writer's death: its own files are open to each. */
let fileSystem: RefusingFileSystem;
beforeEach(() => {
  stage = new Stage();
  const silent = { error() {}, warn() {}, info() {}, debug() {}, verbose() {} };
  diag.setLogger(silent, { logLevel: DiagLogLevel.ALL, suppressOverrideMessage: true });
});
afterEach(async () => {
  fileSystem.letGo();
  diag.disable();
  await stage.end();
});

const path = (): string => `${stage.dir}/s.json`;

/** A session with a document, and with a span that the document lacks; another program holds the document. */
async function withNews(refusals: Refusals): Promise<Actor> {
  fileSystem = new RefusingFileSystem({ locksOpenFiles: true, ...refusals });
  const actor = stage.actor({}, { fileSystem });
  actor.record("s", 2);
  await actor.processor.forceFlush();
  fileSystem.hold(path());
  actor.record("s", 1);
  return actor;
}

/** The writer is dead, and its files are closed. */
function bury(refusals: Refusals): void {
  fileSystem.letGo();
  stage.liveness.bury();
  fileSystem = new RefusingFileSystem({ locksOpenFiles: true, ...refusals });
}

const recover = ({ clock }: Actor) =>
  recoverDirectory(
    { fileSystem: onGround(fileSystem, new Ground()), clock, liveness: stage.liveness },
    stage.dir,
  );

/** Calls that a refused operation may make: nine attempts with some twenty calls each. */
const mostCalls = 600;

async function counted(work: () => unknown): Promise<unknown> {
  const before = fileSystem.calls;
  try {
    return await work();
  } finally {
    expect(fileSystem.calls - before).toBeLessThan(mostCalls);
  }
}

describe.each([
  ["hard links", {}],
  ["no hard links", { calls: { link: "EPERM" } }],
] as const)("P12 a held document, with %s", (_, refusals) => {
  test("P12 forceFlush() and shutdown() reject, and shutdown() again ends the session once the document is free", async () => {
    const { processor } = await withNews(refusals);
    await expect(counted(() => processor.forceFlush())).rejects.toThrow(/EPERM/);
    await expect(counted(() => processor.shutdown())).rejects.toThrow(/EPERM/);
    expect(ended(stage.document("s"))).toHaveLength(2);
    expect(stage.files).toHaveLength(3);
    fileSystem.letGo();
    await counted(() => processor.shutdown());
    expect(ended(stage.document("s"))).toHaveLength(3);
    expect(stage.document("s").summary.status).toBe("completed");
    expect(stage.files).toEqual(["s.json"]);
  });

  test("P3 P12 the crash fence returns, and recovery makes the document", async () => {
    const actor = await withNews(refusals);
    await counted(() => actor.processor.crash("out of memory"));
    expect(ended(stage.document("s"))).toHaveLength(2);
    bury(refusals);
    expect((await recover(actor)).failures).toEqual([]);
    expect(ended(stage.document("s"))).toHaveLength(3);
    expect(stage.document("s").summary).toMatchObject({ status: "crashed", error: "out of memory" });
    expect(stage.files).toEqual(["s.json"]);
  });

  test("P12 recovery reports the held document, and makes it the next time", async () => {
    const actor = await withNews(refusals);
    bury(refusals);
    fileSystem.hold(path());
    expect(((await counted(() => recover(actor))) as { failures: unknown[] }).failures).toHaveLength(1);
    expect(ended(stage.document("s"))).toHaveLength(2);
    fileSystem.letGo();
    expect((await recover(actor)).failures).toEqual([]);
    expect(ended(stage.document("s"))).toHaveLength(3);
    expect(stage.files).toEqual(["s.json"]);
  });

  test("P2 P12 recovery replaces a damaged document that is a link to the append log of the dead writer", async () => {
    const actor = await withNews(refusals);
    bury(refusals);
    const log = stage.files.find((name) => name.endsWith(".open")) ?? "";
    rmSync(path());
    linkSync(`${stage.dir}/${log}`, path());
    expect((await recover(actor)).failures).toEqual([]);
    expect(ended(stage.document("s"))).toHaveLength(3);
    expect(stage.files.filter((name) => !name.includes(".damaged."))).toEqual(["s.json"]);
  });

  test("P2 P12 recovery removes the lock of a writer that died in a commit", async () => {
    const actor = await withNews(refusals);
    bury(refusals);
    const log = stage.files.find((name) => name.endsWith(".open")) ?? "";
    mkdirSync(`${path()}.lock`);
    linkSync(`${stage.dir}/${log}`, `${path()}.lock/${log.split(".").at(-2)}`);
    expect((await recover(actor)).failures).toEqual([]);
    expect(ended(stage.document("s"))).toHaveLength(3);
    expect(stage.files).toEqual(["s.json"]);
  });
});
