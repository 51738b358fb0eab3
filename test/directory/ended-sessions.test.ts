import { beforeEach, describe, expect, test } from "vitest";
import { EndedSessions } from "../../src/directory/ended-sessions.js";

describe("whether a span opens a session that has ended", () => {
  let ended: EndedSessions;
  let user: number;
  beforeEach(() => {
    ended = new EndedSessions();
    user = ended.join();
  });

  test("a span opens a session of which no end is remembered", () => {
    expect(ended.closed(user, "s")).toBeUndefined();
  });

  test("D8 a span does not open a session that was opened explicitly and ended, until it is opened again", () => {
    ended.end("s");
    expect(ended.closed(user, "s")).toBe("ended");
    expect(ended.closed(ended.join(), "s")).toBe("ended");
    ended.forget("s");
    expect(ended.closed(user, "s")).toBeUndefined();
  });

  test("P3 no span of a user that had joined opens a crashed session; a later user's span does, and then every span", () => {
    ended.crash("s");
    expect(ended.closed(user, "s")).toBe("crashed");
    expect(ended.hasCrashed("s")).toBe(true);
    expect(ended.closed(ended.join(), "s")).toBeUndefined();
    expect(ended.hasCrashed("s")).toBe(false);
    expect(ended.closed(user, "s")).toBeUndefined();
  });

  test("D4 an explicit open lifts a crash", () => {
    ended.crash("s");
    ended.forget("s");
    expect(ended.closed(user, "s")).toBeUndefined();
    expect(ended.hasCrashed("s")).toBe(false);
  });

  test("P8 ends of long ago are forgotten", () => {
    for (let n = 0; n < 30_000; n++) ended.end(`${n}`);
    expect(ended.closed(user, "29999")).toBe("ended");
    expect(ended.closed(user, "0")).toBeUndefined();
  });
});
