/** A session that is resumed during a recovery of its dead run. */
import { describe, expect, test } from "vitest";
import { agentTurn } from "../support/agent-turn.js";
import { PausedFileSystem } from "../support/paused-file-system.js";
import type { Actor } from "../support/session-stage.js";
import { ended, interrupted, repeated } from "../support/span-lines.js";
import { stateOf } from "../support/state-of.js";
import { passTick, TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const twins = new TwinStage();
const turn = (one: Actor, number: number) => agentTurn(one, id, number);
const document = () => twins.document(id);
const status = () => stateOf(document().summary);

describe("P7 a session resumed while its dead run is being recovered", () => {
  async function deadRun(): Promise<void> {
    const first = twins.actor();
    turn(first, 0);
    await first.processor.forceFlush();
    first.start(id);
    twins.bury();
    passTick();
  }

  /** Recovers, but pauses at this call until released. */
  async function slowRecovery(at: "open" | "fdatasync") {
    const slow = new PausedFileSystem();
    const hold = slow.hold((name) => name === at, "issued");
    const done = twins.recover(undefined, slow);
    await hold.reached;
    return async () => {
      hold.release();
      expect((await done).failures).toEqual([]);
    };
  }

  test.each(["open", "fdatasync"] as const)(
    "P7 publishes before the recovery that pauses at its %s",
    async (at) => {
      await deadRun();
      const finish = await slowRecovery(at);
      const second = twins.actor();
      turn(second, 1);
      await second.processor.forceFlush();
      expect(status()).toBe("idle");
      await finish();
      expect(status()).toBe("idle");
      expect(interrupted(document())).toHaveLength(1);
      await second.processor.shutdown();
      expect(status()).toBe("completed");
      expect(ended(document())).toHaveLength(9);
      expect(repeated(document())).toEqual([]);
      expect(twins.files).toEqual([`${id}.json`]);
    },
  );

  test.each(["open", "fdatasync"] as const)(
    "P7 publishes after the recovery, having started while it paused at its %s",
    async (at) => {
      await deadRun();
      const finish = await slowRecovery(at);
      const second = twins.actor();
      turn(second, 1);
      await finish();
      // The status is what the recovery saw when it listed the writers. The session continues.
      expect(status()).toBe(at === "open" ? "idle" : "crashed");
      turn(second, 2);
      await second.processor.forceFlush();
      expect(status()).toBe("idle");
      await second.processor.shutdown();
      expect(status()).toBe("completed");
      expect(document().summary).toMatchObject({ totalGenerations: 3, totalToolCalls: 12, totalCost: 0.75 });
      expect(ended(document())).toHaveLength(15);
      expect(interrupted(document())).toHaveLength(1);
      expect(repeated(document())).toEqual([]);
    },
  );

  test.each(["open", "fdatasync"] as const)(
    "P7 and ended before the recovery that pauses at its %s",
    async (at) => {
      await deadRun();
      const finish = await slowRecovery(at);
      const second = twins.actor();
      turn(second, 1);
      await second.processor.shutdown();
      await finish();
      expect(status()).toBe("completed");
      expect(document().summary).toMatchObject({ totalGenerations: 2, totalToolCalls: 7, totalCost: 0.5 });
      expect(ended(document())).toHaveLength(9);
      expect(interrupted(document())).toHaveLength(1);
      expect(repeated(document())).toEqual([]);
      expect(twins.files).toEqual([`${id}.json`]);
    },
  );
});
