/** The documents that are replayed, and their ids, layouts and checkpoints. */
import { mkdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { SessionStatus, TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { runAsync } from "../../src/platform/gensync.js";
import { SystemLiveness } from "../../src/platform/liveness.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { prune } from "../../src/recovery/retention.js";
import { type ReadableDocument, SessionReplay } from "../../src/replay/replay-session.js";
import { type ReplayOptions, replayTraces } from "../../src/replay/replay-traces.js";
import { openPublished } from "../../src/storage/document-file.js";
import { FailingExporter, ReplayStage } from "../support/replay-stage.js";
import { SessionHost } from "../support/session-host.js";
import { documentOf, rootSpan, startedAt, toolSpan } from "../support/trace-documents.js";

vi.setConfig({ testTimeout: 120_000 });

let stage: ReplayStage;
beforeEach(() => {
  stage = new ReplayStage();
});
afterEach(() => stage.remove());

const withStatus = (document: TraceFile, status: SessionStatus): TraceFile => ({
  ...document,
  summary: { ...document.summary, status },
});
const crashed = (id: string, over: Partial<TraceFile> = {}) => withStatus(documentOf(id, over), "crashed");

const uuid = (n: number) => `0197f3d2-8c1e-7b53-a1c9-5d2c1f0e${n.toString(16).padStart(4, "0")}`;

describe("documents of the earlier tracer", () => {
  const generation: TraceSpan = {
    spanId: uuid(2),
    parentSpanId: uuid(1),
    name: "generation-1",
    kind: "generation",
    startTime: startedAt + 10,
    status: "ok",
    model: { modelId: "p/m", providerId: "p" },
  };
  const old = (id: string): TraceFile => ({
    ...crashed(id),
    traceId: uuid(0),
    metadata: { agent: "builder", prompt: "do it" },
    spans: [
      rootSpan({ spanId: uuid(1), name: id }),
      generation,
      toolSpan(20, { spanId: uuid(3), parentSpanId: uuid(2), input: { a: [1] }, output: "[]" }),
      toolSpan(30, { spanId: uuid(4), parentSpanId: uuid(1), status: "error", statusMessage: "no" }),
    ],
  });

  test("are sent as one turn with ids derived from theirs, equal each time, parents included", async () => {
    stage.write(old("a"), 2);
    const { spans } = await stage.replay();
    expect(
      spans.every(({ spanId, traceId }) => /^[0-9a-f]{16} [0-9a-f]{32}$/.test(`${spanId} ${traceId}`)),
    ).toBe(true);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
    const [tool, read, chat, turn] = [
      "execute_tool bash",
      "execute_tool bash",
      "chat m",
      "invoke_agent builder",
    ].map((name, i) => spans.filter((span) => span.name === name)[i === 1 ? 1 : 0]);
    expect(tool?.parentSpanId).toBe(chat?.spanId);
    expect([chat?.parentSpanId, read?.parentSpanId]).toEqual([turn?.spanId, turn?.spanId]);
    expect(chat).toMatchObject({ kind: SpanKind.CLIENT, status: { code: SpanStatusCode.ERROR } });
    expect(tool?.attributes).toMatchObject({
      "gen_ai.tool.call.arguments": '{"a":[1]}',
      "gen_ai.tool.call.result": "[]",
    });
    expect(read?.status).toEqual({ code: SpanStatusCode.ERROR, message: "no" });
    expect(turn?.attributes["gen_ai.input.messages"]).toContain("do it");
    rmSync(join(stage.dir, "a.json.replayed"));
    expect((await stage.replay()).spans).toEqual(spans);
  });

  test("of two sessions with the same ids are two traces", async () => {
    const counted = (id: string) => ({ ...crashed(id), traceId: "1" });
    stage.write(counted("a"));
    stage.write(counted("b"));
    const { spans } = await stage.replay();
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(2);
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(8);
  });

  test("end open spans with the document, as interrupted", async () => {
    stage.write(old("a"));
    const { spans } = await stage.replay();
    const chat = spans.find(({ name }) => name === "chat m");
    expect(chat).toMatchObject({
      end: BigInt(startedAt + 1_000) * 1_000_000n,
      attributes: { "crash_safe_file.interrupted": true },
    });
  });
});

describe("sessions without a session tracer", () => {
  test("P10 keep their roots as roots, without a turn", async () => {
    const host = new SessionHost({ dir: stage.dir });
    host.record("ses_1", "one", "two");
    host.start("ses_1", "open");
    host.processor.crash("killed");
    const { spans } = await stage.replay();
    expect(spans.map(({ name, parentSpanId, scope }) => [name, parentSpanId, scope])).toEqual([
      ["one", undefined, "host"],
      ["two", undefined, "host"],
      ["open", undefined, "host"],
    ]);
    expect(spans[0]?.attributes).toEqual({
      "session.id": "ses_1",
      "gen_ai.conversation.id": "ses_1",
      "recorded.by": "ses_1",
    });
    expect(spans[2]).toMatchObject({ status: { code: SpanStatusCode.ERROR, message: "killed" } });
  });

  test("P10 send fields of a projection under the conventions' keys", async () => {
    const host = new SessionHost({ dir: stage.dir });
    const attributes = {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "gpt",
      "gen_ai.request.temperature": 0.5,
      "gen_ai.usage.input_tokens": 7,
      "gen_ai.usage.output_tokens": 5,
      "gen_ai.usage.cache_read.input_tokens": 3,
      "gen_ai.usage.cache_creation.input_tokens": 1,
      "gen_ai.usage.reasoning.output_tokens": 2,
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
      "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"text","content":"ho"}]}]',
    };
    host.start("ses_1", "chat gpt").setAttributes(attributes).end();
    const tool = {
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": "look",
      "gen_ai.tool.call.id": "1",
      "gen_ai.tool.call.arguments": '{"a":1}',
      "gen_ai.tool.call.result": "text",
    };
    host.start("ses_1", "execute_tool look").setAttributes(tool).end();
    host.processor.crash();
    const { spans } = await stage.replay();
    const session = { "session.id": "ses_1", "gen_ai.conversation.id": "ses_1", "recorded.by": "ses_1" };
    expect(spans.map((span) => [span.name, span.attributes])).toEqual([
      ["chat gpt", { ...attributes, ...session }],
      ["execute_tool look", { ...tool, ...session }],
    ]);
  });
});

describe("the choice of sessions", () => {
  const statuses = ["completed", "error", "crashed", "running"] as const;
  beforeEach(() => {
    for (const status of statuses) stage.write(withStatus(documentOf(status), status));
    writeFileSync(join(stage.dir, "broken.json"), "{");
    mkdirSync(join(stage.dir, "directory.json"));
  });

  test.each<[string, ReplayOptions["sessions"], string[]]>([
    ["crashed ones by default", undefined, ["crashed"]],
    ["all that ended", "ended", ["completed", "crashed", "error"]],
    ["those that a function wants, of what is over", ({ id }) => id !== "error", ["completed", "crashed"]],
  ])("%s", async (_, sessions, expected) => {
    const { report } = await stage.replay({ sessions });
    expect(report.sessions.map(({ id }) => id).sort()).toEqual(expected);
    expect(report.failures).toEqual([]);
  });

  test("a function that throws fails its session only", async () => {
    const sessions = ({ id }: { id: string | undefined }) => {
      if (id === "error") throw new Error("no");
      return true;
    };
    const { report } = await stage.replay({ sessions });
    expect(report.failures).toMatchObject([{ path: join(stage.dir, "error.json"), spans: 0 }]);
    expect(report.sessions).toHaveLength(2);
  });

  test("P13 is made with a few listings of the directory, however many documents it has", async () => {
    for (let n = 0; n < 30; n++) stage.write(documentOf(`ses_${n}`));
    stage.write(crashed("dead"));
    const listings = vi.spyOn(nodeFileSystem.async, "readdir");
    try {
      const report = await replayTraces(stage.dir, new InMemorySpanExporter());
      expect(report.sessions.map(({ id }) => id)).toContain("dead");
      expect(listings.mock.calls.length).toBeLessThanOrEqual(4);
    } finally {
      listings.mockRestore();
    }
  });

  test("a missing directory has no sessions, and is not created", async () => {
    const missing = join(stage.dir, "missing");
    expect(await replayTraces(missing, new InMemorySpanExporter())).toEqual({
      sessions: [],
      failures: [],
      settled: 0,
      running: 0,
    });
    expect(stage.files).not.toContain("missing");
  });

  test.each([
    [{ sessions: "all" as never }, /replayTraces: sessions is "all"/],
    [{ exportTimeoutMillis: 0 }, /replayTraces: exportTimeoutMillis is 0/],
    [{ exportTimeoutMillis: 2 ** 31 }, /exportTimeoutMillis is 2147483648, and must be .* to 2147483647/],
  ])("options %j are refused", async (options, message) => {
    await expect(stage.replay(options)).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringMatching(message),
    });
  });
});

