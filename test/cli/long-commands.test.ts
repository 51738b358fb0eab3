/** Commands that give all of a session, on one that is larger than their memory. */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { expect, test } from "vitest";
import { encodeHead, encodeSpan, encodeTail } from "../../src/format/document.js";
import { emptyDirectory } from "../support/command-stage.js";
import { documentOf, rootSpan } from "../support/trace-documents.js";
import { isTorture } from "../support/trials.js";

const megabytes = isTorture ? 400 : 130;
/** Of the heap: what Node needs, the last spans, and the beginnings of the texts of the others. */
const heapMegabytes = isTorture ? 130 : 100;
const bytesPerSpan = 40_000;
const count = Math.round((megabytes * 1e6) / bytesPerSpan);

/** Writes a document of tool calls, span by span. */
function longSession(): string {
  const dir = emptyDirectory();
  const { id, traceId, sessionId, startedAt, endedAt, metadata, summary } = documentOf("ses_long");
  const startTime = Date.parse(startedAt);
  const fd = openSync(`${dir}/ses_long.json`, "wx");
  const head = encodeHead({ id, traceId, sessionId, startedAt });
  let size = writeSync(fd, head);
  for (let n = 0; n < count; n++) {
    const span = encodeSpan({
      spanId: n.toString(16).padStart(16, "0"),
      parentSpanId: rootSpan({}).spanId,
      name: "bash",
      kind: "tool",
      startTime: startTime + n,
      endTime: startTime + n + 1,
      status: "ok",
      input: { command: `run ${n}` },
      output: `output ${n} ${"x".repeat(bytesPerSpan)} end ${n}`,
    });
    size += writeSync(fd, `${n === 0 ? "" : ","}${span}\n`);
  }
  const layout = { v: 1 as const };
  writeSync(
    fd,
    encodeTail({ spans: [rootSpan({ startTime })], metadata, summary, endedAt, layout }, size, false),
  );
  closeSync(fd);
  return dir;
}

// Bun knows no bound of the heap.
test.skipIf(process.versions.bun !== undefined)(
  `P8 ${megabytes} MB are shown as JSON, and in a torture run shared and exported, in a heap of ${heapMegabytes} MB, to the last byte`,
  () => {
    const dir = longSession();
    const all = [
      ["lines", "show", "latest", "--json"],
      ["page", "share", "latest", "--output", "-"],
      ["lines", "export", "latest", "--format", "jsonl"],
      ["lines", "export", "latest", "--format", "otlp"],
    ];
    for (const [format, ...args] of all.slice(0, isTorture ? 4 : 1)) {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [`--max-old-space-size=${heapMegabytes}`, "build/cli.js", ...args, "--dir", dir],
        { encoding: "utf8", maxBuffer: 2 * megabytes * 1e6 },
      );
      expect({ args, status, stderr: stderr.slice(-2_000) }).toMatchObject({ status: 0 });
      const ends = stdout.match(/ end \d+/g) ?? [];
      expect(ends).toHaveLength(format === "lines" ? count : 0);
    }
  },
);
