/** A file system whose names have 143 bytes at most (eCryptfs): a session with a longer name takes a shorter one. */
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writeDocument } from "../../src/altimate/write-document.js";
import { nameCandidates } from "../../src/format/file-names.js";
import { runAsync } from "../../src/platform/gensync.js";
import { Ground, onGround } from "../../src/platform/ground.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { findResumable } from "../../src/recovery/resume.js";
import { RefusingFileSystem } from "../support/refusing-file-system.js";
import { Stage } from "../support/session-stage.js";
import { ended } from "../support/span-lines.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.end());

const short = () => new RefusingFileSystem({ maxNameBytes: 143 });
const on = () => stage.actor({}, { fileSystem: short() });
/** The only document of the directory. */
const only = () => {
  expect(stage.files).toHaveLength(1);
  return (stage.files[0] ?? "").replace(/\.json$/, "");
};

describe.each([60, 80, 96, 111, 112, 116, 120, 121, 143, 200])("P12 a session id of %i bytes", (bytes) => {
  const id = "s".repeat(bytes);

  test("P12 is recorded, published, ended, resumed, crashed and listed", async () => {
    const one = on();
    one.record(id, 2);
    await one.processor.forceFlush();
    one.start(id).end();
    await one.exporter.endSession(id);
    const name = only();
    expect(nameCandidates(id)).toContain(name);
    const ports = { fileSystem: onGround(short(), new Ground()), clock: one.clock, liveness: stage.liveness };
    expect(await findResumable(ports, stage.dir, id)).toBeDefined();
    const two = on();
    two.exporter.openSession({ id, traceId: "1".repeat(32), startTime: 1, name: id, metadata: {} });
    two.record(id, 1);
    two.start(id);
    expect(two.exporter.tracePath(id)).toBe(join(stage.dir, `${name}.json`));
    two.processor.crash("out of memory");
    expect(only()).toBe(name);
    expect(stage.document(name).summary.status).toBe("crashed");
    expect(ended(stage.document(name))).toHaveLength(4);
    expect(stage.document(name).id).toBe(id);
    const { traces } = await listTraces(stage.dir);
    expect(traces.map(({ id }) => id)).toEqual([id]);
    expect([one, two].map(({ exporter }) => exporter.stats().faults)).toEqual([0, 0]);
  });

  test("P2 P12 is recovered, and two writers end with the union of their spans", async () => {
    const [one, two] = [on(), on()];
    one.record(id, 2);
    two.record(id, 1);
    stage.liveness.bury();
    const ports = { fileSystem: onGround(short(), new Ground()), clock: one.clock, liveness: stage.liveness };
    const { sessions, failures } = await recoverDirectory(ports, stage.dir);
    expect({ ids: sessions.map((session) => session.id), failures }).toEqual({ ids: [id], failures: [] });
    expect(ended(stage.document(only()))).toHaveLength(3);
  });

  test("P12 a whole document is exported, and replaced by the next", async () => {
    const ports = { fileSystem: short(), clock: on().clock, liveness: stage.liveness };
    for (const traceId of ["a", "b"]) {
      const pieces = [`{"version":2,"id":"${id}","traceId":"${traceId}","sessionId":"s","spans":[]}\n`];
      await runAsync(
        ports.fileSystem,
        writeDocument(ports, stage.dir, { id, pieces }, () => true),
      );
    }
    expect(nameCandidates(id)).toContain(only());
    expect(stage.document(only())).toMatchObject({ id, traceId: "b" });
  });
});
