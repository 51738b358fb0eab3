/**
 * Reading and recovering a dead writer's files that are cut at every byte, in every state in which a death can
 * leave the files.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { runAsync } from "../../src/platform/gensync.js";
import { SystemLiveness } from "../../src/platform/liveness.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverSession } from "../../src/recovery/recover-session.js";
import type { RecoveredSession } from "../../src/recovery/recover-traces.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { listSideFiles } from "../../src/storage/side-files.js";
import { layOut, recordSession, type SessionHandle, spansOf } from "../support/recorded-session.js";
import { isTorture } from "../support/trials.js";
import { unsyncedFileSystem } from "../support/unsynced-file-system.js";

vi.setConfig({ testTimeout: 300_000 });
const liveness = new SystemLiveness(nodeFileSystem.sync);
const ports = { fileSystem: unsyncedFileSystem, liveness, clock: systemClock };

const session: SessionHandle = await recordSession();
const tailStart = session.sealed.lastIndexOf(0x0a, session.sealed.length - 2) + 1;
/** Span lines of the finalized append log: those of the unfinished log, and the spans that the end closed. */
const sealedLines = linesOfSealed();

/** In memory where a RAM disk exists: tens of thousands of recoveries need no disk. */
const bulk = fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir();
let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(bulk, "cut-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});
function onDisk(): void {
  fs.rmdirSync(dir);
  dir = fs.mkdtempSync(join(os.tmpdir(), "cut-"));
}

function linesOfSealed(): { to: number; id: string; text: string }[] {
  const found: { to: number; id: string; text: string }[] = [];
  for (let from = session.sealed.indexOf(0x0a) + 1; from < tailStart; ) {
    const to = session.sealed.indexOf(0x0a, from) + 1;
    const span = JSON.parse(
      session.sealed
        .subarray(from, to - 1)
        .toString("utf8")
        .replace(/^,/, ""),
    );
    found.push({ to, id: span.spanId, text: JSON.stringify(span) });
    from = to;
  }
  return found;
}

/** The texts of ended spans and the ids of interrupted spans that a document must hold, no more and no less. */
interface Expected {
  readonly ended: ReadonlyMap<string, string>;
  readonly interrupted: ReadonlySet<string>;
}

function expected(openBytes: number, liveBytes: number, isSealed = false): Expected {
  const all = isSealed
    ? sealedLines
    : session.lines.map(({ to, span }) => ({ to, id: span.spanId, text: JSON.stringify(span) }));
  const ended = new Map(all.filter(({ to }) => to <= openBytes).map(({ id, text }) => [id, text]));
  // A start that lacks only its newline is complete JSON.
  const started = session.starts.filter(({ to }) => to - 1 <= liveBytes).map(({ span }) => span.spanId);
  return { ended, interrupted: new Set(started.filter((id) => !ended.has(id))) };
}

function expectSpans(document: TraceFile, { ended, interrupted }: Expected, where: string): void {
  const spans = spansOf(document);
  const wrong: string[] = [];
  for (const [id, text] of ended) if (JSON.stringify(spans.get(id)) !== text) wrong.push(`changed ${id}`);
  for (const id of interrupted) if (spans.get(id)?.interrupted !== true) wrong.push(`not interrupted ${id}`);
  for (const id of spans.keys()) if (!ended.has(id) && !interrupted.has(id)) wrong.push(`invented ${id}`);
  if (wrong.length > 0) throw new Error(`${where}: ${wrong.join(", ")}`);
}

/** Recovers, and checks what every recovery must produce. `undefined`: nothing was recorded, and nothing is left. */
async function recover(where: string, want: Expected): Promise<RecoveredSession | undefined> {
  const isEmpty = want.ended.size + want.interrupted.size === 0 && !isTorn();
  const owners = (await runAsync(unsyncedFileSystem, listSideFiles(dir))).get(session.name) ?? [];
  const { reports } = await recoverSession(ports, owners, []);
  if (isEmpty) {
    if (reports.length > 0 || fs.readdirSync(dir).length > 0) throw new Error(`${where}: a ghost`);
    return undefined;
  }
  if (reports.length !== 1) throw new Error(`${where}: ${reports.length} sessions`);
  const report = reports[0] as RecoveredSession;
  const path = join(dir, `${session.name}.json`);
  expectSpans(JSON.parse(fs.readFileSync(path, "utf8")), want, where);
  const left = fs.readdirSync(dir).sort().join();
  const allowed = [`${session.name}.json`, ...report.keptAs.map((kept) => kept.slice(dir.length + 1))];
  if (left !== allowed.sort().join()) throw new Error(`${where}: left ${left}`);
  for (const file of fs.readdirSync(dir)) fs.rmSync(join(dir, file));
  return report;
}

/** Whether a file ends in a part of a record, which may be that of a span. */
function isTorn(): boolean {
  return fs.readdirSync(dir).some((name) => {
    const bytes = fs.readFileSync(join(dir, name));
    const torn = bytes.subarray(bytes.length - tornIn(bytes)).toString("utf8");
    // A record of a journal that lacks only its newline is complete.
    return torn !== "" && !(name.endsWith(".live") && isJson(torn));
  });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Calls every public function: reads, recovers as a dry run, recovers twice, reads again. */
async function recoverInPublic(where: string, want: Expected): Promise<void> {
  const path = join(dir, `${session.name}.json`);
  const before = listing();
  expectSpans((await readTrace(path)).trace, want, `${where}, read before`);
  await recoverTraces(dir, { dryRun: true });
  expect(listing(), `${where}: reading and dry runs write nothing`).toEqual(before);
  const first = await recoverTraces(dir);
  expect(first.failures, where).toEqual([]);
  const document = fs.readFileSync(path);
  expectSpans(JSON.parse(document.toString("utf8")), want, `${where}, recovered`);
  const second = await recoverTraces(dir);
  expect([second.sessions, second.failures], where).toEqual([[], []]);
  expect(fs.readFileSync(path).equals(document), `${where}: a second recovery changes nothing`).toBe(true);
  expectSpans((await readTrace(path)).trace, want, `${where}, read after`);
  expect(fs.readdirSync(dir), where).toEqual([`${session.name}.json`]);
  fs.rmSync(path);
}

const listing = (): string[] =>
  fs
    .readdirSync(dir)
    .sort()
    .map((name) => `${name} ${fs.statSync(join(dir, name)).ino} ${fs.statSync(join(dir, name)).size}`);

/** Every offset of a file, from the end to the start. */
function* offsets(bytes: Buffer): Iterable<number> {
  for (let at = bytes.length; at >= 0; at--) yield at;
}

/** A torture run takes every offset everywhere; other runs where no second file says what one has lost. */
const stride = isTorture ? 1 : 4;

/** The offsets around the end of each line, and one in four between them. From the end to the start. */
function sparseOffsets(bytes: Buffer): number[] {
  const near = new Set(someOffsets(bytes));
  return [...offsets(bytes)].filter((at) => at % stride === 0 || near.has(at));
}

/** The offsets around the end of each line. */
function someOffsets(bytes: Buffer): number[] {
  const some = new Set<number>([0, 1, bytes.length]);
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) {
    for (const near of [at - 17, at - 1, at, at + 1, at + 2]) if (near <= bytes.length) some.add(near);
  }
  return [...some];
}

/** The number of bytes after the last whole line. */
const tornIn = (bytes: Buffer): number => bytes.length - (bytes.lastIndexOf(0x0a) + 1);

describe("P2 cut at every byte", () => {
  it("P2 the recorded session has enough lines and starts to be cut", () => {
    expect(session.lines).toHaveLength(18);
    expect(session.starts.length).toBeGreaterThan(15);
    expect(sealedLines).toHaveLength(21);
    expect(liveness.verdict(session.token)).toBe("dead");
  });

  it("P2 an append log cut anywhere loses only the record that was cut", async () => {
    for (const at of offsets(session.open)) {
      const open = session.open.subarray(0, at);
      layOut(dir, session, { open, live: session.live });
      const report = await recover(`.open cut at ${at}`, expected(at, session.live.length));
      expect(report).toMatchObject({
        tornBytes: tornIn(open),
        corruptLines: 0,
        keptAs: [],
        status: "crashed",
      });
    }
  });

  it("P2 an append log cut anywhere keeps its lines without a journal", async () => {
    for (const at of sparseOffsets(session.open)) {
      layOut(dir, session, { open: session.open.subarray(0, at) });
      await recover(`.open cut at ${at}, no .live`, expected(at, 0));
    }
  });

  it("P2 a journal cut anywhere loses only the start that was cut", async () => {
    for (const at of offsets(session.live)) {
      const live = session.live.subarray(0, at);
      layOut(dir, session, { open: session.open, live });
      const report = await recover(`.live cut at ${at}`, expected(session.open.length, at));
      const isWhole = at === session.live.length || session.live[at] === 0x0a;
      expect(report).toMatchObject({ tornBytes: isWhole ? 0 : tornIn(live), corruptLines: 0, keptAs: [] });
    }
  });

  it("P2 a journal alone still recovers the spans that were open", async () => {
    for (const at of sparseOffsets(session.live)) {
      layOut(dir, session, { live: session.live.subarray(0, at) });
      await recover(`.live alone, cut at ${at}`, expected(0, at));
    }
  });

  it("P2 a torn tail loses only the tail; a whole tail ends the session with the status of the tail", async () => {
    for (const at of sparseOffsets(session.sealed)) {
      if (at < session.open.length) break;
      const open = session.sealed.subarray(0, at);
      layOut(dir, session, { open, live: session.sealedLive });
      const report = await recover(
        `sealed .open cut at ${at}`,
        expected(at, session.sealedLive.length, true),
      );
      const isWhole = at === session.sealed.length;
      expect(report).toMatchObject({
        tornBytes: tornIn(open),
        corruptLines: 0,
        status: isWhole ? "completed" : "crashed",
        action: isWhole ? "committed" : "rebuilt",
      });
    }
  });

  it("P2 an append log cut anywhere and an older document together lose no span and repeat none", async () => {
    const publishedIds = new Set(spansOf(JSON.parse(session.published.toString("utf8"))).keys());
    for (const at of someOffsets(session.open)) {
      layOut(dir, session, {
        open: session.open.subarray(0, at),
        live: session.live,
        json: session.published,
      });
      const want = expected(at, session.live.length);
      // The document keeps every span that it had.
      for (const { span } of session.lines) {
        if (!publishedIds.has(span.spanId) || span.spanId === undefined || want.ended.has(span.spanId))
          continue;
        if (session.published.includes(JSON.stringify(span))) {
          (want.ended as Map<string, string>).set(span.spanId, JSON.stringify(span));
          (want.interrupted as Set<string>).delete(span.spanId);
        }
      }
      await recover(`.open cut at ${at} beside a document`, want);
    }
  });

  it("P2 a recovery finishes files that a recovery which died had claimed", async () => {
    const taker = session.token.replace(/-[^-]+$/, "-takerrrr");
    for (const at of someOffsets(session.open)) {
      layOut(dir, { name: session.name, token: taker }, { open: session.open.subarray(0, at) });
      layOut(dir, session, { live: session.live });
      await recover(`renamed .open cut at ${at}`, expected(at, session.live.length));
    }
    layOut(dir, { name: session.name, token: taker }, { open: session.open });
    layOut(dir, session, { live: session.live });
    await recoverInPublic("renamed", expected(session.open.length, session.live.length));
  });

  it("P2 a recovery removes a copy that an earlier recovery left half built", async () => {
    onDisk();
    layOut(dir, session, { open: session.open, live: session.live });
    fs.writeFileSync(join(dir, `${session.name}.json.tmp.${session.token}.1`), session.open.subarray(0, 500));
    await recoverInPublic("half built", expected(session.open.length, session.live.length));
  });

  it("P2 a finalized document whose side files outlived its commit stays unchanged", async () => {
    const path = join(dir, `${session.name}.json`);
    layOut(dir, session, { open: session.sealed, live: session.sealedLive });
    fs.linkSync(`${path}.${session.token}.open`, path);
    expect((await readTrace(path)).trace.summary.status).toBe("completed");
    const report = await recoverTraces(dir);
    expect(report.sessions).toMatchObject([{ action: "swept", status: "completed", recoveredSpans: 0 }]);
    expect(fs.readFileSync(path).equals(session.sealed)).toBe(true);
    expect(fs.readdirSync(dir)).toEqual([`${session.name}.json`]);
  });

  it("P6 NUL bytes at the end, as ext4 leaves them after a power cut, lose nothing before them", async () => {
    for (let length = 1; length <= 4096; length += stride) {
      const nul = Buffer.alloc(length);
      const at = (length * 7) % session.open.length;
      const open = session.open.subarray(0, at);
      layOut(dir, session, { open: Buffer.concat([open, nul]), live: Buffer.concat([session.live, nul]) });
      const report = await recover(`${length} NULs at ${at}`, expected(at, session.live.length));
      expect(report).toMatchObject({ tornBytes: tornIn(open) + 2 * length, corruptLines: 0, keptAs: [] });
    }
  });

  it("P6 a tail that other bytes follow is no tail: a document ends with its tail", async () => {
    for (const rest of ["\0", "\0".repeat(4096), "x", ',{"spanId":"dead']) {
      layOut(dir, session, {
        open: Buffer.concat([session.sealed, Buffer.from(rest)]),
        live: session.sealedLive,
      });
      const report = await recover(
        "sealed, and more",
        expected(session.sealed.length, session.sealedLive.length, true),
      );
      expect(report).toMatchObject({ action: "rebuilt", tornBytes: rest.length, status: "crashed" });
    }
  });

  it("P2 readTrace and recoverTraces return the same content for a cut at every end of a line", async () => {
    onDisk();
    for (const at of someOffsets(session.open)) {
      layOut(dir, session, { open: session.open.subarray(0, at), live: session.live });
      await recoverInPublic(`.open cut at ${at}`, expected(at, session.live.length));
    }
    // A journal that lacks its first record counts as absent.
    for (const at of someOffsets(session.live)) {
      layOut(dir, session, { open: session.open, live: session.live.subarray(0, at) });
      await recoverInPublic(`.live cut at ${at}`, expected(session.open.length, at));
    }
  });

  it("P6 readTrace reads an append log cut anywhere, and throws only CrashSafeFileError where it finds no session", async () => {
    const path = join(dir, `${session.name}.json.${session.token}.open`);
    layOut(dir, session, { open: session.open, live: session.live });
    for (const at of offsets(session.open)) {
      if (at % 5 !== 0) continue;
      fs.truncateSync(path, at);
      const { trace, damage } = await readTrace(path);
      expectSpans(trace, expected(at, session.live.length), `read at ${at}`);
      expect(damage.tornBytes).toBe(tornIn(session.open.subarray(0, at)));
    }
    fs.rmSync(path);
    fs.rmSync(path.replace(/open$/, "live"));
    await expect(readTrace(path)).rejects.toMatchObject({ name: "CrashSafeFileError", code: "READ_FAILED" });
  });
});
