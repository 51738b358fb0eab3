/**
 * The eight reproductions that were reported for the tracer this library replaces. Each also runs on a writer built
 * the old way. Where the fault is certain there, the test asserts it. Where it depends on the machine, the test
 * notes how often it was seen, and a delayed rename makes it certain.
 */
import { mkdtempSync, promises, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { whileCoresSpin, writeNoise } from "../support/busy-machine.js";
import { type OldStyleDocument, type OldStyleSpan, OldStyleWriter } from "../support/old-style-writer.js";
import { Stage } from "../support/session-stage.js";
import { trials } from "../support/trials.js";

let dir: string;
let stage: Stage;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "crash-safe-old-style-"));
  stage = new Stage();
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  stage.remove();
});

const turn = () => new Promise((resolve) => setImmediate(resolve));
const bulk = "x".repeat(5000);
const spans = (count: number, from = 0): OldStyleSpan[] =>
  Array.from({ length: count }, (_, index) => ({ spanId: `span ${from + index}`, input: bulk }));
const [oneMore] = spans(1, 99_999) as [OldStyleSpan];

const oldPath = () => join(dir, "s.json");
const oldDocument = (): OldStyleDocument => JSON.parse(readFileSync(oldPath(), "utf8"));

/** A rename that waits for the test. */
function slowRename() {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let arrive = () => {};
  const reached = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const rename = async (from: string, to: string) => {
    arrive();
    await released;
    await promises.rename(from, to);
  };
  return { rename, reached, release };
}

const ours = (): TraceFile => stage.document("s");
/** Ended spans, without the span of the session itself. */
const expectCrashed = (document: TraceFile, spanCount: number) => {
  expect(document.summary).toMatchObject({ status: "crashed", error: "SIGTERM" });
  expect(document.spans).toHaveLength(spanCount + 1);
};

/** The last asynchronous call before a publish or a finalize takes the document's name. */
const lastStep = (name: string) => name === "fdatasync" || name === "lstat";

describe("R1 crash flush during an in-flight snapshot rename (M1)", () => {
  it("P3 R1 this library: the crashed document stays", async () => {
    const actor = stage.actor();
    actor.record("s", 3);
    const hold = actor.fileSystem.hold((name) => name === "fdatasync", "done");
    const flushed = actor.exporter.forceFlush();
    await hold.reached;
    actor.exporter.crash("SIGTERM");
    hold.release();
    await flushed;
    await actor.fileSystem.idle();
    expectCrashed(ours(), 3);
  });

  it("R1 the old way: the stale snapshot replaces the crashed document", async () => {
    const { rename, reached, release } = slowRename();
    const writer = new OldStyleWriter(oldPath(), { rename });
    writer.event(oneMore);
    await reached;
    writer.crashFlush("SIGTERM");
    expect(oldDocument().summary.status).toBe("crashed");
    release();
    await writer.idle();
    expect(oldDocument().summary.status).toBe("running");
  });
});

interface Natural {
  readonly preloaded: number;
  readonly trials: number;
  /** Other work for the thread pool. */
  readonly noise?: () => Promise<void>;
}

/** Crash flushes right after a snapshot or a final export has begun. Returns how often each writer ends up wrong. */
async function crashIntoWrite(how: "snapshot" | "final export", natural: Natural): Promise<number> {
  let oldFaults = 0;
  for (let trial = 0; trial < natural.trials; trial++) {
    const actor = stage.actor();
    actor.record("s", natural.preloaded, bulk);
    const noise = natural.noise?.();
    const work = how === "snapshot" ? actor.exporter.forceFlush() : actor.exporter.endSession("s");
    await turn();
    const hasEnded = how === "final export" && stage.bytesIfAny("s") !== undefined;
    actor.exporter.crash("SIGTERM");
    const fenced = stage.bytes("s");
    await Promise.all([work, noise]);
    await actor.fileSystem.idle();
    if (!hasEnded) expectCrashed(ours(), natural.preloaded);
    expect(stage.bytes("s") === fenced).toBe(true);
    stage.remove();
    stage = new Stage();

    const writer = new OldStyleWriter(oldPath());
    writer.preload(spans(natural.preloaded));
    const oldNoise = natural.noise?.();
    if (how === "snapshot") writer.event(oneMore);
    const ended = how === "snapshot" ? writer.idle() : writer.end();
    await turn();
    writer.crashFlush("SIGTERM");
    await Promise.all([ended, oldNoise]);
    if (oldDocument().summary.status !== "crashed") oldFaults++;
  }
  return oldFaults;
}

it("P3 R2 M1 natural, basic", async ({ annotate }) => {
  const natural = { preloaded: 2000, trials: trials(5, 20) };
  const seen = await whileCoresSpin(1, () => crashIntoWrite("snapshot", natural));
  await annotate(`the old way: stale in ${seen} of ${natural.trials}; ours: 0`);
});

