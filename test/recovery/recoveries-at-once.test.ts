/** Two concurrent recoveries of one directory. */
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { PausedFileSystem } from "../support/paused-file-system.js";
import * as lines from "../support/span-lines.js";
import { TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const twins = new TwinStage();
const status = () => twins.document(id).summary.status;
const repeated = () => lines.repeated(twins.document(id));
const ended = () => lines.ended(twins.document(id));
const interrupted = () => lines.interrupted(twins.document(id));

describe("P7 concurrent recoveries", () => {
  test("P7 do not report each other as live writers", async () => {
    const [a, b] = [twins.actor(), twins.actor()];
    for (const one of [a, b]) {
      one.record(id, 2);
      one.start(id);
    }
    twins.bury();
    const [first, second] = [new PausedFileSystem(), new PausedFileSystem()];
    // Each recovery has taken one owner's files and is about to read them.
    const holds = [first, second].map((one) => one.hold((name) => name === "open", "issued"));
    const slow = twins.recover(undefined, first);
    await holds[0]?.reached;
    const other = twins.recover(undefined, second);
    await holds[1]?.reached;
    // The first has committed and not yet removed what it took while the second commits.
    const committed = first.hold((name) => name === "syncDirectory", "issued");
    holds[0]?.release();
    await committed.reached;
    holds[1]?.release();
    expect((await other).failures).toEqual([]);
    committed.release();
    expect((await slow).failures).toEqual([]);
    expect(status()).toBe("crashed");
    expect(ended()).toHaveLength(4);
    expect(interrupted()).toHaveLength(2);
    expect(repeated()).toEqual([]);
    expect(twins.files).toEqual([`${id}.json`]);
  });

  test("P7 write no document when no file is left to take", async () => {
    const a = twins.actor();
    a.record("a/b", 2);
    twins.bury();
    const first = new PausedFileSystem();
    // Both have seen the dead owner. The second recovery is faster.
    const hold = first.hold((name) => name === "lstat", "done");
    const slow = twins.recover(twins.stage.liveness, first);
    await hold.reached;
    const second = new PausedFileSystem();
    const taken = second.hold((name) => name === "open", "issued");
    const fast = twins.recover(twins.stage.liveness, second);
    await taken.reached;
    hold.release();
    expect((await slow).sessions).toEqual([]);
    expect(existsSync(`${twins.stage.dir}/a_b.json`)).toBe(false);
    taken.release();
    expect((await fast).sessions).toHaveLength(1);
    expect(twins.files).toEqual(["a_b.json"]);
    expect(twins.document("a_b").id).toBe("a/b");
  });
});
