/** What a terminal shows of work that takes long. */
import { expect, test } from "vitest";
import { Terminal } from "../../src/cli/terminal.js";

/** A terminal whose clock the test moves. */
function stage(isTTY: boolean) {
  const shown: string[] = [];
  const clock = { now: 0 };
  const stream = { isTTY, columns: 80, write: (text: string) => shown.push(text) > 0 };
  const terminal = new Terminal({
    stdout: { write: () => true },
    stderr: stream,
    env: {},
    cwd: "/",
    now: () => clock.now,
    signal: new AbortController().signal,
  });
  return { shown, clock, progress: terminal.progress("reading", 200) };
}

test("work beyond a second shows how far it is, at most ten times a second, and removes that at its end", () => {
  const { shown, clock, progress } = stage(true);
  progress.step(50);
  clock.now = 999;
  progress.step(50);
  expect(shown).toEqual([]);
  clock.now = 1_000;
  progress.step(20);
  clock.now = 1_050;
  progress.step(20);
  expect(shown).toEqual(["\rreading ████████████░░░░░░░░ 120/200"]);
  clock.now = 1_100;
  progress.step(1_000);
  expect(shown[1]).toBe("\rreading ████████████████████ 200/200");
  progress.end();
  expect(shown.slice(2)).toEqual(["\r\x1b[2K"]);
});

test("short work shows nothing, and neither does any work without a terminal", () => {
  for (const isTTY of [true, false]) {
    const { shown, clock, progress } = stage(isTTY);
    progress.step();
    if (!isTTY) clock.now = 60_000;
    progress.step();
    progress.end();
    expect(shown).toEqual([]);
  }
});
