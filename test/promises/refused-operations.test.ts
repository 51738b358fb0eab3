/**
 * Every public operation and every command below which the file system refuses something: the operation has the result that
 * it has without the refusal, in about as many calls, and the refusal is logged once at most. In torture, the refusals come
 * in pairs as well.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { BasicTracerProvider, InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileExporter } from "../../src/altimate.js";
import { joinDirectory } from "../../src/directory/registry.js";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../src/index.js";
import { listTraces, readTrace, recoverTraces } from "../../src/reader.js";
import { replayTraces } from "../../src/replay/replay-traces.js";
import { command, commandDirectory } from "../support/command-stage.js";
import { RefusedNode } from "../support/refused-node.js";
import type { Refusals } from "../support/refusing-file-system.js";
import { documentOf } from "../support/trace-documents.js";
import { isTorture } from "../support/trials.js";

let reports: string[];
beforeEach(() => {
  reports = [];
  const take = (message: string) => void reports.push(message);
  diag.setLogger(
    { error: take, warn: take, info() {}, debug() {}, verbose() {} },
    { logLevel: DiagLogLevel.ALL, suppressOverrideMessage: true },
  );
});
afterEach(() => diag.disable());

/** Refusals with other codes, which the code treats alike: in torture only. */
const alike: Readonly<Record<string, Refusals>> = {
  "syncs ERR_ACCESS_DENIED": {
    calls: { fdatasync: "ERR_ACCESS_DENIED", syncDirectory: "ERR_ACCESS_DENIED" },
  },
  "links ENOTSUP": { calls: { link: "ENOTSUP" } },
  "inodes that are all zero": { inodes: "all zero" },
};

const grounds: Readonly<Record<string, Refusals>> = {
  "syncs EINVAL": { calls: { fdatasync: "EINVAL", syncDirectory: "EINVAL" } },
  "syncs of directories EACCES": { calls: { syncDirectory: "EACCES" } },
  "links EACCES": { calls: { link: "EACCES" } },
  "changes of owners EPERM": { calls: { adopt: "EPERM" } },
  "inodes that differ by call": { inodes: "differ by call" },
  "inodes that are new at each look": { inodes: "new at each look" },
  "names of more than 143 bytes": { maxNameBytes: 143 },
  "a document that is held for two renames": { heldRenames: 2 },
};

function* combinations(): Generator<[string, Refusals]> {
  const all = Object.entries({ ...grounds, ...(isTorture && alike) });
  yield* all;
  if (!isTorture) return;
  for (const [index, [name, one]] of all.entries())
    for (const [otherName, other] of all.slice(index + 1))
      yield [`${name}, ${otherName}`, { ...one, ...other, calls: { ...one.calls, ...other.calls } }];
}

/** A program with one exporter. */
class Program {
  readonly exporter: CrashSafeFileSpanExporter;
  readonly processor: CrashSafeSpanProcessor;
  readonly #dir: string;
  readonly #tracer;

  constructor(dir: string, options: object = {}) {
    this.#dir = dir;
    this.exporter = new CrashSafeFileSpanExporter({ dir, ...options });
    this.processor = new CrashSafeSpanProcessor(this.exporter);
    this.#tracer = new BasicTracerProvider({ spanProcessors: [this.processor] }).getTracer("refused");
  }

  startUnnamed() {
    return this.#tracer.startSpan("unnamed");
  }

