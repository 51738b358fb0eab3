/** Which tracers are found by their session, and which are to be fenced. */
import { expect, test } from "vitest";
import { OpenSessions } from "../../src/tracer/open-sessions.js";

test("the end of an older tracer of a session does not hide the newer one", () => {
  const sessions = new OpenSessions<string>();
  sessions.enter("a", "older");
  sessions.enter("a", "newer");
  expect(sessions.all).toEqual(["older", "newer"]);
  sessions.leave("a", "older");
  expect(sessions.find("a")).toBe("newer");
  expect(sessions.all).toEqual(["newer"]);
});

test("a tracer is nowhere once its session has ended", () => {
  const sessions = new OpenSessions<string>();
  sessions.enter("a", "tracer");
  sessions.leave("a", "tracer");
  expect([sessions.find("a"), sessions.all]).toEqual([undefined, []]);
});
