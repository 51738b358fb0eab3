/** A session of 20,000 tool calls under a cap of 5,000, through the real SDK, with every way to end it. */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { type Span, SpanKind } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { FaultyFileSystem } from "../support/faulty-file-system.js";
import { IdleClock } from "../support/idle-clock.js";
import { MortalLiveness } from "../support/mortal-liveness.js";

const maxSpans = 5_000;
/** Spans recorded between two flushes. The append log may exceed twice the cap by this many. */
const step = 1_000;
const start = 1_750_000_000_000;

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "long-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

const document = (): TraceFile => JSON.parse(fs.readFileSync(join(dir, "ses_long.json"), "utf8"));

/** Tool calls in a known order: 13 tools of different durations, and loops far from each other. */
const toolOf = (n: number): string => `tool ${n % 13}`;
const millisOf = (n: number): number => (n % 13) + 1;
/**
 * At the start, among spans that the cap leaves out, across two flushes, and across resumes. The remaining calls
 * differ.
 */
const loopAt = [10, 7_000, 9_998, 19_499, 19_999];
const loopsBy = (calls: number) => loopAt.filter((at) => at + 2 < calls).length;

function inputOf(n: number): string {
  const loop = loopAt.find((at) => n >= at && n < at + 3);
  return JSON.stringify({
    command: loop === undefined ? `step ${n}` : `again ${loop}`,
    text: "x".repeat(60),
  });
}
const nameOf = (n: number): string => toolOf(loopAt.find((at) => n >= at && n < at + 3) ?? n);

class Host {
  readonly liveness = new MortalLiveness();
  readonly fileSystem = new FaultyFileSystem();
  readonly exporter: CrashSafeFileSpanExporter;
  readonly processor: CrashSafeSpanProcessor;
  /** The size of all files of the directory together, at any rename. */
  mostBytes = 0;
  readonly #provider: BasicTracerProvider;
  #agent: Span | undefined;

  readonly #life: number;

  /** `life` is the number of the process that writes the session. Each process has a span that stays open. */
  constructor(life: number) {
    this.#life = life;
    const { fileSystem, liveness } = this;
    const rename = fileSystem.sync.rename;
    Object.assign(fileSystem.sync, {
      rename: (from: string, to: string) => {
        // Before the rename, a copy has its largest size.
        this.mostBytes = Math.max(this.mostBytes, bytesIn(dir));
        rename(from, to);
      },
    });
    this.exporter = new CrashSafeFileSpanExporter(
      { dir, maxSpans },
      { fileSystem, clock: new IdleClock(), liveness },
    );
    this.processor = new CrashSafeSpanProcessor(this.exporter);
    this.#provider = new BasicTracerProvider({ spanProcessors: [this.processor] });
  }

  /** Records tool calls `[from, to)` while one span stays open all the time. */
  async record(from: number, to: number): Promise<void> {
    const tracer = this.#provider.getTracer("long");
    const attributes = { "session.id": "ses_long" };
    this.#agent ??= tracer.startSpan("agent", { attributes, startTime: start });
    for (let n = from; n < to; n++) {
      const tool = tracer.startSpan(`execute_tool ${nameOf(n)}`, {
        kind: SpanKind.INTERNAL,
        startTime: start + n,
        attributes: {
          ...attributes,
          "gen_ai.operation.name": "execute_tool",
          "gen_ai.tool.name": nameOf(n),
          "gen_ai.tool.call.arguments": inputOf(n),
        },
      });
      tool.end(start + n + millisOf(n));
      if ((n + 1) % step !== 0) continue;
      const lines = fs.readFileSync(this.#side(".open"), "latin1").split("\n").length;
      expect(lines).toBeLessThanOrEqual(2 * maxSpans + step + 3);
      await this.processor.forceFlush();
      expect(document().spans.length).toBeLessThanOrEqual(maxSpans);
      expectExact(document(), n + 1, this.#life);
    }
  }

  shutdown(): Promise<void> {
    return this.processor.shutdown();
  }

  die(): void {
    this.liveness.killAll();
    this.fileSystem.closeAll();
  }

  #side(suffix: string): string {
    return join(dir, fs.readdirSync(dir).find((name) => name.endsWith(suffix)) as string);
  }
}

const bytesIn = (path: string): number =>
  fs
    .readdirSync(path)
    .map((name) => fs.lstatSync(join(path, name)))
    .reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0);

/**
 * Counters, tools and loops of `calls` tool calls, and the elision marker, unless it may be from an earlier moment.
 */
