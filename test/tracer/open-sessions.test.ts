/** The tracers that are found by their session, and the tracers to be fenced. */
import { expect, test } from "vitest";
import { OpenSessions } from "../../src/tracer/session-tracing.js";

test("the end of an older tracer of a session does not hide the newer one", () => {
  const sessions = new OpenSessions<string>();
  sessions.add("a", "older");
  sessions.add("a", "newer");
  expect(sessions.all).toEqual(["older", "newer"]);
  sessions.remove("a", "older");
  expect(sessions.find("a")).toBe("newer");
  expect(sessions.all).toEqual(["newer"]);
});

test("a tracer is not found once its session has ended", () => {
  const sessions = new OpenSessions<string>();
  sessions.add("a", "tracer");
  sessions.remove("a", "tracer");
  expect([sessions.find("a"), sessions.all]).toEqual([undefined, []]);
});
