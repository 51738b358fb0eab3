/** Which tracers are found by their session, and which are to be fenced. */
import { expect, test } from "vitest";
import { OpenSessions, type Tracing } from "../src/open-sessions.js";

class Tracer implements Tracing {
  constructor(public sessionId: string | undefined) {}
}

test("a tracer is found while its session is open, and held until it has ended", () => {
  const sessions = new OpenSessions<Tracer>();
  const tracer = new Tracer("a");
  sessions.enter(tracer);
  expect(sessions.find("a")).toBe(tracer);
  const stay = sessions.retire(tracer);
  expect(sessions.find("a")).toBeUndefined();
  expect(sessions.all).toEqual([tracer]);
  sessions.leave(tracer, stay);
  expect(sessions.all).toEqual([]);
});

test("a tracer that opens a session again while its last one ends stays", () => {
  const sessions = new OpenSessions<Tracer>();
  const tracer = new Tracer("a");
  sessions.enter(tracer);
  const stay = sessions.retire(tracer);
  tracer.sessionId = "b";
  sessions.enter(tracer);
  sessions.leave(tracer, stay);
  expect(sessions.find("b")).toBe(tracer);
  expect(sessions.find("a")).toBeUndefined();
  expect(sessions.all).toEqual([tracer]);
});

test("D12 a tracer that moves to another session is found by that one alone", () => {
  const sessions = new OpenSessions<Tracer>();
  const tracer = new Tracer("a");
  sessions.enter(tracer);
  tracer.sessionId = "b";
  sessions.enter(tracer);
  expect([sessions.find("a"), sessions.find("b")]).toEqual([undefined, tracer]);
});

test("the end of an older tracer of a session does not hide the newer one", () => {
  const sessions = new OpenSessions<Tracer>();
  const [older, newer] = [new Tracer("a"), new Tracer("a")];
  sessions.enter(older);
  sessions.enter(newer);
  sessions.leave(older, sessions.retire(older));
  expect(sessions.find("a")).toBe(newer);
  expect(sessions.all).toEqual([newer]);
});

test("a tracer without a session is nowhere", () => {
  const sessions = new OpenSessions<Tracer>();
  const tracer = new Tracer(undefined);
  sessions.enter(tracer);
  sessions.leave(tracer, sessions.retire(tracer));
  expect(sessions.all).toEqual([]);
});
