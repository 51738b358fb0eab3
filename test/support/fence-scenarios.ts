/** The operations that the crash fence is tested against. Each is stopped at every asynchronous call it makes. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { CrashSafeFileSpanExporterOptions } from "../../src/exporter/file-exporter-options.js";
import { type FileCalls, type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import type { Actor, Stage } from "./session-stage.js";

/** One operation on session `s`, and its preparation. */
export interface FenceScenario {
  readonly name: string;
  readonly options?: Partial<CrashSafeFileSpanExporterOptions>;
  readonly fileSystem?: FileSystem;
  /** Runs before the process under test starts. Returns ids of spans that earlier writers leave in the document. */
  before?(stage: Stage): Promise<readonly string[]>;
  /** Runs before the operation. Returns ids of spans that earlier writers leave in the document. */
  prepare(actor: Actor, stage: Stage): Promise<readonly string[]>;
  operation(actor: Actor, stage: Stage): Promise<unknown>;
  /** A recovery has claimed side files of the session, and ends after the fence. */
  readonly isRecovered?: true;
  /** That recovery adds other writers' spans to the document, which stays crashed. */
  readonly grows?: true;
  /**
   * The operation closes open spans when it commits. After the end of a `session`, a later fence may keep the
   * normal end. After a `shutdown` it marks the session.
   */
  readonly closes?: "session" | "shutdown";
  /** The operation closes them some calls before its commit. */
  readonly closesEarly?: true;
  /** `maxSpans` leaves spans out. */
  readonly isCapped?: true;
  /** Another process writes to the session. */
  readonly hasPeer?: true;
  /** Files that may remain next to the document. */
  readonly leftover?: RegExp;
}

/** Two ended spans, one open. */
async function work(actor: Actor): Promise<readonly string[]> {
  actor.record("s", 2);
  actor.start("s");
  return [];
}

/** Published work, and a span since. */
async function publishedWork(actor: Actor): Promise<readonly string[]> {
  await work(actor);
  await actor.exporter.forceFlush();
  await actor.fileSystem.idle();
  return work(actor);
}

/** A run of the session that has ended. */
async function earlierRun(stage: Stage): Promise<readonly string[]> {
  const earlier = stage.actor();
  earlier.record("s", 3);
  await earlier.exporter.shutdown();
  await earlier.fileSystem.idle();
  return earlier.ended;
}

/** A run that was killed: it never publishes, and the test reports it as dead. */
async function killedRun(stage: Stage, id = "s"): Promise<readonly string[]> {
  const killed = stage.actor();
  killed.record(id, 3);
  stage.liveness.bury();
  return killed.ended;
}

const flush = (actor: Actor) => actor.exporter.forceFlush();
const end = (actor: Actor) => actor.exporter.endSession("s");
/** The background work of the exporter, started now. */
const housekeeping = (actor: Actor) => {
  actor.clock.pass(0);
  return actor.fileSystem.idle();
};

const megabytes = (count: number) => async (actor: Actor) => {
  actor.record("s", count, "x".repeat(1 << 20));
  return work(actor);
};

const noLinks = (): never => {
  throw Object.assign(new Error("no links here"), { code: "ENOTSUP" });
};
const withoutLinks: FileSystem = {
  sync: { ...nodeFileSystem.sync, link: noLinks } satisfies FileCalls,
  async: { ...nodeFileSystem.async, link: async () => noLinks() },
};

async function twinPublishes(actor: Actor, stage: Stage, ends: boolean): Promise<readonly string[]> {
  await publishedWork(actor);
  const twin = stage.actor();
  twin.record("s", 2);
  await (ends ? twin.exporter.shutdown() : twin.exporter.forceFlush());
  await twin.fileSystem.idle();
  return twin.ended;
}

