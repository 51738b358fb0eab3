/** Arguments of the functions of the package that are refused, or accepted as not given. */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { installCrashFence } from "../../src/processor/crash-fence.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { replayTraces } from "../../src/replay/replay-traces.js";
import { spanOf } from "../support/projection-span.js";

const dir = fs.mkdtempSync(join(os.tmpdir(), "refused-arguments-"));
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));
const file = join(dir, "notes.txt");
fs.writeFileSync(file, "no trace\n");
const exporter = new CrashSafeFileSpanExporter({ dir });
const none = null as never;
const wrong = (options: unknown) => options as never;

describe("an argument that is not valid is refused by name", () => {
  test.each<[string, () => Promise<unknown>, string, RegExp]>([
    ["a negative limit", () => listTraces(dir, { limit: -1 }), "INVALID_OPTION", /limit is -1/],
    ["a limit in words", () => listTraces(dir, wrong({ limit: "x" })), "INVALID_OPTION", /limit is "x"/],
    ["half an offset", () => listTraces(dir, { offset: 1.5 }), "INVALID_OPTION", /offset is 1.5/],
    [
      "a dry run in words",
      () => recoverTraces(dir, wrong({ dryRun: "x" })),
      "INVALID_OPTION",
      /dryRun is "x"/,
    ],
    [
      "a misspelt error",
      async () => exporter.endSession("s", wrong({ err: 1 })),
      "INVALID_OPTION",
      /endSession: there is no option err; did you mean error\?/,
    ],
    [
      "a file as a directory to list",
      () => listTraces(file),
      "READ_FAILED",
      /cannot read the directory .*ENOTDIR/,
    ],
    [
      "a file as a directory to recover",
      () => recoverTraces(file),
      "READ_FAILED",
      /cannot read the directory/,
    ],
    ["a file that is no trace", () => readTrace(file), "NOT_A_TRACE", /notes\.txt is no trace/],
    ["a directory as a trace", () => readTrace(dir), "NOT_A_TRACE", /is no trace/],
    [
      "a file that is not there",
      () => readTrace(join(dir, "no.json")),
      "READ_FAILED",
      /there is no trace at/,
    ],
  ])("%s", async (_, call, code, message) => {
    await expect(call()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test("a number that no file reaches", () => {
    expect(() => new CrashSafeFileSpanExporter({ dir, maxTotalBytes: 2 ** 60 })).toThrow(
      /maxTotalBytes is 1152921504606847000, and must be a whole number of at least 0, and at most 9007199254740991/,
    );
  });
});

describe("null counts as no options", () => {
  test("everywhere", async () => {
    new CrashSafeSpanProcessor(exporter, none);
    installCrashFence(exporter, none).uninstall();
    await exporter.endSession("s", none);
    expect(await listTraces(dir, none)).toMatchObject({ total: 0, limit: 20 });
    expect(await recoverTraces(dir, none)).toMatchObject({ sessions: [] });
    expect(await replayTraces(dir, exporter, none)).toMatchObject({ sessions: [] });
  });
});

test("a limit of 0 lists all traces", async () => {
  for (let n = 0; n < 22; n++)
    exporter.recordEnd(
      spanOf({
        attributes: { "session.id": `s${n}` },
        spanContext: () => ({
          traceId: "0af7651916cd43dd8448eb211c80319c",
          spanId: `00000000000010${n + 10}`,
          traceFlags: 1,
        }),
      }),
    );
  await exporter.shutdown();
  expect((await listTraces(dir, { limit: 0, offset: 1 })).traces).toHaveLength(21);
});
