/**
 * A session that is resumed just when a recovery, of this process or another, has taken the files of its dead run.
 */
import { expect, test } from "vitest";
import { agentTurn } from "../support/agent-turn.js";
import { PausedFileSystem } from "../support/paused-file-system.js";
import { passTick, TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const twins = new TwinStage();

test.each(["before it looks for them", "after it has listed them"])(
  "D4 P7 a resume waits for the recovery that took the files of the dead run %s",
  async (when) => {
    const first = twins.actor();
    const traces = [agentTurn(first, id, 0)];
    await first.processor.forceFlush();
    traces.push(agentTurn(first, id, 1));
    twins.bury();
    passTick();
    const slow = new PausedFileSystem();
    const atWork = slow.hold((name) => name === "fdatasync", "issued");
    const recover = async () => {
      const report = twins.recover(undefined, slow);
      await atWork.reached;
      return { report };
    };

    const second = twins.actor();
    const listed = second.fileSystem.hold((name) => name === "readdir", "done");
    const early = when.startsWith("before") ? await recover() : undefined;
    const resumed = second.exporter.resumeSession(id);
    await listed.reached;
    const { report } = early ?? (await recover());
    const again = second.fileSystem.hold((name) => name === "readdir", "issued");
    listed.release();
    // A resume that does not wait resolves at once, and lists the directory only once.
    await Promise.race([again.reached, resumed]);
    atWork.release();
    again.release();
    expect((await report).failures).toEqual([]);
    expect((await resumed)?.takeHistory().traceIds).toEqual(traces);
  },
);
