/**
 * P14 The status table: the summary for each state of a session, whatever became of its process. Real processes, through the
 * session tracer, spans of the Vercel AI SDK and plain spans. One process has a session in each state.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterAll, describe, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { SessionSummary, TraceFile } from "../../src/format/trace-file.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";

const program = fileURLToPath(new URL("../programs/status-row.mjs", import.meta.url));
const ways = ["tracer", "plain", "ai"] as const;
type Way = (typeof ways)[number];
const states = ["open", "tools", "idle", "ended", "error"] as const;
type State = (typeof states)[number];

type Member = "status" | "idle" | "error" | "turns" | "errors" | "interrupted" | "detector" | "reconstructed";
type Words = { readonly [Name in Member]?: SessionSummary[Name] | undefined };
type Documents = Readonly<Record<State, TraceFile>>;

const wordsOf = ({ summary }: TraceFile): Words => {
  const { status, idle, error, turns, errors, interrupted, detector, reconstructed } = summary;
  return { status, idle, error, turns, errors, interrupted, detector, reconstructed };
};

const root = mkdtempSync(join(tmpdir(), "status-table-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const newDirectory = (): string => mkdtempSync(join(root, "traces-"));

/** The documents, one for each state. */
function read(dir: string): Documents {
  const documents = states.map((state) => [
    state,
    JSON.parse(readFileSync(join(dir, `${state}.json`), "utf8")),
  ]);
  return Object.fromEntries(documents);
}

const settled = states.map((state) => `${state}.json`).sort();

/** Starts the program. Resolves when its sessions have their states. */
async function begin(dir: string, way: Way, fate: string): Promise<ChildProcess> {
  // The exception that ends the program is printed.
  const child = spawn(process.execPath, [program, dir, way, fate], { stdio: ["ignore", "pipe", "ignore"] });
  await printed(child, "ready");
  return child;
}

/** What the programs have printed after the words that were awaited. A busy reader gets several words in one chunk. */
const unread = new WeakMap<ChildProcess, string>();

async function printed(child: ChildProcess, word: string): Promise<void> {
  if (!child.stdout) throw new Error("no output");
  let text = unread.get(child) ?? "";
  const isPrinted = () => {
    const at = text.indexOf(word);
    if (at >= 0) unread.set(child, text.slice(at + word.length));
    return at >= 0;
  };
  if (isPrinted()) return;
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (isPrinted()) return;
  }
  throw new Error(`the program ended before it printed ${word}`);
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "close");
}

/** What the summary says in every row of a state. */
const words = (way: Way, state: State, more: Words): Words => ({
  status: "completed",
  idle: undefined,
  // The AI SDK counts a turn by the span of the agent, which has not ended.
  turns: way === "plain" || (way === "ai" && state === "open") ? 0 : 1,
  errors: 0,
  interrupted: 0,
  detector: undefined,
  reconstructed: undefined,
  ...(state === "error" ? { status: "error", error: "boom" } : { error: undefined }),
  ...more,
});

/** The AI SDK has a span for the agent, and one for the model. */
const openSpans = (way: Way): number => (way === "ai" ? 2 : 1);
/** Spans that were open are in the document, as interrupted: the turn counts. */
const cut = (way: Way): Words => ({ interrupted: openSpans(way), ...(way === "ai" && { turns: 1 }) });

/** What ends the process, or does not; the documents then, and what differs from {@link words}. */
interface Fate {
  readonly name: string;
  documents(way: Way): Promise<Documents>;
  differs(way: Way, state: State): Words;
}

/** The process ends by itself, or lives on and reports that it has met its fate. */
const ofProcess = (name: string, isSurvived: boolean) => async (way: Way) => {
  const dir = newDirectory();
  const child = await begin(dir, way, name);
  if (isSurvived) {
    await printed(child, "met");
    await kill(child);
  } else await once(child, "close");
  expect(readdirSync(dir).sort()).toEqual(settled);
  return read(dir);
};

const crashOf = (crash: Words) => (way: Way, state: State) => {
  if (state === "open") return { ...crash, ...cut(way) };
  return state === "tools" ? crash : {};
};

/** The process finishes what was open, lets the tools answer, and shuts down. */
const finished = (way: Way, state: State): Words => {
  if (way !== "ai") return {};
  // The answer of the tools is a second call of the agent.
  return state === "open" ? { turns: 1 } : state === "tools" ? { turns: 2 } : {};
};

const idle = { status: "completed", idle: true } as const;