function expectExact({ spans, summary }: TraceFile, calls: number, agents: number, isMarkerNew = true): void {
  const tools = new Map<string, { name: string; count: number; totalDuration: number }>();
  for (let n = 0; n < calls; n++) {
    const use = tools.get(nameOf(n)) ?? { name: nameOf(n), count: 0, totalDuration: 0 };
    tools.set(use.name, { ...use, count: use.count + 1, totalDuration: use.totalDuration + millisOf(n) });
  }
  const top = [...tools.values()].sort((a, b) => b.count - a.count).slice(0, 10);
  expect(summary).toMatchObject({ totalToolCalls: calls, totalGenerations: 0, topTools: top });
  expect(summary.loops?.map(({ tool, count }) => [tool, count]) ?? []).toEqual(
    loopAt.slice(0, loopsBy(calls)).map((at) => [nameOf(at), 3]),
  );
  const markers = spans.filter(({ attributes }) => attributes?.elided !== undefined);
  const totalSpans = calls + agents + 1;
  if (spans.length === totalSpans) {
    expect(markers).toEqual([]);
    return;
  }
  const root = spans.find(({ kind }) => kind === "session");
  const elided = totalSpans - (spans.length - 1);
  expect(markers).toMatchObject([
    {
      kind: "span",
      name: `${elided} spans elided`,
      parentSpanId: root?.spanId,
      attributes: { elided, ...(isMarkerNew && { totalSpans }) },
    },
  ]);
}

describe("20,000 tool calls under a cap of 5,000", () => {
  it("P8 D7 end at the cap exactly, with all that was counted, also after a resume", async () => {
    const first = new Host(1);
    await first.record(0, 20_000);
    await first.shutdown();
    const ended = document();
    expect(ended.spans).toHaveLength(maxSpans);
    expectExact(ended, 20_000, 1);
    expect(ended.summary).toMatchObject({
      status: "completed",
      narrative: expect.stringMatching(/ using 13 tools \(tool \d+, .*\)\. Warning: 4 loop\(s\) detected\./),
    });
    expect(ended.spans.find(({ kind }) => kind === "session")?.output).toBe(
      "0 generations, 20000 tool calls, 0 tokens, $0.0000",
    );
    expect(fs.readdirSync(dir)).toEqual(["ses_long.json"]);
    // The append log, its rewritten or published copy, and the published document.
    const perSpan = fs.statSync(join(dir, "ses_long.json")).size / maxSpans;
    expect(first.mostBytes).toBeLessThan(perSpan * (2 * (2 * maxSpans + step) + 2 * maxSpans) + 8_000_000);

    const second = new Host(2);
    await second.record(20_000, 23_000);
    await second.shutdown();
    expect(document().spans).toHaveLength(maxSpans);
    expectExact(document(), 23_000, 2);
    expect(document().summary.loops).toHaveLength(5);
    expect(fs.readdirSync(dir)).toEqual(["ses_long.json"]);
    expect((await readTrace(join(dir, "ses_long.json"))).trace).toEqual(document());
  });

  it("P8 D7 stay below twice the cap when they are fenced, and are exact after a resume", async () => {
    const host = new Host(1);
    await host.record(0, 19_500);
    host.processor.crash("SIGTERM");
    const fenced = document();
    expect(fenced.summary.status).toBe("crashed");
    expect(fenced.spans.length).toBeLessThanOrEqual(2 * maxSpans + step);
    expectExact(fenced, 19_500, 1, false);
    const resumed = new Host(2);
    await resumed.record(19_500, 20_000);
    await resumed.shutdown();
    expect(document().spans).toHaveLength(maxSpans);
    expectExact(document(), 20_000, 2);
  });

  it("P2 P8 D7 stay below twice the cap when they are recovered, and are exact after a resume", async () => {
    const host = new Host(1);
    await host.record(0, 19_500);
    host.die();
    const { trace } = await readTrace(join(dir, "ses_long.json"));
    expectExact(trace, 19_500, 1);
    const { liveness } = host;
    const { failures } = await recoverDirectory(
      { fileSystem: nodeFileSystem, liveness, clock: systemClock },
      dir,
    );
    expect(failures).toEqual([]);
    const recovered = document();
    expect(recovered.summary).toMatchObject({
      status: "crashed",
      narrative: expect.stringMatching(/^Failed/),
    });
    expect(recovered.spans.length).toBeLessThanOrEqual(2 * maxSpans + step);
    expectExact(recovered, 19_500, 1);
    const resumed = new Host(2);
    await resumed.record(19_500, 20_000);
    await resumed.shutdown();
    expect(document().spans).toHaveLength(maxSpans);
    expectExact(document(), 20_000, 2);
  });
});
