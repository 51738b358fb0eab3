/** `tail` beside a process that records, is killed, and is recovered. */
import { expect, test } from "vitest";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { command, emptyDirectory, type Outcome } from "../support/command-stage.js";
import { followedSession } from "../support/followed-session.js";

/** A `tail` that runs. */
class Following {
  readonly ended: Promise<Outcome>;
  readonly #abort = new AbortController();
  #text = "";
  #seen: () => void = () => {};

  constructor(dir: string, args: readonly string[]) {
    this.ended = command(dir, ["tail", ...args], {
      columns: 200,
      env: { NO_COLOR: "1" },
      signal: this.#abort.signal,
      onOutput: (text) => {
        this.#text += text;
        this.#seen();
      },
    });
  }

  /** Resolves when the output matches. */
  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#text)) {
      await new Promise<void>((resolve) => {
        this.#seen = resolve;
      });
    }
  }

  interrupt(): void {
    this.#abort.abort("SIGINT");
  }
}

test("each start and end is shown as it happens, then that the process is gone, and what recovery and resume make of it", async () => {
  const dir = emptyDirectory();
  const following = new Following(dir, []);
  const first = await followedSession(dir);
  await first.step("message");
  await following.until(/›\s+user {2}Run the tests/);
  await following.until(/(running|idle) +ses_1 · process \d+ is writing/);
  await first.step("step");
  await following.until(/▶\s+model/);
  await first.step("tool");
  await following.until(/▶\s+bash {2}npm test/);
  await first.step("result");
  await following.until(/✓\s+\d+ms\s+bash/);
  first.child.kill("SIGKILL");
  await following.until(/!\s+\S+\s+model/);
  await following.until(/✗ crashed {2}ses_1 · .*process \d+ is gone; its files are not recovered yet/);
  await recoverTraces(dir);
  const second = await followedSession(dir);
  await second.step("message");
  await following.until(/(Run the tests[\s\S]*){2}/);
  await second.step("end");
  await following.until(/(Run the tests[\s\S]*){2}(completed|crashed) {2}ses_1/);
  following.interrupt();
  const { code, out } = await following.ended;
  expect(code).toBe(130);
  // P14 While a recovery has the files, the session does not look as if it ran.
  expect(out).not.toMatch(/running .* is gone/);
  // Nothing is shown twice: neither by the recovery nor by the resume.
  expect(out.match(/▶ +bash/g)).toHaveLength(1);
  expect(out.match(/✓ +\d+ms +bash/g)).toHaveLength(1);
});

test("--exit ends with the session; --json has one event a line, each with its span", async () => {
  const dir = emptyDirectory();
  const { step } = await followedSession(dir);
  await step("message");
  const following = new Following(dir, ["ses_1", "--exit", "--json"]);
  await following.until(/"event":"session"/);
  await step("step");
  await step("tool");
  await following.until(/"event":"start".*"bash"/);
  await step("result");
  await step("end");
  const { code, out } = await following.ended;
  expect(code).toBe(0);
  const events = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  for (const event of events)
    expect(event).toMatchObject({ schema: "crash-safe-file/tail/1", session: "ses_1" });
  const ofBash = events.filter(({ span }) => span?.name === "bash").map(({ event }) => event);
  expect(ofBash).toEqual(["start", "end"]);
  expect(events.at(-1)).toMatchObject({
    event: "session",
    status: expect.stringMatching(/completed|crashed|error/),
  });
});
