/** Lists a directory of traces, and loads one trace of it. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { getTracesDir, listTraces, listTracesPaginated, loadTrace } from "../../src/altimate/listing.js";
import { Trace } from "../../src/altimate/trace.js";
import { FileExporter } from "../../src/altimate/trace-file-exporter.js";
import { listTraces as readerListing } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { Stage } from "../support/session-stage.js";
import { documentOf, startedAt } from "../support/trace-documents.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(async () => {
  await stage.end();
  vi.unstubAllEnvs();
});

const at = (minutes: number) => new Date(startedAt + minutes * 60_000).toISOString();

/** A session of this library that began this many minutes after the first. */
async function settled(id: string, minutes: number): Promise<void> {
  await new FileExporter(stage.dir).export(documentOf(id, { startedAt: at(minutes) }));
}

/** A document as the earlier tracer wrote it: pretty-printed, without a raw id. */
function old(name: string, minutes: number): void {
  const { id: _, ...document } = documentOf(name, { startedAt: at(minutes) });
  writeFileSync(`${stage.dir}/${name}.json`, JSON.stringify(document, null, 2));
}

const program = fileURLToPath(new URL("../programs/killed-session.mjs", import.meta.url));
/** A session whose process was killed while a generation ran. */
const killed = (id: string) => spawnSync(process.execPath, [program, stage.dir, id]);

test.each<unknown>(["", null, undefined, 7, 7n, true, {}, Symbol("id"), "a/b"])(
  "a trace is loaded by the id that it was started with: %s",
  async (id) => {
    const trace = Trace.withExporters([new FileExporter(stage.dir)]);
    trace.startTrace(id as string, { title: "by its id" });
    await trace.endTrace();
    expect((await loadTrace(id as string, stage.dir))?.metadata.title).toBe("by its id");
    expect(await loadTrace("another", stage.dir)).toBeNull();
  },
);

describe("the document of a killed session", () => {
  test.each<[string, () => Promise<unknown>]>([
    ["listTraces", () => listTraces(stage.dir)],
    ["loadTrace", () => loadTrace("ses_dead", stage.dir)],
    ["listTracesPaginated", () => listTracesPaginated(stage.dir, { limit: 1 })],
  ])("is completed in the background by %s, for readers of the raw file", async (_, look) => {
    killed("ses_dead");
    expect(stage.document("ses_dead").summary.status).toBe("running");
    expect(stage.files.length).toBeGreaterThan(1);
    expect(JSON.stringify(await look())).toContain('"status":"crashed"');
    await vi.waitFor(() => expect(stage.files).toEqual(["ses_dead.json"]), { timeout: 20_000 });
    const { summary, spans } = stage.document("ses_dead");
    expect(summary.status).toBe("crashed");
    expect(spans.filter(({ interrupted }) => interrupted).length).toBeGreaterThan(0);
  });

  test("is left as it is when it is on another page, and when its session is live", async () => {
    killed("ses_1");
    const living = stage.actor();
    living.record("ses_live", 1);
    await living.processor.forceFlush();
    const files = stage.files;
    const { traces, total } = await listTracesPaginated(stage.dir, { limit: 1 });
    expect([traces.map(({ file }) => file), total]).toEqual([["ses_live.json"], 2]);
    await loadTrace("ses_live", stage.dir);
    await loadTrace("ses_absent", stage.dir);
    await new FileExporter(stage.dir).export(documentOf("other"));
    expect(stage.files).toEqual([...files, "other.json"].sort());
  });

  test("is completed by the functions of the drop-in only: the reader never writes", async () => {
    killed("ses_dead");
    const files = stage.files;
    const before = stage.bytes("ses_dead");
    expect((await readerListing(stage.dir)).total).toBe(1);
    expect((await readTrace(`${stage.dir}/ses_dead.json`)).trace.summary.status).toBe("crashed");
    await new FileExporter(stage.dir).export(documentOf("other"));
    expect(stage.files).toEqual([...files, "other.json"].sort());
    expect(stage.bytes("ses_dead")).toBe(before);
  });
});

