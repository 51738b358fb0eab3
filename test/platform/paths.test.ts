/** The forms in which a directory or a file can be given, at every entry of the package. */
import { mkdirSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { ExportResultCode } from "@opentelemetry/core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FileExporter, Trace } from "../../src/altimate.js";
import { CrashSafeFileSpanExporter, listTraces, readTrace, recoverTraces } from "../../src/index.js";
import { type PathLike, pathOf } from "../../src/platform/paths.js";
import { createSessionTracing, replayTraces } from "../../src/session.js";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
  vi.stubEnv("HOME", stage.dir);
});
afterEach(() => {
  vi.unstubAllEnvs();
  diag.disable();
  stage.remove();
});

const backend = {
  export: (_: unknown, done: (result: { code: ExportResultCode }) => void) =>
    done({ code: ExportResultCode.SUCCESS }),
  shutdown: async () => {},
};

/** Bun reads HOME when the process starts: a test cannot change the home directory there. */
const hasFixedHome = process.versions.bun !== undefined;

describe.skipIf(process.platform === "win32")("P11 a directory is given as", () => {
  const forms: [string, () => PathLike][] = [
    ["a path", () => join(stage.dir, "a b%20c")],
    ["~/", () => "~/a b%20c"],
    ["the text of a file: URL", () => pathToFileURL(join(stage.dir, "a b%20c")).href],
    ["a URL", () => pathToFileURL(join(stage.dir, "a b%20c"))],
  ];
  it.for(forms)("P11 %s, at every entry", async ([name, given], { skip }) => {
    skip(name === "~/" && hasFixedHome, "Bun reads HOME when the process starts");
    const dir = given();
    const tracing = createSessionTracing({ dir });
    tracing.tracer("one").logUserMessage("hello");
    await tracing.shutdown();
    const trace = Trace.withExporters([new FileExporter(dir)]);
    trace.startTrace("two");
    await trace.endTrace();
    const exporter = new CrashSafeFileSpanExporter({ dir });
    expect(exporter.tracePath("one")).toBe(join(stage.dir, "a b%20c", "one.json"));
    await exporter.shutdown();

    expect(readdirSync(stage.dir)).toEqual(["a b%20c"]);
    expect(readdirSync(join(stage.dir, "a b%20c")).sort()).toEqual(["one.json", "two.json"]);
    expect((await listTraces(dir)).traces.map(({ id }) => id).sort()).toEqual(["one", "two"]);
    expect(await recoverTraces(dir)).toMatchObject({ sessions: [], failures: [] });
    expect((await replayTraces(dir, backend, { sessions: "ended" })).sessions).toHaveLength(2);
    expect((await Trace.listTraces(dir)).map(({ sessionId }) => sessionId).sort()).toEqual(["one", "two"]);
    expect(await Trace.loadTrace("one", dir)).toMatchObject({ id: "one" });
  });

  it.skipIf(hasFixedHome)("P11 a variable", async () => {
    vi.stubEnv("CRASH_SAFE_FILE_DIR", "~/from-variable");
    const exporter = new CrashSafeFileSpanExporter();
    expect(exporter.tracePath("s")).toBe(join(stage.dir, "from-variable", "s.json"));
    await exporter.shutdown();
  });

  it.skipIf(hasFixedHome)("P11 the path of a trace", async () => {
    mkdirSync(join(stage.dir, "t"));
    const tracing = createSessionTracing({ dir: "~/t" });
    tracing.tracer("one").logUserMessage("hello");
    await tracing.shutdown();
    for (const path of ["~/t/one.json", pathToFileURL(join(stage.dir, "t/one.json"))])
      expect((await readTrace(path)).trace.id).toBe("one");
  });
});

describe("P11 a text that is an ordinary path", () => {
  it.each(["traces", "./~", "a~", "C:\\traces", "c:/traces", "files:x", "a:b", "..", " a "])(
    "P11 %s stays",
    (text) => {
      expect(pathOf(text)).toBe(text);
    },
  );

  it("P11 ~ is the home directory", () => {
    expect(pathOf("~")).toBe(homedir());
  });
});

describe("P11 a value that is no path", () => {
  const wrong: [string, unknown][] = [
    ["an empty text", ""],
    ["a blank text", "  "],
    ["a NUL", "a\0b"],
    ["a NUL in a URL", "file:///a%00b"],
    ["an http URL", "http://localhost/traces"],
    ["a URL of http", new URL("http://localhost/traces")],
    ["a file: URL that cannot be read", "file:///a%2fb"],
    ["the home directory of another user", "~root/traces"],
    ["a number", 7],
    ["an object", {}],
  ];

  it.each(wrong)("P11 %s is refused at every entry", async (_, given) => {
    const dir = given as string;
    const refused = expect.objectContaining({
      code: "INVALID_OPTION",
      message: expect.stringMatching(/(dir|path) is .* must be a path/s),
    });
    const thrown = (run: () => unknown) => {
      try {
        return run();
      } catch (error) {
        return error;
      }
    };
    expect(thrown(() => new CrashSafeFileSpanExporter({ dir }))).toEqual(refused);
    expect(thrown(() => createSessionTracing({ dir }))).toEqual(refused);
    await expect(listTraces(dir)).rejects.toEqual(refused);
    await expect(recoverTraces(dir)).rejects.toEqual(refused);
    await expect(replayTraces(dir, backend)).rejects.toEqual(refused);
    await expect(readTrace(dir)).rejects.toEqual(refused);
  });

  it.each(wrong.filter(([name]) => /URL$|NUL|another user/.test(name)))(
    "P11 %s is logged by a trace of altimate-code, and nothing is written",
    async (_, given) => {
      const logged: string[] = [];
      const log = (...args: unknown[]) => void logged.push(args.join(" "));
      diag.setLogger({ error: log, warn: log, info: log, debug: log, verbose: log }, DiagLogLevel.WARN);
      const before = readdirSync(".");
      const trace = Trace.withExporters([new FileExporter(given as string)]);
      trace.startTrace("s");
      expect(await trace.endTrace()).toBeUndefined();
      expect(logged.join("\n")).toMatch(/FileExporter: dir is .* must be a path/s);
      expect(await Trace.listTraces(given as string)).toEqual([]);
      expect(readdirSync(".")).toEqual(before);
    },
  );
});
