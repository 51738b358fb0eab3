/** Whole documents written at once, and the directory of the file exporter. */
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FileExporter, recordingOf } from "../../src/altimate/trace-file-exporter.js";
import { decodeDocument } from "../../src/format/document.js";
import { safeId } from "../../src/format/file-names.js";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { Stage } from "../support/session-stage.js";
import { documentOf, rootSpan, toolSpan, toolSpans } from "../support/trace-documents.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.end();
  vi.unstubAllEnvs();
});

describe("export", () => {
  test("writes the whole document under the session's name, and no other file", async () => {
    const document = documentOf("ses_1");
    const path = await new FileExporter(stage.dir).export(document);
    expect(path).toBe(`${stage.dir}/ses_1.json`);
    expect(stage.files).toEqual(["ses_1.json"]);
    expect(stage.document("ses_1")).toEqual(document);
  });

  test("ignores options that do not exist, as the tracer that it replaces did", async () => {
    const exporter = new FileExporter(stage.dir, 100, { maxFile: 3, verbose: true } as never);
    expect(await exporter.export(documentOf("ses_1"))).toBe(`${stage.dir}/ses_1.json`);
  });

  test("reports an invalid option under its own name", () => {
    const { processor } = recordingOf(new FileExporter(stage.dir, 100, { maxTotalBytes: -1 })) ?? {};
    expect(processor).toThrow("FileExporter: maxTotalBytes is -1, and must be a whole number of at least 0");
    expect(processor).not.toThrow("CrashSafeFileSpanExporter");
  });

  test("writes a line for each span, in the given order", async () => {
    const open = toolSpan(9, { endTime: undefined as never });
    const document = documentOf("ses_1", { spans: [rootSpan(), open, ...toolSpans(3)] });
    await new FileExporter(stage.dir).export(document);
    const lines = stage.bytes("ses_1").split("\n");
    expect(lines.slice(1, -2).map((line) => JSON.parse(line.replace(/^,/, "")).spanId)).toEqual([
      ...["root", "tool9", "tool0", "tool1", "tool2"],
    ]);
  });

  test.each<[string, object]>([
    ["no spans", { version: 2, sessionId: "ses_1", summary: { status: "completed" } }],
    ["spans that are no list", { sessionId: "ses_1", spans: "none" }],
    ["spans that are no spans", { sessionId: "ses_1", spans: [null, 7, "text", {}, [], { name: "x" }] }],
    [
      "null for each member",
      { sessionId: "ses_1", spans: null, metadata: null, summary: null, startedAt: null },
    ],
    ["the session id alone", { sessionId: "ses_1" }],
    [
      "members of its own at every level",
      {
        ...documentOf("ses_1", {
          spans: [rootSpan(), toolSpan(1, { mine: { deep: [1, "x"] }, tool: { mine: 1 } } as never)],
          metadata: { mine: { a: [null] } } as never,
          summary: { ...documentOf("ses_1").summary, mine: "x", tokens: { mine: 1 } } as never,
        }),
        mine: [{ a: 1 }],
        resources: { r: { "service.name": "x" } },
      },
    ],
    [
      "other types of times and ids",
      { sessionId: "ses_1", traceId: 7, startedAt: 12, endedAt: false, version: "3" },
    ],
  ])(
    "writes a document as it is given, with %s, and replaces the document by another one",
    async (_, document) => {
      const exporter = new FileExporter(stage.dir);
      expect(await exporter.export(document as never)).toBe(`${stage.dir}/ses_1.json`);
      expect(stage.document("ses_1")).toEqual(document);
      expect(await exporter.export({ ...document, again: true } as never)).toBe(`${stage.dir}/ses_1.json`);
      expect(stage.document("ses_1")).toEqual({ ...document, again: true });
      expect(stage.files).toEqual(["ses_1.json"]);
    },
  );

  test.each([
    [null, "unknown"],
    [undefined, "unknown"],
    ["", "unknown"],
    ["..", "__"],
    ["../..", "_____"],
    ["/", "_"],
    ["a/b", "a_b"],
    ["C:\\x", "C__x"],
    [7, "7"],
  ])("names the file of the session id %j %s.json, each time", async (sessionId, name) => {
    const exporter = new FileExporter(stage.dir);
    for (const spans of [undefined, [rootSpan()], undefined, []]) {
      const { id: _, ...document } = documentOf("x", {
        sessionId: sessionId as never,
        spans: spans as never,
      });
      expect(await exporter.export(document)).toBe(`${stage.dir}/${name}.json`);
      expect(stage.document(name)).toEqual(JSON.parse(JSON.stringify(document)));
    }
    expect(stage.files).toEqual([`${name}.json`]);
  });

  test("names a document without a session id unknown.json, also with a raw id", async () => {
    const document = documentOf("ses_1", { sessionId: null as never });
    expect(await new FileExporter(stage.dir).export(document)).toBe(`${stage.dir}/unknown.json`);
    expect(stage.document("unknown")).toEqual(document);
  });

  test("leaves out the layout, which describes another file", async () => {
    const document = documentOf("ses_1", { layout: { v: 1, tailStart: 7, commit: "x" } } as never);
    await new FileExporter(stage.dir).export(document);
    expect(stage.document("ses_1")).toEqual({ ...document, layout: undefined });
  });

  test("D2 keeps documents without spans of different sessions apart", async () => {
    const exporter = new FileExporter(stage.dir);
    const first = await exporter.export({ id: "a/b", sessionId: "a_b" } as never);
    const second = await exporter.export({ id: "a_b", sessionId: "a_b" } as never);
    expect(first).toBe(`${stage.dir}/a_b.json`);
    expect(second).not.toBe(first);
    expect(JSON.parse(readFileSync(first as string, "utf8")).id).toBe("a/b");
  });

  test("takes a document without the time of its end", async () => {
    const { endedAt: _, ...document } = documentOf("ses_1");
    expect(await new FileExporter(stage.dir).export(document)).toBe(`${stage.dir}/ses_1.json`);
    expect(stage.document("ses_1")).toEqual(document);
  });

  test("keeps a JSON file of another program in its place", async () => {
    writeFileSync(`${stage.dir}/package.json`, '{"name":"mine"}');
    expect(await new FileExporter(stage.dir).export(documentOf("package"))).toBe(`${stage.dir}/package.json`);
    const kept = stage.files.find((name) => name.includes(".damaged."));
    expect(readFileSync(`${stage.dir}/${kept}`, "utf8")).toBe('{"name":"mine"}');
  });

  test.each([{}, { sessionId: null }, { spans: [] }, { note: "mine" }])(
    "replaces a document without a session id, and leaves nothing beside it: %j",
    async (document) => {
      const exporter = new FileExporter(stage.dir);
      for (const one of [document, {}, document, { sessionId: "" }])
        expect(await exporter.export(one as never)).toBe(`${stage.dir}/unknown.json`);
      expect(stage.files).toEqual(["unknown.json"]);
      expect(stage.document("unknown")).toEqual({ sessionId: "" });
    },
  );

  test("of a document without spans is whole, too", async () => {
    await new FileExporter(stage.dir).export(documentOf("ses_1", { spans: [] }));
    expect(stage.document("ses_1").spans).toEqual([]);
    expect((await readTrace(`${stage.dir}/ses_1.json`)).trace.summary.status).toBe("completed");
  });

  test("of a large document is whole, too", async () => {
    const spans = [rootSpan(), ...toolSpans(2_000).map((span) => ({ ...span, output: "ü".repeat(2_000) }))];
    await new FileExporter(stage.dir).export(documentOf("ses_1", { spans }));
    expect(stage.document("ses_1").spans).toHaveLength(2_001);
    expect((await readTrace(`${stage.dir}/ses_1.json`)).damage).toEqual({ tornBytes: 0, corruptLines: 0 });
  });

  test("replaces the document of the same session", async () => {
    const exporter = new FileExporter(stage.dir);
    await exporter.export(documentOf("ses_1"));
    await exporter.export(documentOf("ses_1", { spans: [rootSpan(), toolSpan(7)] }));
    expect(stage.files).toEqual(["ses_1.json"]);
    expect(stage.document("ses_1").spans.map(({ spanId }) => spanId)).toEqual(["root", "tool7"]);
  });

  test("replaces a document of the old tracer, which has no raw id", async () => {
    const { id: _, ...old } = documentOf("ses_1");
    writeFileSync(`${stage.dir}/ses_1.json`, JSON.stringify(old, null, 2));
    expect(await new FileExporter(stage.dir).export(documentOf("ses_1"))).toBe(`${stage.dir}/ses_1.json`);
    expect(stage.files).toEqual(["ses_1.json"]);
    expect(stage.document("ses_1").id).toBe("ses_1");
  });

  test("D2 never replaces another session's document", async () => {
    const exporter = new FileExporter(stage.dir);
    const paths = [];
    for (const id of ["a/b", "a_b", "a.b", "a/b"]) {
      paths.push(await exporter.export(documentOf(id, { sessionId: safeId(id) })));
    }
    expect(paths[0]).toBe(`${stage.dir}/a_b.json`);
    expect(paths[3]).toBe(paths[0]);
    expect(new Set(paths).size).toBe(3);
    const ids = paths.map((path) => JSON.parse(readFileSync(path as string, "utf8")).id);
    expect(ids).toEqual(["a/b", "a_b", "a.b", "a/b"]);
  });

  test("P9 stays in the directory for ids that point elsewhere", async () => {
    for (const id of ["../x", "/etc/x", "..", ".", "", "a\0b"]) {
      const path = await new FileExporter(stage.dir).export(documentOf(id));
      expect(path).toBe(`${stage.dir}/${basename(path as string)}`);
    }
    expect(stage.files).toHaveLength(6);
  });

  test("keeps a file in its place that is no document", async () => {
    writeFileSync(`${stage.dir}/ses_1.json`, "notes of mine");
    expect(await new FileExporter(stage.dir).export(documentOf("ses_1"))).toBe(`${stage.dir}/ses_1.json`);
    const kept = stage.files.find((name) => name.includes(".damaged."));
    expect(readFileSync(`${stage.dir}/${kept}`, "utf8")).toBe("notes of mine");
    expect(stage.document("ses_1").id).toBe("ses_1");
  });

  test("copies the document when it is called, so that later changes are not in the file", async () => {
    const document = documentOf("ses_1");
    const exported = new FileExporter(stage.dir).export(document);
    document.spans.push(toolSpan(99));
    document.metadata.title = "changed";
    (document.spans[1] as TraceSpan).name = "changed";
    await exported;
    expect(stage.bytes("ses_1")).not.toContain("changed");
    expect(stage.document("ses_1").spans).toHaveLength(4);
  });

  test("D3 loses only a bad value", async () => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const document = documentOf("ses_1", { metadata: circle as never });
    document.spans.push(toolSpan(9, { input: circle }), null as never, 7 as never, {} as never);
    Object.assign(document.summary, { extra: 1n });
    expect(await new FileExporter(stage.dir).export(document)).toBe(`${stage.dir}/ses_1.json`);
    const written = stage.document("ses_1");
    expect(written.spans.slice(0, 4)).toEqual(documentOf("ses_1").spans);
    expect(written.spans[4]).toEqual({ ...toolSpan(9), input: { self: "[circular]" } });
    expect(written.spans.slice(5)).toEqual([null, 7, {}]);
    expect(written.metadata).toEqual({ self: "[circular]" });
    expect(written.summary).toEqual({ ...documentOf("ses_1").summary, extra: "1" });
  });

  test("D3 loses only a member that cannot be read", async () => {
    const unreadable = {
      enumerable: true,
      get: () => {
        throw new Error("no");
      },
    };
    const document = documentOf("ses_1", {
      spans: [rootSpan(), Object.defineProperty(toolSpan(1), "input", unreadable)],
    });
    Object.defineProperty(document, "metadata", unreadable);
    for (const options of [{}, { redact: (value: unknown) => value }]) {
      expect(await new FileExporter(stage.dir, 0, options).export(document)).toBe(`${stage.dir}/ses_1.json`);
      const { spans, metadata, ...rest } = stage.document("ses_1");
      expect(metadata).toBe("[unreadable: no]");
      expect(spans).toEqual([rootSpan(), { ...toolSpan(1), input: "[unreadable: no]" }]);
      expect({ ...rest, spans, metadata }).toEqual({ ...documentOf("ses_1"), spans, metadata });
    }
  });

  test("P6 returns nothing, and writes nothing, for a value that is no document", async () => {
    const exporter = new FileExporter(`${stage.dir}/traces`);
    for (const document of [undefined, null, 7, "text", []]) {
      expect(await exporter.export(document as never)).toBeUndefined();
    }
    expect(existsSync(`${stage.dir}/traces`)).toBe(false);
  });

  test("P6 returns nothing when it cannot write", async () => {
    writeFileSync(`${stage.dir}/file`, "");
    expect(await new FileExporter(`${stage.dir}/file/traces`).export(documentOf("ses_1"))).toBeUndefined();
    mkdirSync(`${stage.dir}/ses_2.json`);
    expect(await new FileExporter(stage.dir).export(documentOf("ses_2"))).toBeUndefined();
    expect(stage.files).toEqual(["file", "ses_2.json"]);
  });

  test("P1 shows a reader a whole document at every instant", async () => {
    const exporter = new FileExporter(stage.dir);
    const sizes = [10, 3_000, 5, 2_000, 20];
    let isOver = false;
    const exports = (async () => {
      for (const size of sizes) await exporter.export(documentOf("ses_1", { spans: toolSpans(size) }));
      isOver = true;
    })();
    const seen = new Set<number>();
    while (!isOver) {
      const bytes = stage.bytesIfAny("ses_1");
      if (bytes !== undefined) seen.add((decodeDocument(bytes) as TraceFile).spans.length);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await exports;
    expect([...seen].filter((size) => !sizes.includes(size))).toEqual([]);
    expect(stage.files).toEqual(["ses_1.json"]);
  });

  test("P7 keeps what a live writer of the session has recorded", async () => {
    const one = stage.actor();
    one.record("ses_1", 5);
    await one.processor.forceFlush();
    await new FileExporter(stage.dir).export(documentOf("ses_1"));
    one.record("ses_1", 5);
    await one.processor.shutdown();
    const found = new Set(stage.document("ses_1").spans.map(({ spanId }) => spanId));
    expect([...one.ended, "tool0", "tool1", "tool2"].filter((id) => !found.has(id))).toEqual([]);
  });

  test("P7 leaves one of the documents and no other file when one session is exported concurrently", async () => {
    const exporter = new FileExporter(stage.dir);
    const sizes = [1, 2, 3, 4, 5, 6];
    const paths = await Promise.all(
      sizes.map((size) => exporter.export(documentOf("ses_1", { spans: toolSpans(size) }))),
    );
    expect(new Set(paths)).toEqual(new Set([`${stage.dir}/ses_1.json`]));
    expect(sizes).toContain(stage.document("ses_1").spans.length);
    expect(stage.files).toEqual(["ses_1.json"]);
  });
});

