/** What made a process end, when several signals, exceptions and exits followed each other. */
import { expect, test } from "vitest";
import { firstEvent, type HookVerdict, implicitEnd } from "../../src/format/session-end.js";

const interrupt = { reason: "Received SIGINT", detector: "SIGINT" };
const thrown = { reason: "Uncaught exception: no disk", detector: "TypeError" };
const exit = { reason: "Process exited with code 9", detector: "exit" };
const standing: HookVerdict = { ...interrupt, at: 1_000, end: implicitEnd };
const takenBack: HookVerdict = { ...interrupt, at: 1_000 };

test("the first event counts within the grace period, and the later one after it", () => {
  expect(firstEvent(undefined, thrown, 1_000)).toEqual(thrown);
  expect(firstEvent(standing, thrown, 91_000)).toEqual(interrupt);
  expect(firstEvent(standing, thrown, 91_001)).toEqual(thrown);
});

test("P14 after a signal that the session survived, a later signal or exception is named as well", () => {
  const both = "Received SIGINT; then uncaught exception: no disk";
  expect(firstEvent(takenBack, thrown, 2_000)).toEqual({ detector: "SIGINT", reason: both });
  // The end of a drain, and a signal that comes twice, are no news.
  for (const event of [exit, interrupt, { reason: "", detector: undefined }])
    expect(firstEvent(takenBack, event, 2_000)).toEqual(interrupt);
});