  /** Shuts down. The recovery that the exporter has begun in the background has ended then, too. */
  async end() {
    await this.processor.shutdown();
    await recoverTraces(this.#dir);
    return this.exporter.stats().dropped;
  }

  /** What the exporter does in the background from time to time: recovery and retention. */
  async keepHouse() {
    // The directory is open: the options are those of the exporter.
    const user = joinDirectory(this.#dir, {} as never, { onReleased() {} } as never);
    await user.maintain();
    user.leave();
  }

  start(session: string) {
    return this.#tracer.startSpan("work", { attributes: { "session.id": session } });
  }
}

const commandOf =
  (...args: string[]) =>
  async (dir: string) => {
    const { code, out } = await command(dir, args);
    return [
      code,
      out
        .replaceAll(dir, "<dir>")
        .replace(/"exportedAt": .*/, "")
        .replaceAll(/[0-9a-f]{32,}/g, "<hash>"),
    ];
  };

/** What a browser shows of `open`: the sessions, and the rows of one. */
async function lookedAt(dir: string): Promise<unknown> {
  const abort = new AbortController();
  let ended: Promise<{ readonly code: number }> | undefined;
  const url = await new Promise<URL>((resolve) => {
    const onOutput = (text: string) => resolve(new URL(JSON.parse(text).url));
    ended = command(dir, ["open", "--no-open", "--json"], { signal: abort.signal, onOutput });
  });
  const entered = await fetch(url, { redirect: "manual" });
  const Cookie = entered.headers.get("set-cookie")?.split(";")[0] ?? "";
  const stop = new AbortController();
  /** The first message of an address. */
  const firstOf = async (path: string): Promise<string> => {
    const { body } = await fetch(`${url.origin}${path}`, { headers: { Cookie }, signal: stop.signal });
    let text = "";
    for await (const part of body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(part).toString("utf8");
      if (text.includes("\n\n")) break;
    }
    return text;
  };
  const listed = (await firstOf("/api/sessions")).match(/ses_[a-z]{6}/g);
  const rows = (await firstOf("/api/view?session=ses_killed")).match(/"spanId":"[0-9a-f]+"/g);
  stop.abort();
  abort.abort("SIGINT");
  return [[...new Set(listed)].sort(), rows?.length, (await ended)?.code];
}

/** What is done in a directory with sessions of every kind. Returns what the caller sees. */
const operations: Readonly<Record<string, (dir: string) => Promise<unknown>>> = {
  async "start of an exporter"(dir) {
    const program = new Program(dir);
    program.start("s").end();
    await program.processor.forceFlush();
    return program.end();
  },
  async "publish, end, resume, end"(dir) {
    const program = new Program(dir, { maxFiles: 100 });
    for (let round = 0; round < 2; round++) {
      program.start("s").end();
      await program.processor.forceFlush();
      program.start("s").end();
      await program.exporter.endSession("s");
    }
    return program.end();
  },
  async "resume of a released document"(dir) {
    const program = new Program(dir);
    program.start("ses_finish").end();
    return program.end();
  },
  async "crash fence"(dir) {
    const program = new Program(dir);
    program.start("s").end();
    program.start("s");
    program.processor.crash("out of memory");
    return program.end();
  },
  async "a session that is named late"(dir) {
    const program = new Program(dir);
    const span = program.start("first");
    span.setAttribute("session.id", "second");
    span.end();
    return program.end();
  },
  async "traces without a session"(dir) {
    const program = new Program(dir, { withoutSession: "process" });
    program.startUnnamed().end();
    return program.end();
  },
  async "a session id of 200 bytes"(dir) {
    const program = new Program(dir);
    program.start("n".repeat(200)).end();
    return program.end();
  },
  listTraces: async (dir) => (await listTraces(dir)).traces.map(({ sessionId }) => sessionId).sort(),
  readTrace: async (dir) => (await readTrace(join(dir, "ses_killed.json"))).trace.spans.length,
  async recoverTraces(dir) {
    const { sessions, failures } = await recoverTraces(dir);
    return [sessions.map(({ id, action }) => [id, action]), failures.length];
  },
  async "replayTraces, twice"(dir) {
    const memory = new InMemorySpanExporter();
    const first = await replayTraces(dir, memory as never);
    const second = await replayTraces(dir, memory as never);
    return [
      first.sessions.length,
      first.failures.length,
      second.sessions.length,
      memory.getFinishedSpans().length,
    ];
  },
  async "FileExporter.export, twice"(dir) {
    const exporter = new FileExporter(dir, 100);
    const paths = [await exporter.export(documentOf("s")), await exporter.export(documentOf("s"))];
    exporter.pruneSync();
    return paths.map((path) => path?.slice(dir.length));
  },
  async "FileExporter.pruneSync"(dir) {
    new FileExporter(dir, 2).pruneSync();
  },
  list: commandOf("list", "--json"),
  show: commandOf("show", "ses_killed", "--json"),
  tail: commandOf("tail", "ses_crashd", "--exit"),
  postmortem: commandOf("postmortem", "ses_killed", "--json"),
  stats: commandOf("stats", "--json"),
  share: commandOf("share", "ses_finish", "-o", "-"),
  export: commandOf("export", "--format", "jsonl"),
  verify: commandOf("verify", "--json"),
  recover: commandOf("recover", "--json"),
  prune: commandOf("prune", "--keep", "2", "--json"),
  open: lookedAt,
  async "retention of an exporter"(dir) {
    const program = new Program(dir, { maxFiles: 2 });
    program.start("s").end();
    await program.processor.forceFlush();
    await program.keepHouse();
    return program.end();
  },
};

/** Operations that only read meet inode numbers and names alone: with the other refusals in torture only. */
const reading = [
  "listTraces",
  "readTrace",
  "list",
  "show",
  "tail",
  "postmortem",
  "stats",
  "share",
  "export",
  "open",
];

const operationsOn = ({ inodes, maxNameBytes }: Refusals) =>
  Object.entries(operations).filter(
    ([name]) => isTorture || inodes !== undefined || maxNameBytes !== undefined || !reading.includes(name),
  );

/** What is in a directory: no time, and no name that holds a token. */
function contents(dir: string): unknown {
  return readdirSync(dir)
    .map((name) => {
      const shown = name.replaceAll(/[0-9a-z]+(-[0-9a-z]+){4}(-recovery)?/g, "<token>");
      if (!name.endsWith(".json")) return shown;
      try {
        const { spans, summary } = JSON.parse(readFileSync(join(dir, name), "utf8"));
        return [shown.replace(/^(?:n{40}|unknown_service).*/, "<long>"), summary.status, spans.length];
      } catch {
        return [shown, "unreadable"];
      }
    })
    .map((one) => JSON.stringify(one))
    .sort();
}

interface Outcome {
  readonly result: unknown;
  readonly left: unknown;
  readonly calls: number;
}

async function outcomeOf(
  operation: (dir: string) => Promise<unknown>,
  refusals: Refusals,
  mostCalls?: number,
) {
  const dir = commandDirectory();
  const node = new RefusedNode(dir, refusals, mostCalls);
  let result: unknown;
  try {
    result = await operation(dir);
  } finally {
    node.restore();
  }
  return { result, left: contents(dir), calls: node.calls };
}

const whole = new Map<string, Promise<Outcome>>();

/** The outcome of an operation that nothing refuses. */
function wholeOutcome(name: string, operation: (dir: string) => Promise<unknown>): Promise<Outcome> {
  const known = whole.get(name) ?? outcomeOf(operation, {});
  whole.set(name, known);
  return known;
}

describe.each([...combinations()])("P6 P12 below which the file system refuses %s", (_, refusals) => {
  test.each(operationsOn(refusals))("%s does what it does elsewhere", async (name, operation) => {
    const { result, left, calls } = await wholeOutcome(name, operation);
    reports.length = 0;
    const refused = await outcomeOf(operation, refusals, calls * 3 + 1_000);
    expect(refused.result).toEqual(result);
    expect(refused.left).toEqual(left);
    const kinds = reports.map((text) => /works without [a-z ]+/.exec(text)?.[0] ?? text);
    expect(kinds).toEqual([...new Set(kinds)]);
    expect(kinds.filter((text) => !text.startsWith("works without"))).toEqual([]);
  });
});
