/** Corruption: bytes of a dead writer's files that differ from what was written. */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { runAsync } from "../../src/platform/gensync.js";
import { SystemLiveness } from "../../src/platform/liveness.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverSession } from "../../src/recovery/recover-session.js";
import type { RecoveredSession } from "../../src/recovery/recover-traces.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { listSideFiles } from "../../src/storage/side-files.js";
import { layOut, recordSession, spansOf } from "../support/recorded-session.js";
import { randomOf, runSeed, trials } from "../support/trials.js";
import { unsyncedFileSystem } from "../support/unsynced-file-system.js";

vi.setConfig({ testTimeout: 300_000 });

const ports = {
  fileSystem: unsyncedFileSystem,
  liveness: new SystemLiveness(nodeFileSystem.sync),
  clock: systemClock,
};
const session = await recordSession();
const path = (): string => join(dir, `${session.name}.json`);

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir(), "flip-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

type Part = "open" | "live" | "sealed";

/** One byte replaced with another. */
interface Flip {
  readonly part: Part;
  readonly at: number;
  readonly to: number;
  readonly was: number;
}

function flipOf(seed: number): Flip {
  const random = randomOf(seed);
  const part = (["open", "live", "sealed"] as const)[Math.floor(random() * 3)] as Part;
  const at = Math.floor(random() * session[part].length);
  const was = session[part][at] as number;
  // Half of the flips change one bit, as memory errors do. The other half change the whole byte, as disk errors do.
  const to = random() < 0.5 ? was ^ (1 << Math.floor(random() * 8)) : Math.floor(random() * 256);
  return { part, at, to, was };
}

function layOutFlipped({ part, at, to }: Flip): void {
  const bytes = Buffer.from(session[part]);
  bytes[at] = to;
  if (part === "live") layOut(dir, session, { open: session.open, live: bytes });
  else layOut(dir, session, { open: bytes, live: part === "sealed" ? session.sealedLive : session.live });
}

/** The spans whose record, or whose separating newline, contains this byte. */
function hit({ part, at }: Flip): Set<string> {
  if (part === "live") return new Set(session.starts.filter(isHit).map(({ span }) => span.spanId));
  const bytes = session[part];
  const ids = new Set<string>();
  let from = 0;
  while (from < bytes.length) {
    const to = bytes.indexOf(0x0a, from) + 1;
    // A lost newline joins two lines.
    if (at >= from - 1 && at < to) {
      const id = /"spanId":"([0-9a-f]{16})"/.exec(bytes.subarray(from, to).toString("latin1"))?.[1];
      if (id !== undefined) ids.add(id);
    }
    from = to;
  }
  return ids;

  function isHit({ from, to }: { from: number; to: number }): boolean {
    return at >= from - 1 && at < to;
  }
}

const recorded = new Map<string, string>(
  session.lines.map(({ span }) => [span.spanId, JSON.stringify(span)]),
);
const started = new Set(session.starts.map(({ span }) => span.spanId));

const traceId = "0af7651916cd43dd8448eb211c80319c";

/**
 * The document with other ids for spans of another trace than its own: all spans were recorded in one trace, and a flip
 * in the trace id of a record makes another span of the record.
 *
 * A flip in the trace id of the head moves every line to another trace, while the journal still names the trace of each
 * start. So a recovery finds a start beside each line: nothing is lost, and starts are doubled, which are left out here.
 */
function withStrangers(document: TraceFile): TraceFile {
  const isStranger = (span: TraceSpan) => span.traceId !== undefined && span.traceId !== document.traceId;
  if (document.traceId === traceId) {
    const renamed = (span: TraceSpan) => ({ ...span, spanId: `${span.traceId} ${span.spanId}` });
    return { ...document, spans: document.spans.map((span) => (isStranger(span) ? renamed(span) : span)) };
  }
  const inLines = new Set(document.spans.filter((span) => !isStranger(span)).map(({ spanId }) => spanId));
  return {
    ...document,
    spans: document.spans.filter((span) => !isStranger(span) || !inLines.has(span.spanId)),
  };
}

/** Only the record that was hit is lost or altered, and at most one span appears under another id. */
function expectNeighbours(document: TraceFile, flip: Flip): void {
  const damaged = hit(flip);
  const spans = spansOf(withStrangers(document));
  const wrong: string[] = [];
  for (const [id, text] of recorded) {
    // A journal does not contain the end of a span. Its line in the document is intact.
    if (flip.part !== "live" && damaged.has(id)) continue;
    if (JSON.stringify(spans.get(id)) !== text) wrong.push(`lost ${id}`);
  }
  for (const id of started) {
    if (damaged.has(id) || recorded.has(id)) continue;
    const span = spans.get(id) as TraceSpan | undefined;
    if (span?.endTime === undefined) wrong.push(`lost the start of ${id}`);
  }
  const strangers = [...spans.keys()].filter((id) => !recorded.has(id) && !started.has(id));
  if (strangers.length > 1) wrong.push(`invented ${strangers.join()}`);
  if (wrong.length > 0) throw new Error(wrong.join(", "));
}

