/** A document whose end is missing: a copy that broke off, a disk that lost blocks. The command reads its whole lines. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { errorCode } from "../../src/platform/file-system.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readFoundTrace, readTrace } from "../../src/recovery/read-trace.js";

const whole = readFileSync("test/fixtures/released/0.1.0/completed.json");
const lineEnds = [...whole.keys()].filter((at) => whole[at] === 10);

async function readCut(bytes: Buffer) {
  const dir = mkdtempSync(join(tmpdir(), "cut-document-"));
  try {
    writeFileSync(join(dir, "ses_golden.json"), bytes);
    return await readFoundTrace(join(dir, "ses_golden.json"), { tokens: [], unnamed: [] });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test("P14 has the spans of its whole lines, and no end that nobody has seen", async () => {
  const { trace: all } = await readCut(whole);
  const [headEnd = 0, ...spanEnds] = lineEnds.slice(0, -1);
  for (const [lines, end] of [headEnd, ...spanEnds.slice(0, -1)].entries()) {
    const { trace, damage } = await readCut(whole.subarray(0, end + 20));
    const found = trace.spans.filter(({ kind }) => kind !== "session").map(({ spanId }) => spanId);
    expect(found).toEqual(all.spans.slice(0, lines).map(({ spanId }) => spanId));
    expect(damage).toEqual({ tornBytes: 19, corruptLines: 0 });
    expect(trace.summary.error).toBe("The end of the document is missing");
    expect(trace.summary.detector).toBeUndefined();
    expect(trace.id).toBe(all.id);
  }
});

test("P14 is no trace for the function, as it is in no listing", async () => {
  const dir = mkdtempSync(join(tmpdir(), "cut-document-"));
  try {
    const path = join(dir, "ses_golden.json");
    writeFileSync(path, whole.subarray(0, 3_000));
    const error = await readTrace(path).catch((reason: unknown) => reason);
    expect(errorCode(error)).toBe("NOT_A_TRACE");
    expect((await listTraces(dir)).total).toBe(1);
    expect((await listTraces(dir)).traces).toEqual([]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("P14 without its first line it is no trace", async () => {
  const error = await readCut(whole.subarray(0, 100)).catch((reason: unknown) => reason);
  expect(errorCode(error)).toBe("NOT_A_TRACE");
});