it("P3 R3 M1 natural, aggressive", async ({ annotate }) => {
  const noise = () => writeNoise(dir, 200);
  const natural = { preloaded: 5000, trials: trials(2, 10), noise };
  const seen = await whileCoresSpin(2, () => crashIntoWrite("snapshot", natural));
  await annotate(`the old way: stale in ${seen} of ${natural.trials}; ours: 0`);
});

describe("R4 events during an in-flight snapshot are dropped (M2)", () => {
  it("P4 R4 this library: the document catches up without a further event", async () => {
    const actor = stage.actor();
    actor.record("s", 1);
    const hold = actor.fileSystem.hold((name) => name === "fdatasync", "done");
    actor.clock.pass(20);
    await hold.reached;
    actor.record("s", 8);
    hold.release();
    await actor.fileSystem.idle();
    expect(ours().spans).toHaveLength(2);
    actor.clock.pass(20);
    await actor.fileSystem.idle();
    expect(ours().spans).toHaveLength(10);
  });

  it("R4 the old way: the events are not in the file, and nothing will write them", async () => {
    const { rename, reached, release } = slowRename();
    const writer = new OldStyleWriter(oldPath(), { rename });
    writer.event(oneMore);
    await reached;
    for (const span of spans(8)) writer.event(span);
    release();
    await writer.idle();
    await turn();
    expect(oldDocument().spans).toHaveLength(1);
  });
});

it.each([100, 800, 1_300])(
  "P4 R5 M2 as a reader sees it: %i bulky spans, and a burst within 250 ms",
  async (spans) => {
    const actor = stage.actor();
    // At once, or in turns of the event loop: the events come without a pause.
    for (let at = 0; at < spans; at += 50) {
      actor.record("s", 50, bulk);
      actor.clock.pass(10);
      await actor.fileSystem.idle();
    }
    actor.clock.pass(230);
    await actor.fileSystem.idle();
    expect(ours().spans).toHaveLength(spans + 1);
    for (let i = 0; i < 8; i++) actor.record("s", 1, bulk);
    actor.clock.pass(230);
    await actor.fileSystem.idle();
    expect(stage.bytes("s").length).toBeLessThan(8_000_000);
    expect(ours().spans).toHaveLength(spans + 9);
  },
);

it("P4 R5 M2 natural: a burst during an in-flight snapshot", async ({ annotate }) => {
  const count = trials(20, 100);
  let oldLost = 0;
  for (let trial = 0; trial < count; trial++) {
    const actor = stage.actor();
    actor.record("s", 800, bulk);
    actor.clock.pass(20);
    await turn();
    for (let i = 0; i < 8; i++) {
      actor.record("s", 1, bulk);
      await turn();
    }
    // No further event, only time.
    await actor.fileSystem.idle();
    actor.clock.pass(5_000);
    await actor.fileSystem.idle();
    expect(ours().spans).toHaveLength(809);
    actor.exporter.crash();
    await actor.fileSystem.idle();
    stage.remove();
    stage = new Stage();

    const writer = new OldStyleWriter(oldPath());
    writer.preload(spans(800));
    for (const span of spans(8, 800)) {
      writer.event(span);
      await turn();
    }
    await writer.idle();
    await turn();
    if (oldDocument().spans.length < 808) oldLost++;
  }
  await annotate(`the old way: events lost in ${oldLost} of ${count}; ours: 0`);
});

describe("R6 final export during the crash flush (M3)", () => {
  it("P3 R6 this library: the crashed document stays", async () => {
    const actor = stage.actor();
    actor.record("s", 3);
    const hold = actor.fileSystem.hold(lastStep, "done");
    const ended = actor.exporter.endSession("s");
    await hold.reached;
    actor.exporter.crash("SIGTERM");
    hold.release();
    await ended;
    await actor.fileSystem.idle();
    expectCrashed(ours(), 3);
  });

  it("R6 the old way: the session ends as completed", async () => {
    const { rename, reached, release } = slowRename();
    const writer = new OldStyleWriter(oldPath(), { rename });
    writer.preload(spans(3));
    const ended = writer.end();
    await reached;
    writer.crashFlush("SIGTERM");
    release();
    await ended;
    expect(oldDocument().summary).toEqual({ status: "completed" });
  });
});

it("P3 R7 M3 natural: final export of a large session during the crash flush", async ({ annotate }) => {
  const natural = { preloaded: 5000, trials: trials(3, 10) };
  const seen = await crashIntoWrite("final export", natural);
  await annotate(`the old way: completed in ${seen} of ${natural.trials}; ours: 0`);
});

describe("R8 baseline, crash flush alone", () => {
  it("P3 R8 this library writes the crashed document", async () => {
    const actor = stage.actor();
    actor.record("s", 3);
    actor.exporter.crash("SIGTERM");
    await actor.fileSystem.idle();
    expectCrashed(ours(), 3);
  });

  it("R8 the old way writes the crashed document", () => {
    const writer = new OldStyleWriter(oldPath());
    writer.preload(spans(3));
    writer.crashFlush("SIGTERM");
    expect(oldDocument()).toMatchObject({ summary: { status: "crashed", error: "SIGTERM" } });
    expect(oldDocument().spans).toHaveLength(3);
  });
});
