/** What a document says of how its session ended, whoever writes it. */
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

/** One generation and four tool calls, three of them the same. */
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

const words = (verb: string): RegExp =>
  new RegExp(
    `^${verb} [0-9dhms.]+\\. Made 1 LLM call using 2 tools \\(bash, read\\)\\. Warning: 1 loop\\(s\\) detected\\. Total cost: \\$0\\.0000\\.$`,
  );

/** That the file says so, and all who read it. */
async function expectWords(narrative: RegExp | undefined, output: unknown): Promise<void> {
  for (const trace of [document(), (await readTrace(path())).trace]) {
    if (narrative) expect(trace.summary.narrative).toMatch(narrative);
    else expect(trace.summary.narrative).toBeUndefined();
    expect(trace.summary.loops).toMatchObject([{ tool: "bash", count: 3 }]);
    expect(outputOf(trace)).toBe(output);
  }
}

describe("an end in words", () => {
  it("is not there while the session runs, nor after it was resumed", async () => {
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

  it("tells an error", async () => {
    await begin().endSession(id, { error: "boom" });
    await expectWords(words("Failed after"), "Error: boom");
  });

  it("tells a crash, and gives the session span no output", async () => {
    const exporter = begin();
    exporter.crash("SIGTERM");
    await expectWords(words("Failed after"), undefined);
  });

  it("P2 is told by recovery for those who could not", async () => {
    begin();
    liveness.killAll();
    const { failures } = await recoverDirectory(
      { fileSystem: nodeFileSystem, liveness, clock: systemClock },
      dir,
    );
    expect(failures).toEqual([]);
    await expectWords(words("Failed after"), undefined);
  });

  it("P2 forgets what an end said that a crash came after", async () => {
    await begin().shutdown();
    const again = new CrashSafeFileSpanExporter({ dir }, { clock: new IdleClock(), liveness });
    again.recordEnd(spanOf({ name: "more", attributes: { "session.id": id } }));
    liveness.killAll();
    // Nothing is left of what its live log knew.
    for (const name of fs.readdirSync(dir)) if (name.endsWith(".live")) fs.rmSync(join(dir, name));
    await recoverDirectory({ fileSystem: nodeFileSystem, liveness, clock: systemClock }, dir);
    expect(document().summary.status).toBe("crashed");
    await expectWords(words("Failed after"), undefined);
  });

  it("P2 stands where a session was sealed and its commit is missing", async () => {
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
