/**
 * A process dies before each of its calls of the file system, while spans move to the session that is named late: every
 * acknowledged span is in one document, once, and nothing is left over.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { ROOT_CONTEXT, type Span, type Tracer, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { setSessionId } from "../../src/otel/session-context.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { newRecoveryToken } from "../../src/platform/liveness.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { oneAttempt, recoverDirectory, untilRecovered } from "../../src/recovery/recover-directory.js";
import { FaultyFileSystem } from "../support/faulty-file-system.js";
import { MortalLiveness } from "../support/mortal-liveness.js";
import { StillClock } from "../support/still-clock.js";

let root: string;
beforeAll(() => {
  root = fs.mkdtempSync(join(os.tmpdir(), "killed-moves-"));
});
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

/** One life of a program, which dies before a call of the file system. */
class Life {
  readonly clock = new StillClock();
  readonly liveness = new MortalLiveness();
  readonly fileSystem: FaultyFileSystem;
  readonly exporter: CrashSafeFileSpanExporter;
  readonly processor: CrashSafeSpanProcessor;
  /** Names of spans whose start, or end, was acknowledged. */
  readonly started = new Set<string>();
  readonly ended = new Set<string>();
  readonly #tracer: Tracer;

  constructor(dir: string, nth: number) {
    this.fileSystem = new FaultyFileSystem({ nth, times: "forever", code: "EIO" });
    const { clock, liveness, fileSystem } = this;
    this.exporter = new CrashSafeFileSpanExporter({ dir }, { clock, liveness, fileSystem });
    this.processor = new CrashSafeSpanProcessor(this.exporter);
    this.#tracer = new BasicTracerProvider({ spanProcessors: [this.processor] }).getTracer("test");
  }

  get isAlive(): boolean {
    return this.fileSystem.fired === 0;
  }

  start(name: string, parent?: Span, context = ROOT_CONTEXT): Span {
    const model = { "gen_ai.operation.name": "chat", "gen_ai.request.model": "m" };
    const attributes = name === "chat" ? model : {};
    const span = this.#tracer.startSpan(
      name,
      { attributes },
      parent ? trace.setSpan(context, parent) : context,
    );
    if (this.isAlive) this.started.add(name);
    return span;
  }

  end(span: Span, session?: string): void {
    if (session !== undefined) span.setAttribute("session.id", session);
    span.end();
    const { name } = span as unknown as { name: string };
    if (this.isAlive) this.ended.add(name);
  }

  flush(): Promise<void> {
    return this.processor.forceFlush().catch(() => {});
  }
}

interface Scenario {
  readonly name: string;
  run(life: Life): Promise<void>;
  /** The sessions in which a span may be; by default any. */
  readonly homes: Readonly<Record<string, readonly string[]>>;
  /** Once this span is acknowledged, these documents are all there is. */
  readonly decidedBy: string;
  readonly documents: readonly string[];
}

const scenarios: readonly Scenario[] = [
  {
    name: "a name in the handler, with a flush before and after",
    async run(life) {
      const http = life.start("http");
      life.end(life.start("early", http));
      await life.flush();
      const chat = life.start("chat", http, setSessionId(ROOT_CONTEXT, "S"));
      await life.flush();
      life.end(chat);
      life.end(life.start("late", http));
      life.end(http);
      await life.flush();
    },
    homes: { chat: ["S"] },
    decidedBy: "chat",
    documents: ["S"],
  },
  {
    name: "two sessions that name themselves at their ends",
    async run(life) {
      const top = life.start("top");
      const a = life.start("a", top);
      life.end(life.start("below a", a));
      const b = life.start("b", top);
      life.end(life.start("below b", b));
      life.end(a, "A");
      await life.flush();
      life.end(b, "B");
      life.end(top);
      await life.flush();
    },
    homes: { "below a": ["A", "trace"], "below b": ["B", "A", "trace"] },
    decidedBy: "b",
    documents: ["A", "B"],
  },
  {
    name: "a document of a trace that moves whole",
    async run(life) {
      const top = life.start("top");
      life.end(life.start("early", top));
      life.clock.pass(6_000);
      await life.flush();
      const open = life.start("open", top);
      life.end(open);
      await life.flush();
      const chat = life.start("chat", top, setSessionId(ROOT_CONTEXT, "S"));
      life.end(chat);
      await life.flush();
      life.end(top);
      await life.flush();
    },
    homes: { chat: ["S"] },
    decidedBy: "chat",
    documents: ["S"],
  },
  {
    name: "a document of a trace that has ended, and moves whole",
    async run(life) {
      const top = life.start("top");
      life.end(life.start("early", top));
      life.end(top);
      await life.flush();
      life.end(life.start("late", top));
      await life.flush();
      life.end(life.start("chat", top, setSessionId(ROOT_CONTEXT, "S")));
      await life.flush();
    },
    homes: { chat: ["S"] },
    decidedBy: "chat",
    documents: ["S"],
  },
  {
    name: "an open span that names another session at its end",
    async run(life) {
      const context = setSessionId(ROOT_CONTEXT, "A");
      const chat = life.start("chat", undefined, context);
      const other = life.start("other", undefined, context);
      await life.flush();
      chat.setAttribute("gen_ai.conversation.id", "B");
      life.end(chat);
      await life.flush();
      life.end(other);
      await life.flush();
    },
    homes: { chat: ["A", "B"], other: ["A"] },
    decidedBy: "other",
    documents: ["A", "B"],
  },
  {
    name: "traces that end without a name",
    async run(life) {
      for (const name of ["one", "two"]) {
        const top = life.start(name);
        life.end(life.start(`${name} below`, top));
        life.end(top);
      }
      await life.flush();
    },
    homes: {},
    decidedBy: "nothing",
    documents: [],
  },
];

