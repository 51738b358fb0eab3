/** A file system that creates no file with some characters in its name (FAT): such a session takes a name without them. */
import { describe, expect, test } from "vitest";
import { writeDocument } from "../../src/altimate/write-document.js";
import { nameCandidates } from "../../src/format/file-names.js";
import { runAsync } from "../../src/platform/gensync.js";
import { Ground, onGround } from "../../src/platform/ground.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { findResumable } from "../../src/recovery/resume.js";
import { RefusingFileSystem } from "../support/refusing-file-system.js";
import { ReportedStage } from "../support/reported-stage.js";
import { ended } from "../support/span-lines.js";

const reported = new ReportedStage();

const fat = () => new RefusingFileSystem({ refusedNames: /[<>"|?*]/, calls: { link: "EPERM" } });
const on = () => reported.stage.actor({}, { fileSystem: fat() });
const only = (): string => {
  expect(reported.stage.files).toHaveLength(1);
  return (reported.stage.files[0] ?? "").replace(/\.json$/, "");
};

describe.each(["a<b>c", 'say "no"', "what?", "a|b", "*"])("P12 the session id %s", (id) => {
  test("P12 is recorded, published, ended, resumed, crashed; and reported once", async () => {
    const one = on();
    one.record(id, 2);
    await one.processor.forceFlush();
    await one.exporter.endSession(id);
    const name = only();
    expect(nameCandidates(id)).toContain(name);
    const ports = {
      fileSystem: onGround(fat(), new Ground()),
      clock: one.clock,
      liveness: reported.stage.liveness,
    };
    expect(await findResumable(ports, reported.stage.dir, id)).toBeDefined();
    one.record("an ordinary one", 1);
    one.record(`${id}${id}`, 1);
    await one.processor.shutdown();
    expect(one.exporter.stats()).toMatchObject({
      faults: 0,
      dropped: 0,
      refused: { nameCharacters: "EINVAL" },
    });
    expect(
      reported.reports.filter((text) => text.includes("works without some characters in names")),
    ).toHaveLength(1);
    const two = on();
    two.record(id, 1);
    two.start(id);
    expect(two.exporter.tracePath(id)).toBe(`${reported.stage.dir}/${name}.json`);
    two.processor.crash("out of memory");
    expect(reported.stage.document(name).summary.status).toBe("crashed");
    expect(ended(reported.stage.document(name))).toHaveLength(3);
    expect(reported.stage.document(name).id).toBe(id);
  });

  test("P2 P12 is recovered", async () => {
    const one = on();
    one.record(id, 2);
    one.start(id);
    reported.stage.liveness.bury();
    const ports = {
      fileSystem: onGround(fat(), new Ground()),
      clock: one.clock,
      liveness: reported.stage.liveness,
    };
    expect((await recoverDirectory(ports, reported.stage.dir)).failures).toEqual([]);
    expect(reported.stage.document(only()).id).toBe(id);
  });

  test("P12 is the name of a whole document", async () => {
    const ports = {
      fileSystem: onGround(fat(), new Ground()),
      clock: on().clock,
      liveness: reported.stage.liveness,
    };
    const document = { id, pieces: [`{"version":2,"sessionId":${JSON.stringify(id)},"spans":[]}\n`] };
    for (let time = 0; time < 2; time++)
      expect(
        await runAsync(
          ports.fileSystem,
          writeDocument(ports, reported.stage.dir, document, () => true),
        ),
      ).toBeDefined();
    only();
  });

  test("P12 keeps its name where the file system takes it", async () => {
    const one = reported.stage.actor();
    one.record(id, 1);
    await one.processor.shutdown();
    expect(only()).toBe(id);
    expect(one.exporter.stats().refused).toEqual({});
  });
});
