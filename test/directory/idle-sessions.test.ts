/** The rule of idle sessions. `many-sessions.test.ts` and `end-overtaken.test.ts` run it with real files. */
import { describe, expect, test } from "vitest";
import { isIdle } from "../../src/directory/housekeeping.js";

const silent = { isExplicit: false, openSpans: 0, silentMillis: 1_001 };

describe("a session is idle", () => {
  test("when nothing was recorded for longer than the limit", () => {
    expect(isIdle(silent, 1_000)).toBe(true);
    expect(isIdle({ ...silent, silentMillis: 1_000 }, 1_000)).toBe(false);
  });

  test("not while a span is open", () => {
    expect(isIdle({ ...silent, openSpans: 1, silentMillis: 1e9 }, 1_000)).toBe(false);
  });

  test("not when openSession opened the session: a call ends it", () => {
    expect(isIdle({ ...silent, isExplicit: true, silentMillis: 1e9 }, 1_000)).toBe(false);
  });
});