describe("listTraces", () => {
  test("returns whole traces of both tracers, the latest start first", async () => {
    await settled("ses_1", 1);
    old("ses_2", 3);
    await settled("ses_3", 2);
    const listed = await listTraces(stage.dir);
    expect(listed.map(({ sessionId, file }) => [sessionId, file])).toEqual([
      ["ses_2", "ses_2.json"],
      ["ses_3", "ses_3.json"],
      ["ses_1", "ses_1.json"],
    ]);
    expect(listed.map(({ trace }) => trace.spans.length)).toEqual([4, 4, 4]);
    expect(listed[0]?.trace.metadata).toEqual({ title: "title of ses_2" });
  });

  test("leaves out files that are no traces, and files that cannot be read", async () => {
    await settled("ses_1", 1);
    writeFileSync(`${stage.dir}/broken.json`, '{"version":2,"spans":[');
    writeFileSync(`${stage.dir}/empty.json`, "");
    writeFileSync(`${stage.dir}/other.json`, '{"name":"package"}');
    writeFileSync(`${stage.dir}/ses_1.json.tmp.x`, JSON.stringify(documentOf("ses_9")));
    writeFileSync(`${stage.dir}/notes.txt`, "");
    mkdirSync(`${stage.dir}/folder.json`);
    symlinkSync(`${stage.dir}/ses_1.json`, `${stage.dir}/link.json`);
    expect((await listTraces(stage.dir)).map(({ file }) => file)).toEqual(["ses_1.json"]);
  });

  test("P2 includes what a live writer has recorded and not published", async () => {
    const living = stage.actor();
    living.record("ses_1", 1);
    await living.processor.forceFlush();
    living.record("ses_1", 5);
    const listed = await listTraces(stage.dir);
    expect(listed).toHaveLength(1);
    expect(listed[0]?.trace.spans.filter(({ kind }) => kind !== "session")).toHaveLength(6);
    expect(listed[0]?.trace.summary.idle).toBe(true);
  });

  test("uses the file name as session where the document has no id, and accepts any start time", async () => {
    writeFileSync(`${stage.dir}/bare.json`, '{"spans":[]}');
    writeFileSync(`${stage.dir}/odd.json`, '{"spans":[],"sessionId":"odd","startedAt":"yesterday"}');
    await settled("ses_1", 1);
    expect((await listTraces(stage.dir)).map(({ sessionId }) => sessionId)).toEqual(["ses_1", "bare", "odd"]);
  });

  test("returns nothing for a missing directory, and does not create it", async () => {
    for (const dir of [`${stage.dir}/missing`, `${stage.dir}/missing/deeper`, "nul\0byte"]) {
      expect(await listTraces(dir)).toEqual([]);
    }
    writeFileSync(`${stage.dir}/file`, "");
    expect(await listTraces(`${stage.dir}/file`)).toEqual([]);
    expect(existsSync(`${stage.dir}/missing`)).toBe(false);
  });

  test("reads altimate-code's directory by default", async () => {
    vi.stubEnv("XDG_DATA_HOME", stage.dir);
    expect(getTracesDir()).toBe(`${stage.dir}/altimate-code/traces`);
    expect(getTracesDir("here")).toBe("here");
    expect(await listTraces()).toEqual([]);
    await new FileExporter().export(documentOf("ses_1"));
    for (const dir of [undefined, null, "", 7]) {
      expect(await listTraces(dir as never)).toHaveLength(1);
      expect((await listTracesPaginated(dir as never)).total).toBe(1);
      expect(await loadTrace("ses_1", dir as never)).toMatchObject({ id: "ses_1" });
    }
  });
});