export const fenceScenarios: readonly FenceScenario[] = [
  { name: "a first publish", prepare: work, operation: flush },
  { name: "a publish over an older document", prepare: publishedWork, operation: flush },
  { name: "a publish in several chunks", prepare: megabytes(2), operation: flush },
  {
    name: "a publish whose directory is synced",
    options: { durability: "interval" },
    prepare: publishedWork,
    operation: flush,
  },
  {
    name: "a publish that compacts",
    options: { maxSpans: 10 },
    isCapped: true,
    prepare: async (actor) => {
      actor.record("s", 30);
      return work(actor);
    },
    operation: flush,
  },
  ...["a finalize that leaves spans out", "a shutdown that leaves spans out"].map(
    (name, index): FenceScenario => ({
      name,
      options: { maxSpans: 10 },
      isCapped: true,
      prepare: async (actor) => {
        actor.record("s", 15);
        await publishedWork(actor);
        actor.record("s", 9);
        return work(actor);
      },
      operation: index === 0 ? end : (actor) => actor.exporter.shutdown(),
      closes: index === 0 ? "session" : "shutdown",
      closesEarly: true,
    }),
  ),
  { name: "a first finalize", prepare: work, operation: end, closes: "session" },
  { name: "a finalize over an older document", prepare: publishedWork, operation: end, closes: "session" },
  {
    name: "a finalize with a reason",
    prepare: work,
    operation: (actor) => actor.exporter.endSession("s", { error: "no" }),
    closes: "session",
  },
  { name: "a finalize that syncs much", prepare: megabytes(5), operation: end, closes: "session" },
  {
    name: "a finalize whose directory is synced",
    options: { durability: "each" },
    prepare: work,
    operation: end,
    closes: "session",
  },
  {
    name: "a finalize where there are no links",
    fileSystem: withoutLinks,
    prepare: publishedWork,
    operation: end,
    closes: "session",
    closesEarly: true,
  },
  {
    name: "a finalize, and a span that resumes the session",
    prepare: publishedWork,
    operation: (actor) => {
      const ending = end(actor);
      actor.record("s", 1);
      return ending;
    },
    closes: "session",
  },
  {
    name: "a shutdown",
    prepare: publishedWork,
    operation: (actor) => actor.exporter.shutdown(),
    closes: "shutdown",
  },
  { name: "a merge when a session is resumed", before: earlierRun, prepare: work, operation: flush },
  {
    name: "a finalize when a session is resumed",
    before: earlierRun,
    prepare: work,
    operation: end,
    closes: "session",
  },
  {
    name: "a merge with a document that was reformatted",
    async before(stage) {
      const ids = await earlierRun(stage);
      const path = `${stage.dir}/s.json`;
      writeFileSync(path, JSON.stringify(JSON.parse(readFileSync(path, "utf8")), null, 2));
      return ids;
    },
    prepare: work,
    operation: flush,
  },
  {
    name: "a merge with a file that is no document",
    async before(stage) {
      mkdirSync(stage.dir, { recursive: true });
      writeFileSync(`${stage.dir}/s.json`, "not a trace");
      return [];
    },
    prepare: work,
    operation: flush,
    leftover: /^s\.json\.damaged\./,
  },
  {
    name: "a merge with a peer writer that has ended",
    prepare: (actor, stage) => twinPublishes(actor, stage, true),
    operation: flush,
  },
  {
    name: "a merge with a live peer writer",
    prepare: (actor, stage) => twinPublishes(actor, stage, false),
    operation: flush,
    hasPeer: true,
    leftover: /^s\.json\.test-0-0-0-\d+x1\.(open|live)$/,
  },
  {
    name: "a recovery of the same session",
    before: (stage) => killedRun(stage),
    prepare: work,
    operation: housekeeping,
    isRecovered: true,
    grows: true,
  },
  {
    name: "a recovery of the same session, published before",
    async before(stage) {
      const ids = await earlierRun(stage);
      return [...ids, ...(await killedRun(stage))];
    },
    prepare: publishedWork,
    operation: housekeeping,
    isRecovered: true,
    grows: true,
  },
  {
    name: "a recovery of another session",
    async before(stage) {
      await killedRun(stage, "other");
      return [];
    },
    prepare: work,
    operation: housekeeping,
    leftover: /^other\.json/,
  },
  {
    name: "a recovery that reports live owners as dead",
    prepare: publishedWork,
    operation: (actor, stage) => {
      stage.liveness.bury();
      return housekeeping(actor);
    },
    isRecovered: true,
  },
];
