/** Symlinks planted in a directory of traces: no public function changes what they point to. */
import * as fs from "node:fs";
import { basename, join } from "node:path";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileExporter, Trace } from "../../src/altimate.js";
import { parseEntry } from "../../src/format/file-names.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { replayTraces } from "../../src/replay/replay-traces.js";
import { Kept, turn } from "../support/altimate-stage.js";
import { deadToken, OutsideStage, recorded, unknownToken, victims } from "../support/outside-stage.js";
import { layOut } from "../support/recorded-session.js";
import { SessionHost, spanNames } from "../support/session-host.js";
import { StillClock } from "../support/still-clock.js";
import { documentOf } from "../support/trace-documents.js";

let stage: OutsideStage;
beforeEach(() => {
  stage = new OutsideStage();
});
afterEach(() => stage.remove());

/** Every file name that the library creates or recognises, by its kind. */
const places: Record<string, string> = {
  document: "s.json",
  "document of another session": "other.json",
  "append log of a dead owner": `s.json.${deadToken}.open`,
  "journal of a dead owner": `s.json.${deadToken}.live`,
  "append log of an unknown owner": `s.json.${unknownToken}.open`,
  "journal of an unknown owner": `s.json.${unknownToken}.live`,
  "append log of a recovery": `s.json.${deadToken}-recovery.open`,
  "journal of a recovery": `s.json.${unknownToken}-recovery.live`,
  "copy of a dead owner": `s.json.tmp.${deadToken}.1`,
  "copy of an unknown owner": `s.json.tmp.${unknownToken}.1`,
  "copy of the altimate API": "x.json.tmp.123",
  lock: "s.json.lock",
  "lock of another session": "gone.json.lock",
  "claim of a dead owner": `s.json.lock/${deadToken}`,
  "claim of an unknown owner": `s.json.lock/${unknownToken}`,
  "claim of no owner": "s.json.lock/id_rsa",
  "damaged document": `s.json.damaged.${deadToken}`,
  "damaged append log": `other.json.damaged.${deadToken}.open`,
  "checkpoint of a replay": "s.json.replayed",
  "checkpoint without a document": "gone.json.replayed",
  "another file": "notes.txt",
};

test("P9 this test plants every name that the library recognises", () => {
  const types = new Set(Object.values(places).map((name) => parseEntry(basename(name)).type));
  expect(types).toEqual(
    new Set(["document", "open", "live", "temp", "lock", "damaged", "replayed", "other"]),
  );
});

function plant(place: string, target: string): string {
  const path = join(stage.traces, places[place] as string);
  fs.mkdirSync(join(path, ".."), { recursive: true });
  fs.rmSync(path, { force: true });
  fs.symlinkSync(target, path);
  return path;
}

