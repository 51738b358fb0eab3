/** A disk that refuses very many sessions: it is asked for a few of them, and takes all when it accepts them again. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FaultyFileSystem } from "../support/faulty-file-system.js";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

const count = 1_000;
const ids = Array.from({ length: count }, (_, number) => `ses_${number}`);

function outage() {
  const fileSystem = new FaultyFileSystem();
  let calls = 0;
  fileSystem.afterCall = () => calls++;
  const server = stage.actor({}, { fileSystem });
  fileSystem.fail("open", "ENOSPC");
  /** Calls in some seconds. */
  const seconds = async (length: number) => {
    const before = calls;
    for (let second = 0; second < length; second++) {
      server.clock.pass(1_000);
      await server.fileSystem.idle();
    }
    return calls - before;
  };
  return { server, fileSystem, seconds };
}

describe("P6 P13 a disk that refuses 1,000 sessions", { timeout: 120_000 }, () => {
  test("P13 is asked for some of them each second, and takes all when it accepts them", async () => {
    const { server, fileSystem, seconds } = outage();
    for (const id of ids) server.record(id, 1);
    await seconds(2);
    const callsInTenSeconds = await seconds(10);
    expect(callsInTenSeconds / 10).toBeLessThan(300);
    expect(stage.files).toEqual([]);

    fileSystem.clear();
    await seconds(20);
    expect(stage.files.filter((name) => name.endsWith(".json"))).toHaveLength(count);
    await server.processor.shutdown();
    expect(stage.files).toHaveLength(count);
    for (const id of ids) expect(stage.document(id).spans, id).toHaveLength(2);
    expect(server.exporter.stats()).toMatchObject({ dropped: 0, inflight: 0 });
  });

  test("P13 is asked for some final documents each second, and takes all when it accepts them", async () => {
    const { server, fileSystem, seconds } = outage();
    for (const id of ids) server.record(id, 1);
    await expect(server.exporter.shutdown()).rejects.toThrow("ENOSPC");
    await seconds(2);
    const callsInTenSeconds = await seconds(10);
    expect(callsInTenSeconds / 10).toBeLessThan(300);

    fileSystem.clear();
    await seconds(20);
    expect(stage.files).toEqual(ids.map((id) => `${id}.json`).sort());
    for (const id of ids) {
      const { spans, summary } = stage.document(id);
      expect(spans, id).toHaveLength(2);
      expect(summary.status).toBe("completed");
    }
  });
});
