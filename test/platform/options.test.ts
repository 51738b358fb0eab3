/** Names of options that do not exist, and the nearest name that does. */
import { describe, expect, test } from "vitest";
import {
  CrashSafeFileSpanExporter,
  CrashSafeSpanProcessor,
  installCrashFence,
  listTraces,
  recoverTraces,
  redactSecrets,
} from "../../src/index.js";
import { CrashSafeFileError } from "../../src/platform/errors.js";
import { nearestName, rejectUnknownOptions } from "../../src/platform/options.js";
import { createSessionTracing, replayTraces } from "../../src/session.js";

const names = ["dir", "maxFiles", "maxFileAgeMillis", "maxSpans", "redact"];

describe("the nearest name", () => {
  test.each([
    ["maxFile", "maxFiles"],
    ["maxfiles", "maxFiles"],
    ["maxSpan", "maxSpans"],
    ["max_spans", "maxSpans"],
    ["maxAgeMillis", "maxFileAgeMillis"],
    ["redcat", "redact"],
    ["directory", undefined],
    ["durability", undefined],
    ["x".repeat(10_000), undefined],
    ["", undefined],
  ])("of %s is %s", (name, nearest) => {
    expect(nearestName(name, names)).toBe(nearest);
  });
});

describe("P6 unknown options", () => {
  const reject = (options: unknown, excluded = {}) => rejectUnknownOptions("Thing", options, names, excluded);

  test.each([undefined, null, {}, { dir: undefined }, { dir: "d", maxFiles: 3 }])(
    "%o are none",
    (options) => {
      expect(() => reject(options)).not.toThrow();
    },
  );

  test("only own enumerable members count", () => {
    const inherited = Object.create({ verbose: true });
    Object.defineProperty(inherited, "hidden", { value: 1, enumerable: false });
    expect(() => reject(Object.assign(inherited, { dir: "d", [Symbol("s")]: 1 }))).not.toThrow();
  });

  test.each<[unknown, object, string]>([
    [{ maxFile: 3 }, {}, "Thing: there is no option maxFile; did you mean maxFiles?"],
    [{ maxFile: undefined }, {}, "Thing: there is no option maxFile; did you mean maxFiles?"],
    [{ verbose: 1 }, {}, `Thing: there is no option verbose; the options are ${names.join(", ")}`],
    [{ sessionId: 1 }, { sessionId: "spans name it" }, "Thing: there is no option sessionId: spans name it"],
    [{ toString: 1 }, {}, "Thing: there is no option toString; "],
    ["traces", {}, 'Thing: options is "traces", and must be an object'],
  ])("%o", (options, excluded, message) => {
    expect(() => reject(options, excluded)).toThrow(message);
    expect(() => reject(options, excluded)).toThrow(CrashSafeFileError);
  });
});

describe("P6 every entry refuses an option that does not exist, and names the nearest one", () => {
  const exporter = { export() {}, shutdown: async () => {} };
  const target = { crash() {} };
  test.each<[string, () => unknown, string]>([
    [
      "CrashSafeFileSpanExporter",
      () => new CrashSafeFileSpanExporter({ dir: "d", maxFile: 3 } as never),
      "maxFile; did you mean maxFiles?",
    ],
    [
      "CrashSafeSpanProcessor",
      () => new CrashSafeSpanProcessor(exporter, { scheduledDelayMs: 1 } as never),
      "scheduledDelayMs; did you mean scheduledDelayMillis?",
    ],
    [
      "installCrashFence",
      () => installCrashFence(target, { signal: false } as never),
      "signal; did you mean signals?",
    ],
    [
      "createSessionTracing",
      () => createSessionTracing({ dir: "d", exporterss: [] } as never),
      "exporterss; did you mean exporters?",
    ],
    ["redactSecrets", () => redactSecrets({ pattern: [] } as never), "pattern; did you mean patterns?"],
    [
      "replayTraces",
      () => replayTraces("d", exporter, { session: "ended" } as never),
      "session; did you mean sessions?",
    ],
    ["listTraces", () => listTraces("d", { limits: 3 } as never), "limits; did you mean limit?"],
    ["recoverTraces", () => recoverTraces("d", { dryrun: true } as never), "dryrun; did you mean dryRun?"],
  ])("%s", async (component, call, rest) => {
    const error = await (async () => call())().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "INVALID_OPTION",
      message: `${component}: there is no option ${rest} (docs/errors.md#invalid_option)`,
    });
  });
});