const fates: readonly Fate[] = [
  {
    name: "alive",
    async documents(way) {
      const dir = newDirectory();
      const child = await begin(dir, way, "lives");
      const documents = read(dir);
      await kill(child);
      return documents;
    },
    differs: (_way, state) =>
      state === "open" || state === "tools" ? { status: "running" } : state === "idle" ? idle : {},
  },
  {
    name: "SIGKILL, and a recovery",
    async documents(way) {
      const dir = newDirectory();
      await kill(await begin(dir, way, "lives"));
      await recoverTraces(dir);
      expect(readdirSync(dir).sort()).toEqual(settled);
      return read(dir);
    },
    differs: crashOf({
      status: "crashed",
      error: "The process ended without closing the session",
      detector: "process gone",
      reconstructed: true,
    }),
  },
  {
    name: "a shutdown",
    documents: ofProcess("a shutdown", true),
    differs: (way, state) => (state === "open" ? cut(way) : {}),
  },
  {
    name: "a signal alone",
    documents: ofProcess("a signal alone", false),
    differs: crashOf({ status: "crashed", error: "Received SIGTERM", detector: "SIGTERM" }),
  },
  {
    name: "a signal with a listener",
    documents: ofProcess("a signal with a listener", false),
    differs: finished,
  },
  {
    name: "an exception",
    documents: ofProcess("an exception", false),
    differs: crashOf({ status: "crashed", error: "Uncaught exception: boom", detector: "TypeError" }),
  },
  {
    name: "an exception survived",
    documents: ofProcess("an exception survived", true),
    differs: finished,
  },
];

/** Also records to the sessions of the program, from this process. */
class Survivor {
  readonly #processor: CrashSafeSpanProcessor;
  readonly #tracer;

  constructor(dir: string) {
    this.#processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
    this.#tracer = new BasicTracerProvider({ spanProcessors: [this.#processor] }).getTracer("agent");
  }

  async record(): Promise<void> {
    for (const state of states) this.#tracer.startSpan("work", { attributes: { "session.id": state } }).end();
    await this.#processor.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#processor.shutdown();
  }
}

describe.concurrent("P14 the summary of a session", () => {
  for (const way of ways) {
    for (const { name, documents, differs } of fates) {
      let run: Promise<Documents> | undefined;
      test.each(states)(`through ${way}, %s: ${name}`, { timeout: 120_000 }, async (state) => {
        run ??= documents(way);
        const found = (await run)[state];
        expect(wordsOf(found)).toEqual(words(way, state, differs(way, state)));
        if (name !== "a shutdown") return;
        // 100 ms of idle time are no part of the session, where no call ended it and nothing was open.
        if (state === "tools" || state === "idle") expect(found.endedAt).toBe(found.summary.lastActivityAt);
        if (state !== "open") return;
        const interrupted = found.spans.filter(({ kind }) => kind !== "session" && kind !== "user-message");
        expect(interrupted).toHaveLength(openSpans(way));
        for (const span of interrupted)
          expect(span).toMatchObject({
            status: "error",
            interrupted: true,
            statusMessage: expect.stringMatching(/^Interrupted: /),
          });
      });
    }
  }

  test.each(ways)(
    "through %s: a twin that is killed leaves its sessions to the other writer",
    { timeout: 120_000 },
    async (way) => {
      const dir = newDirectory();
      const survivor = new Survivor(dir);
      await survivor.record();
      const twin = await begin(dir, way, "lives");
      await kill(twin);
      await recoverTraces(dir);
      await survivor.record();
      const lost = (state: State): Words => ({
        ...(state === "open" && cut(way)),
        ...((state === "open" || state === "tools") && { detector: "process gone" }),
      });
      const alive = read(dir);
      for (const state of states)
        expect(wordsOf(alive[state]), state).toEqual(words(way, state, { ...lost(state), ...idle }));
      await survivor.shutdown();
      const ended = read(dir);
      for (const state of states)
        expect(wordsOf(ended[state]), state).toEqual(words(way, state, lost(state)));
    },
  );

  test.each(ways)(
    "through %s: a twin that lives has the sessions when the other writer has shut down",
    { timeout: 120_000 },
    async (way) => {
      const dir = newDirectory();
      const survivor = new Survivor(dir);
      await survivor.record();
      const twin = await begin(dir, way, "lives");
      await survivor.record();
      await survivor.shutdown();
      const alive = read(dir);
      for (const state of states) {
        const now = state === "open" || state === "tools" ? { status: "running" as const } : idle;
        const isOver = state === "ended" || state === "error";
        expect(wordsOf(alive[state]), state).toEqual(words(way, state, isOver ? {} : now));
      }
      await kill(twin);
    },
  );

  test.for(["plain", "ai"] as const)(
    "through %s: a silence that ends the session is no part of it",
    { timeout: 120_000 },
    // Beside other tests, `expect.poll` knows its test by the context only.
    async (way, { expect }) => {
      const dir = newDirectory();
      const child = await begin(dir, way, "a silence");
      const isThere = (file: string) => file.startsWith("idle.json");
      await expect.poll(() => readdirSync(dir).filter(isThere), { timeout: 60_000 }).toEqual(["idle.json"]);
      const { idle: found } = read(dir);
      expect(wordsOf(found)).toEqual(words(way, "idle", {}));
      expect(found.endedAt).toBe(found.summary.lastActivityAt);
      await kill(child);
    },
  );
});