async function recoverOne(flip: Flip): Promise<RecoveredSession> {
  const owners = (await runAsync(unsyncedFileSystem, listSideFiles(dir))).get(session.name) ?? [];
  const { reports } = await recoverSession(ports, owners, []);
  expect(reports).toHaveLength(1);
  const report = reports[0] as RecoveredSession;
  // The path from the report, because a flip may have hit the session's name.
  const bytes = fs.readFileSync(report.path);
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  expectNeighbours(JSON.parse(text), flip);
  const kept = report.keptAs.map((file) => file.slice(dir.length + 1));
  expect(fs.readdirSync(dir).sort()).toEqual([report.path.slice(dir.length + 1), ...kept].sort());
  // Every line that could not be decoded is counted, and kept unchanged.
  if (report.corruptLines > 0) expect(kept).toHaveLength(1);
  const lost = [...hit(flip)].filter((id) => !text.includes(`"${id}"`));
  if (lost.length > 0 && report.corruptLines + report.tornBytes === 0) {
    // The id itself was hit: the span is in the document under the corrupted id.
    const strangers = [...spansOf(withStrangers(JSON.parse(text))).keys()].filter(
      (id) => !recorded.has(id) && !started.has(id),
    );
    expect(strangers.length).toBeGreaterThanOrEqual(1);
  }
  return report;
}

/** Prepares the directory for the next flip. */
function clear(): void {
  for (const file of fs.readdirSync(dir)) fs.rmSync(join(dir, file));
}

describe("P6 flipped bytes", () => {
  it("P6 each of 10,000 random flipped bytes loses at most one record, and the loss is reported", async () => {
    let corrupt = 0;
    const count = trials(10_000, 100_000);
    for (let trial = 0; trial < count; trial++) {
      const seed = runSeed + trial;
      const flip = flipOf(seed);
      try {
        layOutFlipped(flip);
        if ((await recoverOne(flip)).corruptLines > 0) corrupt++;
      } catch (error) {
        throw new Error(`SEED=${seed}: ${JSON.stringify(flip)}: ${(error as Error).message}`, {
          cause: error,
        });
      }
      clear();
    }
    // Most flips hit the inside of a string. The rest must include flips that break a line.
    expect(corrupt).toBeGreaterThan(count / 50);
  });

  it("P6 a newline in the place of any byte of the tail leaves each span once", async () => {
    const tailStart = session.sealed.lastIndexOf("\n", session.sealed.length - 2) + 1;
    for (let at = tailStart; at < session.sealed.length - 1; at++) {
      const flip: Flip = { part: "sealed", at, to: 0x0a, was: session.sealed[at] as number };
      layOutFlipped(flip);
      await expect(recoverOne(flip), JSON.stringify(flip)).resolves.toBeDefined();
      clear();
    }
  });

  it("P6 readTrace and recoverTraces agree on corrupt files, and neither throws", async () => {
    for (let trial = 0; trial < trials(200, 2_000); trial++) {
      const seed = runSeed + 1_000_000 + trial;
      const flip = flipOf(seed);
      layOutFlipped(flip);
      try {
        const read = await readTrace(path());
        expectNeighbours(read.trace, flip);
        const { sessions, failures } = await recoverTraces(dir);
        expect(failures).toEqual([]);
        const { corruptLines, tornBytes, path: written } = sessions[0] as RecoveredSession;
        expect({ corruptLines, tornBytes }).toEqual(read.damage);
        expect(await recoverTraces(dir)).toEqual({ sessions: [], failures: [], running: 0 });
        const after = await readTrace(written);
        expect(after.trace.spans.map(({ spanId }) => spanId)).toEqual(
          read.trace.spans.map(({ spanId }) => spanId),
        );
      } catch (error) {
        throw new Error(`SEED=${seed}: ${JSON.stringify(flip)}: ${(error as Error).message}`, {
          cause: error,
        });
      }
      clear();
    }
  });

  it("P6 a corrupt file is kept under another name, byte for byte", async () => {
    const at = session.open.indexOf('"name"', 2000);
    const open = Buffer.from(session.open);
    open[at] = 0;
    const live = Buffer.from(session.live);
    live[live.indexOf('{"span"', 1000)] = 0;
    layOut(dir, session, { open, live });
    const { sessions } = await recoverTraces(dir);
    const { corruptLines, keptAs } = sessions[0] as RecoveredSession;
    expect(corruptLines).toBe(2);
    expect(keptAs.map((file) => fs.readFileSync(file).equals(file.endsWith(".live") ? live : open))).toEqual([
      true,
      true,
    ]);
  });
});
