/** Documents in a layout other than the library's: formatted, edited, written by an older tracer, or no documents. */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { spanOf } from "../support/projection-span.js";
import { spansOf } from "../support/recorded-session.js";

const id = "ses_foreign";
let dir: string;
let path: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "foreign-"));
  path = join(dir, `${id}.json`);
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

let spans = 0;
const traced = (name: string) => {
  const spanId = (0x2000_0000 + spans++).toString(16).padStart(16, "0");
  return spanOf({
    name,
    spanContext: () => ({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId, traceFlags: 1 }),
    attributes: { "session.id": id, "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name },
  });
};

/** Ends a session with these spans. */
async function record(...names: string[]): Promise<TraceFile> {
  const exporter = new CrashSafeFileSpanExporter({ dir });
  for (const name of names) exporter.recordEnd(traced(name));
  await exporter.shutdown();
  return JSON.parse(fs.readFileSync(path, "utf8"));
}

const namesOf = (trace: TraceFile): string[] => [...spansOf(trace).values()].map(({ name }) => name);

/** Resumes the document. Afterwards it must have the library's layout, with the old spans before the new ones. */
async function resumeAfter(before: string[]): Promise<TraceFile> {
  expect(namesOf((await readTrace(path)).trace)).toEqual(before);
  const trace = await record("new");
  expect(namesOf(trace)).toEqual([...before, "new"]);
  expect(trace.summary).toMatchObject({ status: "completed" });
  const tail = fs.readFileSync(path).subarray(trace.layout?.tailStart);
  expect(tail.toString()).toMatch(/^,\{"spanId":.*\n$/);
  expect((await listTraces(dir)).traces).toMatchObject([{ id, summary: trace.summary }]);
  expect(fs.readdirSync(dir)).toEqual([`${id}.json`]);
  return trace;
}

describe("P7 foreign layouts", () => {
  it("P7 a formatted document is read and resumed", async () => {
    const { startedAt, traceId } = await record("a", "b");
    fs.writeFileSync(path, JSON.stringify(JSON.parse(fs.readFileSync(path, "utf8")), null, 2));
    expect(await resumeAfter(["a", "b"])).toMatchObject({
      startedAt,
      traceId,
      summary: { totalToolCalls: 3 },
    });
  });

  it("P7 a document on one line is read and resumed", async () => {
    await record("a", "b");
    fs.writeFileSync(path, JSON.stringify(JSON.parse(fs.readFileSync(path, "utf8"))));
    await resumeAfter(["a", "b"]);
  });

  it("P7 a document with Windows line ends and a byte-order mark is read and resumed", async () => {
    await record("a", "b");
    fs.writeFileSync(path, `\ufeff${fs.readFileSync(path, "utf8").replaceAll("\n", "\r\n")}`);
    await resumeAfter(["a", "b"]);
  });

  it("P7 an edited document is read and resumed, wherever its tail is now", async () => {
    await record("a", "b");
    const text = fs.readFileSync(path, "utf8");
    fs.writeFileSync(path, text.replace('"name":"a"', '"name":"a much longer name"'));
    await resumeAfter(["a much longer name", "b"]);
    fs.writeFileSync(path, text.replace('"name":"a"', '"name":"c"'));
    await resumeAfter(["c", "b"]);
    const lines = text.split("\n");
    fs.writeFileSync(path, [lines[0], lines[2]?.slice(1), ...lines.slice(3)].join("\n"));
    await resumeAfter(["b"]);
  });

  it("P7 a document of an older writer is read and resumed: UUIDs, no id, no layout", async () => {
    const [root, child] = ["6f9619ff-8b86-d011-b42d-00c04fc964ff", "7f9619ff-8b86-d011-b42d-00c04fc964ff"];
    const older = {
      version: 2,
      traceId: "5f9619ff-8b86-d011-b42d-00c04fc964ff",
      sessionId: id,
      startedAt: "2025-01-01T00:00:00.000Z",
      endedAt: "2025-01-01T00:01:00.000Z",
      metadata: { title: "old" },
      spans: [
        {
          spanId: root,
          parentSpanId: null,
          name: id,
          kind: "session",
          startTime: 1735689600000,
          endTime: 1735689660000,
          status: "ok",
        },
        {
          spanId: child,
          parentSpanId: root,
          name: "bash",
          kind: "tool",
          startTime: 1735689610000,
          endTime: 1735689620000,
          status: "ok",
        },
      ],
      summary: {
        totalTokens: 5,
        totalCost: 1,
        totalToolCalls: 1,
        totalGenerations: 0,
        duration: 60000,
        status: "completed",
      },
    };
    fs.writeFileSync(path, JSON.stringify(older, null, 2));
    const trace = await resumeAfter(["bash"]);
    const { traceId, startedAt, metadata } = older;
    expect(trace).toMatchObject({
      id,
      traceId,
      startedAt,
      metadata,
      summary: { totalTokens: 5, totalToolCalls: 2 },
    });
    expect(trace.spans.at(-1)).toMatchObject({ spanId: root, parentSpanId: null });
    expect(trace.spans.find(({ name }) => name === "new")?.parentSpanId).toBe(root);
  });

  it("P7 a document with nothing but spans is read and resumed", async () => {
    fs.writeFileSync(
      path,
      JSON.stringify({ sessionId: id, spans: [{ spanId: "x", name: "bare" }, null, 7, {}] }),
    );
    const { trace } = await readTrace(path);
    expect(trace.spans).toMatchObject([{ name: "bare" }]);
    const resumed = await record("new");
    expect(namesOf(resumed).sort()).toEqual(["bare", "new"]);
  });

  it("P6 a file too long for a text is kept unchanged, and does not prevent the session's document", async () => {
    fs.writeFileSync(path, "");
    // Longer than V8's longest text, and sparse: it needs no room on the disk.
    fs.truncateSync(path, 600_000_000);
    await expect(readTrace(path)).rejects.toMatchObject({ code: "NOT_A_TRACE" });
    expect(namesOf(await record("new"))).toEqual(["new"]);
    const kept = fs.readdirSync(dir).filter((name) => name.includes(".damaged."));
    expect(kept.map((name) => fs.statSync(join(dir, name)).size)).toEqual([600_000_000]);
  });

  const notTraces = {
    "an empty file": "",
    "half a document": '{"version":2,"spans":[',
    NULs: "\0".repeat(5_000),
    "another kind of JSON": '{"a":1}',
  };
  for (const [what, content] of Object.entries(notTraces)) {
    it(`P6 ${what} under the session's name is kept unchanged, under another name`, async () => {
      fs.writeFileSync(path, content);
      await expect(readTrace(path)).rejects.toMatchObject({
        name: "CrashSafeFileError",
        code: "NOT_A_TRACE",
      });
      expect(namesOf(await record("new"))).toEqual(["new"]);
      const kept = fs.readdirSync(dir).filter((name) => name !== `${id}.json`);
      expect(kept).toHaveLength(1);
      expect(kept[0]).toMatch(/\.damaged\./);
      expect(fs.readFileSync(join(dir, kept[0] as string), "utf8")).toBe(content);
    });
  }
});