describe("the checkpoint of a document", () => {
  test("is removed with its document by retention, and without a document by recovery", async () => {
    for (const id of ["a", "b", "c"]) stage.write(crashed(id));
    await stage.replay();
    utimesSync(join(stage.dir, "a.json"), 1, 1);
    const liveness = new SystemLiveness(nodeFileSystem.sync);
    const ports = { fileSystem: nodeFileSystem, liveness, clock: systemClock };
    await runAsync(
      nodeFileSystem,
      prune(ports, stage.dir, { maxFiles: 2, maxFileAgeMillis: 0, maxTotalBytes: 0 }),
    );
    expect(stage.files).toEqual(["b.json", "b.json.replayed", "c.json", "c.json.replayed"]);
    rmSync(join(stage.dir, "b.json"));
    await recoverTraces(stage.dir);
    expect(stage.files).toEqual(["c.json", "c.json.replayed"]);
  });

  test.each([
    ["nothing", ""],
    ["half of it", '{"spans":3,"dig'],
    ["nonsense", '{"spans":-1,"digest":"x"}'],
    ["another beginning", '{"spans":3,"digest":"x"}'],
    ["NUL bytes", "\0".repeat(9_000)],
  ])("with %s counts as absent", async (_, text) => {
    stage.write(crashed("a"));
    writeFileSync(join(stage.dir, "a.json.replayed"), text);
    expect((await stage.replay()).spans).toHaveLength(4);
    expect((await stage.replay()).spans).toHaveLength(0);
  });

  test.skipIf(process.platform === "win32")("P9 is not read through a symlink", async () => {
    const victim = join(stage.dir, "victim");
    writeFileSync(victim, "precious");
    stage.write(crashed("a"));
    symlinkSync(victim, join(stage.dir, "a.json.replayed"));
    expect((await stage.replay()).report).toMatchObject({ sessions: [{ spans: 4 }], failures: [] });
    expect(readFileSync(victim, "utf8")).toBe("precious");
    expect((await stage.replay()).report).toMatchObject({ settled: 1 });
  });

  test.each(["EROFS", "ENOSPC"])("that cannot be written (%s) prevents sending", async (code) => {
    stage.write(crashed("a"));
    const refuse = () => Promise.reject(Object.assign(new Error(code), { code }));
    const fileSystem = { ...nodeFileSystem, async: { ...nodeFileSystem.async, write: refuse } };
    const files = { dir: stage.dir, name: "a" };
    const published = await runAsync(fileSystem, openPublished(fileSystem, files));
    const exporter = new FailingExporter(() => undefined);
    const resource = { attributes: {} };
    const ports = { fileSystem, exporter, resource, exportTimeoutMillis: 1_000, token: "mine" };
    const replay = new SessionReplay(ports, files, published as ReadableDocument);
    await expect(replay.run()).rejects.toMatchObject({ code });
    published?.descriptor.release();
    expect(exporter.batches).toEqual([]);
    expect(stage.files).toEqual(["a.json"]);
  });

  test("that is no file fails its session, and is left alone", async () => {
    stage.write(crashed("a"));
    mkdirSync(join(stage.dir, "a.json.replayed"));
    const { report, spans } = await stage.replay();
    expect(spans).toEqual([]);
    expect(report.failures).toMatchObject([{ spans: 0 }]);
    expect(stage.files).toEqual(["a.json", "a.json.replayed"]);
  });
});

test("an elision marker is not sent, because it is no span of a backend", async () => {
  const host = new SessionHost({ dir: stage.dir, maxSpans: 10 });
  for (let n = 0; n < 40; n++) host.record("ses_1", `span ${n}`);
  await host.processor.forceFlush();
  host.processor.crash();
  expect(stage.document("ses_1").spans.some(({ name }) => name.includes("elided"))).toBe(true);
  const { spans } = await stage.replay();
  expect(spans.every(({ name }) => name.startsWith("span "))).toBe(true);
  expect(spans).toHaveLength(8);
});