/** What an exporter does in its life, with every timer of its housekeeping. Returns the faults of its calls. */
async function exporterLife(limits: object): Promise<unknown[]> {
  const faults: unknown[] = [];
  const caught = (error: unknown) => void faults.push(error);
  const clock = new StillClock();
  const dir = stage.traces;
  const host = new SessionHost({ dir, maxSpans: 10, durability: "interval", ...limits }, { clock });
  // Includes the housekeeping that the constructor starts.
  clock.pass(0);
  host.record("s", "first");
  host.start("s", "running");
  await host.processor.forceFlush().catch(caught);
  // Two heartbeats, and three rounds of recovery and retention.
  for (let beat = 0; beat < 31; beat++) {
    clock.pass(1_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await host.exporter.endSession("s").catch(caught);
  host.record("s", "second");
  host.start("s", "third");
  await host.exporter.forceFlush().catch(caught);
  host.processor.crash("enough");
  await host.processor.shutdown().catch(caught);
  return faults;
}

const limits = { maxFiles: 1, maxFileAgeMillis: 1, maxTotalBytes: 1 };

/** Every public function of reading, recovery and replay. */
async function readerLife(): Promise<void> {
  const dir = stage.traces;
  const ignored = () => {};
  for (const name of Object.values(places)) await readTrace(join(dir, name)).catch(ignored);
  await listTraces(dir);
  await recoverTraces(dir, { dryRun: true });
  await recoverTraces(dir);
  await replayTraces(dir, new InMemorySpanExporter(), { sessions: "ended" });
  await listTraces(dir);
}

/** Every function of the altimate API that reaches the disk. */
async function dropInLife(): Promise<void> {
  const exporter = new FileExporter(stage.traces, 1, { maxFileAgeMillis: 1, maxTotalBytes: 1 });
  const trace = Trace.withExporters([exporter]);
  trace.startTrace("s", { title: "t" });
  turn(trace, 1);
  await trace.flush();
  await trace.endTrace();
  await Trace.loadTrace("s", stage.traces);
  await Trace.listTraces(stage.traces);
  await Trace.listTracesPaginated(stage.traces);
  const next = Trace.withExporters([exporter]);
  if (!(await next.rehydrateFromFile("s"))) next.startTrace("s", { title: "t" });
  turn(next, 2);
  next.finalizeSync();
  await exporter.export(documentOf("s"));
  exporter.markCrashed("s");
  const last = Trace.withExporters([exporter]);
  last.startTrace("s", { title: "t" });
  turn(last, 3);
  last.flushSync("enough");
  exporter.pruneSync();
}

describe.skipIf(process.platform === "win32")("P9 a symlink in a directory of traces", () => {
  describe.each(victims)("to %s", (victim) => {
    test.each(Object.keys(places))("P9 in the place of a %s leads to no file outside", async (place) => {
      const target = stage.makeVictim(victim);
      layOut(stage.traces, recorded, { json: recorded.published });
      layOut(stage.traces, recorded, { open: recorded.open, live: recorded.live });
      const path = plant(place, target);
      const before = stage.look();
      stage.letHoursPass();
      await recoverTraces(stage.traces);
      expect(stage.look()).toEqual(before);
      const faults = await exporterLife({});
      expect(stage.look()).toEqual(before);
      if (place === "lock") {
        expect(faults).toContainEqual(expect.objectContaining({ code: "WRITE_FAILED" }));
        expect(fs.lstatSync(path).isSymbolicLink()).toBe(true);
      } else {
        expect(faults).toEqual([]);
        expect(spanNames(stage.document())).toEqual(
          expect.arrayContaining(["first", "running", "second", "third"]),
        );
      }
      await readerLife();
      expect(stage.look()).toEqual(before);
      await dropInLife();
      expect(stage.look()).toEqual(before);
      await exporterLife(limits);
      await readerLife();
      expect(stage.look()).toEqual(before);
    });
  });

  test("P9 at all names at once leads to no file outside", async () => {
    const target = stage.makeVictim("a directory");
    for (const place of Object.keys(places)) if (!place.startsWith("claim")) plant(place, target);
    const before = stage.look();
    stage.letHoursPass();
    for (const life of [() => exporterLife({}), readerLife, dropInLife, () => exporterLife(limits)]) {
      await life();
      expect(stage.look()).toEqual(before);
    }
  });

  test("P9 in the place of the directory itself is followed, because users create such links", async () => {
    fs.rmdirSync(stage.traces);
    fs.symlinkSync(stage.outside, stage.traces);
    layOut(stage.outside, recorded, { open: recorded.open, live: recorded.live });
    expect(await recoverTraces(stage.traces)).toMatchObject({ sessions: [{ id: "s" }], failures: [] });
    expect(await exporterLife({})).toEqual([]);
    expect(fs.readdirSync(stage.outside)).toEqual(["s.json"]);
    const exporter = new InMemorySpanExporter();
    expect(await replayTraces(stage.traces, exporter)).toMatchObject({ sessions: [{ id: "s" }] });
  });

  test("P9 in the place of a document that cannot be written gives the exporter nothing of its target", () => {
    const kept = new Kept();
    const trace = Trace.withExporters([new FileExporter(stage.traces), kept]);
    trace.startTrace("s", { title: "t" });
    turn(trace, 1);
    const document = join(stage.traces, "s.json");
    fs.rmSync(document);
    fs.symlinkSync(stage.makeVictim("a document of the session"), document);
    fs.symlinkSync(stage.outside, `${document}.lock`);
    const before = stage.look();
    trace.finalizeSync();
    expect(kept.got).toEqual([]);
    expect(stage.look()).toEqual(before);
  });

  test("P9 below the lock directory of another program leaves its files, however old they are", async () => {
    fs.mkdirSync(join(stage.traces, "package.json.lock"));
    const file = join(stage.traces, "package.json.lock", "owner");
    fs.writeFileSync(file, "precious");
    stage.letHoursPass();
    await recoverTraces(stage.traces);
    expect(fs.readFileSync(file, "utf8")).toBe("precious");
  });
});
