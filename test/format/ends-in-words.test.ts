/** The description of a session's end in its document, whichever writer ends it. */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { IdleClock } from "../support/idle-clock.js";
import { MortalLiveness } from "../support/mortal-liveness.js";
import { spanOf } from "../support/projection-span.js";
import { recordSession } from "../support/recorded-session.js";

const id = "ses_words";
let dir: string;
let liveness: MortalLiveness;
beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "words-"));
  liveness = new MortalLiveness();
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

const path = () => join(dir, `${id}.json`);
const document = (): TraceFile => JSON.parse(fs.readFileSync(path(), "utf8"));
const outputOf = ({ spans }: TraceFile): unknown => spans.find(({ kind }) => kind === "session")?.output;
const counted = "1 generations, 4 tool calls, 0 tokens, $0.0000";

/** One generation and four tool calls, three of them equal. */
function begin(): CrashSafeFileSpanExporter {
  const ports = { clock: new IdleClock(), fileSystem: nodeFileSystem, liveness };
  const exporter = new CrashSafeFileSpanExporter({ dir }, ports);
  for (const [n, tool] of ["", "bash", "bash", "read", "bash"].entries()) {
    const spanContext = () => ({
      traceId: "0".repeat(31).concat("1"),
      spanId: `00000000000000a${n}`,
      traceFlags: 1,
    });
    const operation = tool === "" ? "chat" : "execute_tool";
    const input = { "gen_ai.tool.name": tool, "gen_ai.tool.call.arguments": `look at ${tool}` };
    const attributes = { "session.id": id, "gen_ai.operation.name": operation, ...(tool && input) };
    exporter.recordEnd(spanOf({ name: `step ${n}`, spanContext, attributes }));
  }
  return exporter;
}

/** A span that is open when its process dies. */
const open = {
  name: "open",
  ended: false,
  endTime: [0, 0] as [number, number],
  spanContext: () => ({ traceId: "0".repeat(31).concat("1"), spanId: "00000000000000b0", traceFlags: 1 }),
};

const words = (verb: string): RegExp =>
  new RegExp(
    `^${verb} [0-9dhms.]+\\. Made 1 LLM call using 2 tools \\(bash, read\\)\\. Warning: 1 loop\\(s\\) detected\\. Total cost: \\$0\\.0000\\.$`,
  );

/** Checks the file and every reader of it. */
async function expectWords(narrative: RegExp | undefined, output: unknown): Promise<void> {
  for (const trace of [document(), (await readTrace(path())).trace]) {
    if (narrative) expect(trace.summary.narrative).toMatch(narrative);
    else expect(trace.summary.narrative).toBeUndefined();
    expect(trace.summary.loops).toMatchObject([{ tool: "bash", count: 3 }]);
    expect(outputOf(trace)).toBe(output);
  }
}

describe("the description of an end", () => {
  it("is absent while the session runs, and after it was resumed", async () => {
    await begin().forceFlush();
    await expectWords(undefined, undefined);
    fs.rmSync(dir, { recursive: true });
    const first = begin();
    await first.shutdown();
    await expectWords(words("Completed in"), counted);
    const second = new CrashSafeFileSpanExporter({ dir }, { clock: new IdleClock(), liveness });
    second.recordEnd(spanOf({ name: "more", attributes: { "session.id": id } }));
    await second.forceFlush();
    await expectWords(undefined, undefined);
    await second.shutdown();
    await expectWords(words("Completed in"), counted);
  });

  it("contains the error", async () => {
    await begin().endSession(id, { error: "boom" });
    await expectWords(words("Failed after"), "Error: boom");
  });

  it("contains the crash, and gives the session span no output", async () => {
    const exporter = begin();
    exporter.crash("SIGTERM");
    await expectWords(words("Failed after"), undefined);
  });

  it("P2 is written by recovery for a writer that died", async () => {
    begin().recordStart(spanOf({ ...open, attributes: { "session.id": id } }));
    liveness.killAll();
    const { failures } = await recoverDirectory(
      { fileSystem: nodeFileSystem, liveness, clock: systemClock },
      dir,
    );
    expect(failures).toEqual([]);
    await expectWords(words("Failed after"), undefined);
  });

  it("P2 of an earlier end is removed by a later crash", async () => {
    await begin().shutdown();
    const again = new CrashSafeFileSpanExporter({ dir }, { clock: new IdleClock(), liveness });
    again.recordEnd(spanOf({ name: "more", attributes: { "session.id": id } }));
    again.recordStart(spanOf({ ...open, attributes: { "session.id": id } }));
    liveness.killAll();
    await recoverDirectory({ fileSystem: nodeFileSystem, liveness, clock: systemClock }, dir);
    expect(document().summary.status).toBe("crashed");
    await expectWords(words("Failed after"), undefined);
  });

  it("P2 is kept where a session was finalized and its commit is missing", async () => {
    const { name, token, sealed, lines } = await recordSession({ open: 0 });
    const open = join(dir, `${name}.json.${token}.open`);
    fs.writeFileSync(open, sealed);
    const generations = lines.filter(({ span }) => span.kind === "generation").length;
    const { trace } = await readTrace(open);
    expect(trace.summary.status).toBe("completed");
    expect(trace.summary.narrative).toMatch(/^Completed in /);
    const { totalToolCalls, totalTokens } = trace.summary;
    expect(outputOf(trace)).toBe(
      `${generations} generations, ${totalToolCalls} tool calls, ${totalTokens} tokens, $0.0000`,
    );
  });
});
