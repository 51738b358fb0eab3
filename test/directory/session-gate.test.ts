import { beforeEach, describe, expect, test } from "vitest";
import { SessionGate } from "../../src/directory/session-gate.js";

describe("who may open a session that has ended", () => {
  let gate: SessionGate;
  let user: number;
  beforeEach(() => {
    gate = new SessionGate();
    user = gate.join();
  });

  test("a span does, where spans alone had opened it", () => {
    gate.end("s");
    expect(gate.closed(user, "s")).toBeUndefined();
  });

  test("D8 a span does not, where it was opened explicitly, until it is again", () => {
    gate.open("s");
    expect(gate.closed(user, "s")).toBeUndefined();
    gate.end("s");
    expect(gate.closed(user, "s")).toBe("ended");
    expect(gate.closed(gate.join(), "s")).toBe("ended");
    gate.open("s");
    expect(gate.closed(user, "s")).toBeUndefined();
    expect(gate.isExplicit("s")).toBe(true);
  });

  test("P3 no user does that had come when it was fenced; one that comes later does, and then all", () => {
    gate.fence("s");
    expect(gate.closed(user, "s")).toBe("fenced");
    expect(gate.isFenced("s")).toBe(true);
    expect(gate.closed(gate.join(), "s")).toBeUndefined();
    expect(gate.isFenced("s")).toBe(false);
    expect(gate.closed(user, "s")).toBeUndefined();
  });

  test("D4 a fence is lifted by opening it explicitly; a normal end does not lift it", () => {
    gate.open("s");
    gate.fence("s");
    gate.end("s");
    expect(gate.closed(user, "s")).toBe("fenced");
    gate.open("s");
    expect(gate.closed(user, "s")).toBeUndefined();
    expect(gate.isFenced("s")).toBe(false);
  });

  test("P8 forgets ends of long ago, and never a session that is open", () => {
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