describe("listTracesPaginated", () => {
  const page = async (options?: unknown) => {
    const { traces, ...rest } = await listTracesPaginated(stage.dir, options as never);
    return { ...rest, ids: traces.map(({ sessionId }) => sessionId) };
  };

  beforeEach(async () => {
    for (let n = 0; n < 25; n++) await settled(`ses_${n}`, n);
  });
  const newest = (from: number, to: number) =>
    Array.from({ length: 25 }, (_, n) => `ses_${24 - n}`).slice(from, to);

  test.each([
    ["nothing", undefined, 0, 20],
    ["null", null, 0, 20],
    ["an empty object", {}, 0, 20],
    ["a page", { offset: 5, limit: 3 }, 5, 3],
    ["fractions", { offset: 5.9, limit: 3.9 }, 5, 3],
    ["negative numbers", { offset: -5, limit: -3 }, 0, 1],
    ["a limit of 0", { limit: 0 }, 0, 1],
    ["a limit below 1", { limit: 0.5 }, 0, 1],
    ["NaN", { offset: Number.NaN, limit: Number.NaN }, 0, 20],
    ["Infinity", { offset: Number.POSITIVE_INFINITY, limit: Number.POSITIVE_INFINITY }, 0, 20],
    ["texts", { offset: "5", limit: "3" }, 0, 20],
    ["a page beyond the end", { offset: 30 }, 30, 20],
    ["a page over the end", { offset: 23 }, 23, 20],
  ])("%s", async (_, options, offset, limit) => {
    expect(await page(options)).toEqual({ ids: newest(offset, offset + limit), total: 25, offset, limit });
  });

  test("counts readable traces only", async () => {
    writeFileSync(`${stage.dir}/broken.json`, "{");
    expect((await page()).total).toBe(25);
  });

  test("returns an empty list for a missing directory", async () => {
    const dir = `${stage.dir}/missing`;
    expect(await listTracesPaginated(dir, { offset: 2, limit: 4 })).toEqual({
      traces: [],
      total: 0,
      offset: 2,
      limit: 4,
    });
    expect(existsSync(dir)).toBe(false);
  });

  test("P6 ignores options that cannot be read", async () => {
    const hostile = {
      get offset(): number {
        throw new Error("no");
      },
    };
    expect(await page(hostile)).toMatchObject({ offset: 0, limit: 20, total: 25 });
  });
});

describe("loadTrace", () => {
  test("finds a session of either tracer", async () => {
    await settled("ses_1", 1);
    old("ses_2", 2);
    expect(await loadTrace("ses_1", stage.dir)).toMatchObject({ id: "ses_1", spans: { length: 4 } });
    expect(await loadTrace("ses_2", stage.dir)).toMatchObject({ sessionId: "ses_2", spans: { length: 4 } });
  });

  test("D2 finds each session whose names collide, by raw id and as listings name it", async () => {
    const ids = ["a/b", "a_b", "a.b", "x".repeat(300)];
    for (const id of ids) await settled(id, 1);
    for (const id of ids) expect((await loadTrace(id, stage.dir))?.id).toBe(id);
    const listed = await listTraces(stage.dir);
    expect(listed.map(({ trace }) => trace.id).sort()).toEqual([...ids].sort());
    for (const { sessionId, trace } of listed) {
      // The name of one id can be another id. Then the id counts.
      const expected = ids.includes(sessionId) ? sessionId : trace.id;
      expect((await loadTrace(sessionId, stage.dir))?.id).toBe(expected);
    }
  });

  test("uses the file name where the document has no id", async () => {
    await settled("ses_1", 1);
    renameSync(`${stage.dir}/ses_1.json`, `${stage.dir}/copy.json`);
    expect(await loadTrace("copy", stage.dir)).toMatchObject({ id: "ses_1" });
    expect(await loadTrace("ses_1", stage.dir)).toBeNull();
  });

  test("returns nothing where the session, the directory or a readable file is missing", async () => {
    writeFileSync(`${stage.dir}/broken.json`, "{");
    mkdirSync(`${stage.dir}/folder.json`);
    for (const id of ["missing", "broken", "folder", ""]) expect(await loadTrace(id, stage.dir)).toBeNull();
    expect(await loadTrace("ses_1", `${stage.dir}/missing`)).toBeNull();
    expect(existsSync(`${stage.dir}/missing`)).toBe(false);
  });

  test("P9 does not leave the directory", async () => {
    await settled("secret", 1);
    mkdirSync(`${stage.dir}/traces`);
    const ids = [
      "../secret",
      "..\\secret",
      `${stage.dir}/secret`,
      "traces/../secret",
      "./secret",
      "../secret.json",
    ];
    for (const id of ids) expect(await loadTrace(id, `${stage.dir}/traces`)).toBeNull();
    for (const id of ["./secret", "traces/../secret"]) expect(await loadTrace(id, stage.dir)).toBeNull();
  });

  test.each([undefined, null, 7, {}, []])("P6 returns nothing for %s", async (id) => {
    expect(await loadTrace(id as never, stage.dir)).toBeNull();
  });
});