describe("a session that was marked as crashed", () => {
  test("P3 is not exported any more; other sessions are", async () => {
    const exporter = new FileExporter(stage.dir);
    await exporter.export(documentOf("ses_1"));
    const before = stage.bytes("ses_1");
    exporter.markCrashed("ses_1");
    expect(await exporter.export(documentOf("ses_1", { spans: [] }))).toBeUndefined();
    expect(stage.bytes("ses_1")).toBe(before);
    expect(await exporter.export(documentOf("ses_2"))).toBe(`${stage.dir}/ses_2.json`);
  });

  test("P3 is not changed by an export in flight", async () => {
    const exporter = new FileExporter(stage.dir);
    const before = documentOf("ses_1", { summary: { ...documentOf("ses_1").summary, status: "crashed" } });
    await exporter.export(before);
    const exported = exporter.export(documentOf("ses_1", { spans: toolSpans(3_000) }));
    await new Promise((resolve) => setImmediate(resolve));
    exporter.markCrashed("ses_1");
    expect(await exported).toBeUndefined();
    expect(stage.document("ses_1").summary.status).toBe("crashed");
    expect(stage.files).toEqual(["ses_1.json"]);
  });

  test("P3 is identified by its raw id, and by its name where a document lacks the id", async () => {
    const exporter = new FileExporter(stage.dir);
    exporter.markCrashed("a/b");
    expect(await exporter.export(documentOf("a/b", { sessionId: "a_b" }))).toBeUndefined();
    const { id: _, ...old } = documentOf("a_b");
    expect(await exporter.export(old)).toBeUndefined();
    expect(await exporter.export(documentOf("a_b"))).toBe(`${stage.dir}/a_b.json`);
  });

  test("P3 may be marked by the id that its document has, until the session starts again", async () => {
    const exporter = new FileExporter(stage.dir);
    const { id: _, ...old } = documentOf("a/b");
    exporter.markCrashed("a_b");
    expect(await exporter.export(documentOf("a/b", { sessionId: "a_b" }))).toBeUndefined();
    expect(await exporter.export(old)).toBeUndefined();
    expect(await exporter.export({ ...old, sessionId: "a_b" })).toBeUndefined();
    recordingOf(exporter)?.reopened("a/b");
    expect(await exporter.export(documentOf("a/b", { sessionId: "a_b" }))).toBe(`${stage.dir}/a_b.json`);
  });

  test("P3 is another one where an id does not fit the raw id of the document", async () => {
    const exporter = new FileExporter(stage.dir);
    exporter.markCrashed("a:b");
    exporter.markCrashed("A/B");
    expect(await exporter.export(documentOf("a/b", { sessionId: "a_b" }))).toBe(`${stage.dir}/a_b.json`);
    expect(await exporter.export(documentOf("a:b", { sessionId: "a_b" }))).toBeUndefined();
  });

  test("P3 without an id is marked as unknown", async () => {
    const exporter = new FileExporter(stage.dir);
    exporter.markCrashed("unknown");
    expect(await exporter.export(documentOf("", { sessionId: null as never }))).toBeUndefined();
  });

  test.each([undefined, null, "", 7, {}])("P6 may have the id %s", async (id) => {
    const exporter = new FileExporter(stage.dir);
    expect(() => exporter.markCrashed(id as never)).not.toThrow();
    expect(await exporter.export(documentOf("ses_1"))).toBeDefined();
  });
});

