/** Defaults of altimate-code that depend on the environment. */
import { describe, expect, test } from "vitest";
import { resolveMaxSpans, resolveTracesDir } from "../../src/altimate/defaults.js";

describe("ALTIMATE_TRACE_MAX_SPANS", () => {
  test.each([
    ["12", 12],
    ["12.9", 12],
    [" 12 ", 12],
    ["1", 1],
    [undefined, 5_000],
    ["", 5_000],
    ["0", 5_000],
    ["0.5", 5_000],
    ["-3", 5_000],
    ["many", 5_000],
    ["12 spans", 5_000],
    ["NaN", 5_000],
    ["Infinity", 5_000],
  ])("%s", (ALTIMATE_TRACE_MAX_SPANS, spans) => {
    expect(resolveMaxSpans({ ALTIMATE_TRACE_MAX_SPANS })).toBe(spans);
  });
});

describe("the directory of traces", () => {
  const home = () => "/home/me";

  test("is below XDG_DATA_HOME", () => {
    expect(resolveTracesDir({ XDG_DATA_HOME: "/data" }, home)).toBe("/data/altimate-code/traces");
  });

  test.each([undefined, "", "relative/data"])(
    "is below the home directory with XDG_DATA_HOME %s",
    (given) => {
      expect(resolveTracesDir({ XDG_DATA_HOME: given }, home)).toBe(
        "/home/me/.local/share/altimate-code/traces",
      );
    },
  );

  test("exists for a user without a home", () => {
    const homeless = () => {
      throw new Error("no such user");
    };
    expect(resolveTracesDir({}, homeless)).toMatch(/altimate-code.traces$/);
  });
});
