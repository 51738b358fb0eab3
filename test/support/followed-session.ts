/** A process that records one session in steps. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { onTestFinished } from "vitest";

/** Starts the process, which dies with its test. `step` resolves when the process has taken the step of this name. */
export async function followedSession(
  dir: string,
  sessionId = "ses_1",
): Promise<{ child: ChildProcess; step(name: string): Promise<void> }> {
  const child = fork("test/programs/followed-session.mjs", [JSON.stringify({ dir, sessionId })]);
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child, "message");
  return {
    child,
    async step(name) {
      const done = once(child, "message");
      child.send(name);
      await done;
    },
  };
}