describe("the directory", () => {
  test("is the given one, or else altimate-code's", () => {
    expect(new FileExporter("some/dir").getDir()).toBe("some/dir");
    vi.stubEnv("XDG_DATA_HOME", "/data");
    for (const dir of [undefined, null, "", 7]) {
      expect(new FileExporter(dir as never).getDir()).toBe("/data/altimate-code/traces");
    }
  });

  test("is not created before there is something to write", () => {
    const dir = `${stage.dir}/traces`;
    const exporter = new FileExporter(dir);
    exporter.pruneSync();
    exporter.markCrashed("ses_1");
    expect(existsSync(dir)).toBe(false);
  });
});

describe("pruneSync", () => {
  async function settled(count: number): Promise<void> {
    const exporter = new FileExporter(stage.dir, 0);
    for (let n = 0; n < count; n++) {
      await exporter.export(documentOf(`ses_${n}`));
      age(`ses_${n}.json`, (count - n) * 60);
    }
  }

  function age(name: string, seconds: number): void {
    const then = Date.now() / 1_000 - seconds;
    utimesSync(`${stage.dir}/${name}`, then, then);
  }

  test("removes the oldest by modification time", async () => {
    await settled(5);
    age("ses_4.json", 10_000);
    new FileExporter(stage.dir, 3).pruneSync();
    expect(stage.files).toEqual(["ses_1.json", "ses_2.json", "ses_3.json"]);
  });

  test.each([0, -1, Number.POSITIVE_INFINITY])("removes nothing with %s for a limit", async (limit) => {
    await settled(4);
    new FileExporter(stage.dir, limit).pruneSync();
    expect(stage.files).toHaveLength(4);
  });

  test.each([undefined, null, "3", Number.NaN, {}])(
    "keeps a hundred where the limit is %s",
    async (limit) => {
      await settled(102);
      new FileExporter(stage.dir, limit as never).pruneSync();
      expect(stage.files).toHaveLength(100);
    },
  );

  test("D16 never removes a live session, however old its document", async () => {
    await settled(3);
    const one = stage.actor();
    one.record("live", 1);
    await one.processor.forceFlush();
    age("live.json", 10_000);
    new FileExporter(stage.dir, 1).pruneSync();
    expect(readdirSync(stage.dir).filter((name) => name.endsWith(".json"))).toContain("live.json");
  });

  test.each(["pruneSync", "export"])(
    "%s removes unfinished copies when they are an hour old, and never younger ones",
    async (how) => {
      await settled(1);
      for (const [name, seconds] of [
        ["old", 3_700],
        ["young", 3_500],
        ["1732800000000.k3f9x2", 3_700],
        ["1732800000000.zz", 3_500],
      ] as const) {
        writeFileSync(`${stage.dir}/ses_0.json.tmp.${name}`, "half");
        age(`ses_0.json.tmp.${name}`, seconds);
      }
      writeFileSync(`${stage.dir}/gone.json.tmp.1732800000000.a1`, "half");
      age("gone.json.tmp.1732800000000.a1", 3_700);
      const left = ["ses_0.json", "ses_0.json.tmp.1732800000000.zz", "ses_0.json.tmp.young"];
      if (how === "pruneSync") new FileExporter(stage.dir).pruneSync();
      else await new FileExporter(stage.dir).export(documentOf("ses_0"));
      expect(stage.files).toEqual(left);
    },
  );

  test("applies the limit in export, too", async () => {
    await settled(5);
    await new FileExporter(stage.dir, 2).export(documentOf("newest"));
    expect(stage.files).toEqual(["newest.json", "ses_4.json"]);
  });

  test("P6 never throws", () => {
    writeFileSync(`${stage.dir}/file`, "");
    for (const dir of ["/nowhere/at/all", `${stage.dir}/file`, "nul\0byte"]) {
      expect(() => new FileExporter(dir).pruneSync()).not.toThrow();
    }
  });
});
