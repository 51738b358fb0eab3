import { describe, expect, test } from "vitest";
import { RecentMap } from "../../src/platform/recent-map.js";

describe("a map of recent entries", () => {
  test("has at least the last entries of its size at any time", () => {
    const map = new RecentMap<number, string>(10);
    for (let n = 0; n < 1_000; n++) {
      map.set(n, `${n}`);
      for (let back = 0; back < Math.min(10, n + 1); back++) expect(map.has(n - back)).toBe(true);
      expect(map.get(n)).toBe(`${n}`);
    }
  });

  test("keeps an entry that is read again and again", () => {
    const map = new RecentMap<number, string | undefined>(10);
    map.set(-1, "kept");
    map.set(-2, undefined);
    for (let n = 0; n < 1_000; n++) {
      map.set(n, `${n}`);
      expect([map.get(-1), map.get(-2)]).toEqual(["kept", undefined]);
    }
    expect([map.has(-1), map.has(-2), map.has(1)]).toEqual([true, true, false]);
  });

  test("P8 never has more than twice its size", () => {
    const map = new RecentMap<number, true>(10);
    for (let n = 0; n < 1_000; n++) {
      map.set(n, true);
      const kept = Array.from({ length: n + 1 }, (_, key) => key).filter((key) => map.has(key));
      expect(kept.length).toBeLessThanOrEqual(20);
    }
  });

  test("an entry set again counts as recent, with its new value", () => {
    const map = new RecentMap<string, number>(3);
    map.set("kept", 0);
    for (let n = 1; n < 50; n++) {
      map.set(`other ${n}`, n);
      map.set("kept", n);
      expect(map.get("kept")).toBe(n);
    }
    expect(map.has("other 1")).toBe(false);
  });
});
