import { beforeEach, describe, expect, test } from "vitest";
import { SessionGate } from "../../src/directory/session-gate.js";

describe("a session that has ended", () => {
  let gate: SessionGate;
  let user: number;
  beforeEach(() => {
    gate = new SessionGate();
    user = gate.join();
  });

  test("is reopened by a span, where spans alone had opened it", () => {
    gate.end("s");
    expect(gate.closed(user, "s")).toBeUndefined();
  });

  test("D8 is not reopened by a span after openSession, until it is opened explicitly again", () => {
    gate.open("s");
    expect(gate.closed(user, "s")).toBeUndefined();
    gate.end("s");
    expect(gate.closed(user, "s")).toBe("ended");
    expect(gate.closed(gate.join(), "s")).toBe("ended");
    gate.open("s");
    expect(gate.closed(user, "s")).toBeUndefined();
    expect(gate.isExplicit("s")).toBe(true);
  });

  test("P3 is not reopened by users that joined before its crash fence; a user that joins later reopens it for all", () => {
    gate.fence("s");
    expect(gate.closed(user, "s")).toBe("fenced");
    expect(gate.isFenced("s")).toBe(true);
    expect(gate.closed(gate.join(), "s")).toBeUndefined();
    expect(gate.isFenced("s")).toBe(false);
    expect(gate.closed(user, "s")).toBeUndefined();
  });

  test("D4 is reopened explicitly after a crash fence; a normal end does not lift the fence", () => {
    gate.open("s");
    gate.fence("s");
    gate.end("s");
    expect(gate.closed(user, "s")).toBe("fenced");
    gate.open("s");
    expect(gate.closed(user, "s")).toBeUndefined();
    expect(gate.isFenced("s")).toBe(false);
  });

  test("P8 is forgotten after a long time, unless it is open", () => {
    gate.open("open");
    for (let n = 0; n < 30_000; n++) {
      gate.open(`${n}`);
      gate.end(`${n}`);
    }
    expect(gate.isExplicit("open")).toBe(true);
    expect(gate.closed(user, "29999")).toBe("ended");
    expect(gate.closed(user, "0")).toBeUndefined();
  });
});