let directories = 0;

/** Runs a scenario that dies before the Nth call, and recovers. Returns the number of calls that were made. */
async function dieAt({ run, homes, decidedBy, documents }: Scenario, nth: number): Promise<number> {
  const dir = join(root, `${++directories}`);
  const life = new Life(dir, nth);
  await run(life);
  const { calls } = life.fileSystem;
  await life.fileSystem.die();
  life.liveness.killAll();
  const ports = { fileSystem: nodeFileSystem, clock: systemClock, liveness: life.liveness };
  // The first recovery dies, too: each at another call.
  const dying = new FaultyFileSystem({ nth: 1 + (nth % 61), times: "forever", code: "EIO" });
  await recoverDirectory({ ...ports, fileSystem: dying }, dir, oneAttempt).catch(() => {});
  await dying.die();
  life.liveness.killAll();
  const { failures } = await recoverDirectory(ports, dir, untilRecovered);
  expect(failures).toEqual([]);
  const files = fs.existsSync(dir) ? fs.readdirSync(dir).sort() : [];
  expect(files.filter((name) => !name.endsWith(".json"))).toEqual([]);
  const found = new Map<string, { session: string; interrupted: boolean }[]>();
  for (const file of files) {
    const document: TraceFile = JSON.parse(fs.readFileSync(join(dir, file), "utf8"));
    const ids = new Set(document.spans.map(({ spanId }) => spanId));
    for (const { kind, name, parentSpanId, interrupted } of document.spans) {
      if (kind === "session") continue;
      expect(ids).toContain(parentSpanId);
      const session = /^[0-9a-f]{32}\.json$/.test(file) ? "trace" : file.slice(0, -5);
      found.set(name, [...(found.get(name) ?? []), { session, interrupted: interrupted === true }]);
    }
  }
  for (const [name, places] of found) {
    expect({ name, places }).toEqual({ name, places: [places[0]] });
    expect(homes[name] ?? [places[0]?.session]).toContain(places[0]?.session);
  }
  for (const name of life.started) expect([...found.keys()]).toContain(name);
  for (const name of life.ended)
    expect({ name, ...found.get(name)?.[0] }).toMatchObject({ name, interrupted: false });
  if (life.ended.has(decidedBy)) expect(files).toEqual(documents.map((id) => `${id}.json`));
  // Again: a recovery that finds nothing changes nothing.
  await recoverDirectory(ports, dir, untilRecovered);
  expect(fs.existsSync(dir) ? fs.readdirSync(dir).sort() : []).toEqual(files);
  fs.rmSync(dir, { recursive: true, force: true });
  return calls;
}

describe("P2 P11 a process that dies while spans move to their session", () => {
  // A busy machine took more than a minute for the 150 lives of one scenario.
  it.each(scenarios)(
    "P2 P11 $name: dead before each call of the file system",
    async (scenario) => {
      const calls = await dieAt(scenario, Number.POSITIVE_INFINITY);
      expect(calls).toBeGreaterThan(20);
      for (let nth = 1; nth <= calls; nth++) {
        try {
          await dieAt(scenario, nth);
        } catch (error) {
          throw new Error(`dead before call ${nth} of ${calls}`, { cause: error });
        }
      }
    },
    300_000,
  );
});

describe("P2 P11 a recovery that dies between the two files of a session that moves", () => {
  const scenario = scenarios.find(
    ({ name }) => name === "a document of a trace that moves whole",
  ) as Scenario;

  /** Recovers what a life leaves that dies before this call, if its session moves and has its append log still. */
  async function recoverMoving(nth: number, place: string): Promise<boolean> {
    const dir = join(root, `${++directories}`);
    const life = new Life(dir, nth);
    await scenario.run(life);
    await life.fileSystem.die();
    const { liveness } = life;
    const isMoving = (name: string) =>
      /^[0-9a-f]{32}\.json\..*\.live$/.test(name) &&
      fs.readFileSync(join(dir, name), "utf8").includes('"movedTo"') &&
      fs.existsSync(join(dir, name.replace(/live$/, "open")));
    const journal = fs.readdirSync(dir).find(isMoving);
    if (journal === undefined) return false;
    const log = journal.replace(/live$/, "open");
    const taken = log.replace(/\.[^.]+\.open$/, `.${newRecoveryToken(liveness)}.open`);
    fs.renameSync(join(dir, log), join(dir, taken));
    liveness.killAll();
    const inOrder = (names: string[]) => {
      const others = names.filter((name) => name !== taken).sort();
      if (!names.includes(taken)) return others;
      return place === "first" ? [taken, ...others] : [...others, taken];
    };
    const { sync, async: later } = nodeFileSystem;
    const fileSystem = {
      sync: { ...sync, readdir: (path: string) => inOrder(sync.readdir(path)) },
      async: { ...later, readdir: async (path: string) => inOrder(await later.readdir(path)) },
    };
    const ports = { fileSystem, clock: systemClock, liveness };
    expect((await recoverDirectory(ports, dir, untilRecovered)).failures).toEqual([]);
    expect(fs.readdirSync(dir)).toEqual(["S.json"]);
    const { spans }: TraceFile = JSON.parse(fs.readFileSync(join(dir, "S.json"), "utf8"));
    for (const name of life.ended)
      expect([name, spans.find((span) => span.name === name)?.interrupted]).toEqual([name, undefined]);
    return true;
  }

  it.each(["first", "last"])("P2 P11 the file that it has taken is listed %s", async (place) => {
    let moving = 0;
    for (let nth = 100; nth < 150; nth++) if (await recoverMoving(nth, place)) moving++;
    expect(moving).toBeGreaterThan(3);
  });
});
