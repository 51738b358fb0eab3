/**
 * Every way to name a session late, under every processor, with every end: one document per session, every span once and
 * under its parent, and nothing left over.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { BasicTracerProvider, BatchSpanProcessor, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { setSessionId } from "../../src/otel/session-context.js";
import { provisionalFence } from "../../src/otel/types.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { namings } from "../programs/late-namings.mjs";

let root: string;
beforeAll(() => {
  root = fs.mkdtempSync(join(os.tmpdir(), "late-names-table-"));
});
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

/** Spans of a document: by their names, the names of their parents; `null` under the session span. `*`: interrupted. */
type Shape = Readonly<Record<string, string | null>>;
/** The documents by their sessions; `trace`: the document of a trace that names none. */
type Documents = Readonly<Record<string, Shape>>;

const request: Shape = { root: null, early: "root", chat: "root", tool: "chat", after: "root" };
const cut: Shape = { "root*": null, early: "root", "chat*": "root", tool: "chat" };
/** Without starts, the open spans are not known, and so are the parents of those that have ended. */
const ended: Shape = { early: null, tool: null };

/** What a program leaves that runs to its end, and one that ends at its second stop. */
interface Expected {
  readonly whole: Documents;
  readonly cut: Documents;
  /** As `whole`, if a process hook has decided at the second stop where the ended spans are. */
  readonly hooked?: Documents;
}
const inA: Expected = { whole: { A: request }, cut: { A: cut } };
/** A processor of the SDK passes on spans when they have ended, and no context. */
const unseen: Expected = { whole: { trace: request }, cut: { trace: ended } };
const seenAtEnd: Expected = { whole: { A: request }, cut: { trace: ended } };
const two: Documents = {
  A: { root: null, early: "root", a: "root", "below a": "a" },
  B: { b: null, "below b": "b" },
};

/** The nearest named ancestor of `below b` was in A when the hook wrote the documents: a session is decided once. */
const hooked: Documents = { A: { ...two.A, "below b": null }, B: { b: null } };

const expected: Readonly<Record<string, { readonly ours: Expected; readonly stock: Expected }>> = {
  context: { ours: inA, stock: unseen },
  "attribute after start": { ours: inA, stock: seenAtEnd },
  "processor behind": { ours: inA, stock: seenAtEnd },
  baggage: { ours: inA, stock: unseen },
  "child names": { ours: inA, stock: seenAtEnd },
  "grandchild names": { ours: inA, stock: { whole: { A: request }, cut: { A: ended } } },
  "two sessions in one trace": {
    ours: {
      whole: two,
      hooked,
      // The nearest ancestor with a session is in A.
      cut: {
        A: { "root*": null, early: "root", a: "root", "below a": "a", "b*": "root", "below b": "b" },
      },
    },
    stock: { whole: two, hooked, cut: { A: { early: null, a: null, "below a": "a", "below b": null } } },
  },
  "remote parent": { ours: inA, stock: seenAtEnd },
};

const processors = {
  ours: (exporter: CrashSafeFileSpanExporter) => new CrashSafeSpanProcessor(exporter),
  batch: (exporter: CrashSafeFileSpanExporter) => new BatchSpanProcessor(exporter),
  simple: (exporter: CrashSafeFileSpanExporter) => new SimpleSpanProcessor(exporter),
};
type ProcessorName = keyof typeof processors;

interface Cell {
  readonly naming: string;
  readonly processor: ProcessorName;
}
const cells: readonly Cell[] = Object.keys(expected).flatMap((naming) =>
  (Object.keys(processors) as ProcessorName[]).map((processor) => ({ naming, processor })),
);

/** One process that runs a program in a directory. */
function begin({ naming, processor }: Cell, dir: string) {
  const { run, behind } = namings(setSessionId)[naming] as ReturnType<typeof namings>[string];
  const exporter = new CrashSafeFileSpanExporter({ dir });
  const spanProcessors = [processors[processor](exporter), ...(behind ? [behind] : [])];
  const provider = new BasicTracerProvider({ spanProcessors });
  /** Resolves at the end of the program, or when `work` returns false at the Nth stop. */
  const go = (atStop: (nth: number) => Promise<boolean>) =>
    new Promise<void>((resolve, reject) => {
      let stops = 0;
      const stop = async () => {
        if (await atStop(++stops)) return;
        resolve();
        await new Promise(() => {});
      };
      run(provider.getTracer("test"), stop).then(resolve, reject);
    });
  return { exporter, provider, go };
}

const isSession = ({ kind }: TraceSpan) => kind === "session";

function expectDocuments(dir: string, documents: Documents, status: string): void {
  const found: Record<string, Shape> = {};
  for (const file of fs.readdirSync(dir)) {
    const { id, spans, summary }: TraceFile = JSON.parse(fs.readFileSync(join(dir, file), "utf8"));
    expect({ file, status: summary.status }).toEqual({ file, status });
    const byId = new Map(spans.map((span) => [span.spanId, span]));
    expect(byId.size).toBe(spans.length);
    const shape = spans
      .filter((span) => !isSession(span))
      .map(({ name, parentSpanId, interrupted }) => {
        const parent = byId.get(parentSpanId ?? "");
        const above = parent && isSession(parent) ? null : (parent?.name ?? "a parent that is not there");
        return [interrupted ? `${name}*` : name, above];
      });
    found[/^[0-9a-f]{32}$/.test(id ?? "") ? "trace" : file.slice(0, -5)] = Object.fromEntries(shape);
  }
  expect(found).toEqual(documents);
}

let directories = 0;
const newDirectory = () => join(root, `${++directories}`);
const of = ({ naming, processor }: Cell): Expected =>
  (expected[naming] as (typeof expected)[string])[processor === "ours" ? "ours" : "stock"];

describe("P2 P3 P11 a session that is named late", () => {
  it.each(cells)("P11 $naming, $processor, to the end", async (cell) => {
    const dir = newDirectory();
    const { provider, go } = begin(cell, dir);
    await go(async () => true);
    await provider.shutdown();
    expectDocuments(dir, of(cell).whole, "completed");
  });

  it.each(cells)("P11 $naming, $processor, flushed in between", async (cell) => {
    const dir = newDirectory();
    const { provider, go } = begin(cell, dir);
    await go(async () => {
      await provider.forceFlush();
      return true;
    });
    await provider.shutdown();
    expectDocuments(dir, of(cell).whole, "completed");
  });

  it.each(cells)("P3 $naming, $processor, fenced", async (cell) => {
    const dir = newDirectory();
    const { exporter, provider, go } = begin(cell, dir);
    await go(async (nth) => {
      if (nth < 2) return true;
      // A batch waits in memory: what is not exported is not known.
      if (cell.processor === "batch") await provider.forceFlush();
      exporter.crash("stopped");
      return false;
    });
    // Of a trace without a session nothing is known to be under way: its spans have ended.
    const status = "trace" in of(cell).cut ? "completed" : "crashed";
    expectDocuments(dir, of(cell).cut, status);
    await provider.shutdown();
    expectDocuments(dir, of(cell).cut, status);
  });

  it.each(cells)("P3 $naming, $processor, with a process hook that the process survives", async (cell) => {
    const dir = newDirectory();
    const { exporter, provider, go } = begin(cell, dir);
    await go(async (nth) => {
      if (nth === 2) exporter[provisionalFence]("SIGTERM", "SIGTERM");
      return true;
    });
    await provider.shutdown();
    const { whole, hooked = whole } = of(cell);
    // A hook does not reach a batch that waits in memory.
    expectDocuments(dir, cell.processor === "batch" ? whole : hooked, "completed");
  });

  it.each(cells)("P7 $naming, $processor, where the session has a document", async (cell) => {
    const dir = newDirectory();
    const earlier = new CrashSafeFileSpanExporter({ dir });
    const first = new BasicTracerProvider({ spanProcessors: [new CrashSafeSpanProcessor(earlier)] });
    first
      .getTracer("test")
      .startSpan("earlier", { attributes: { "session.id": "A" } })
      .end();
    await first.shutdown();
    const { provider, go } = begin(cell, dir);
    await go(async () => true);
    await provider.shutdown();
    const { whole } = of(cell);
    expectDocuments(dir, { ...whole, A: { earlier: null, ...whole.A } }, "completed");
  });

  describe("killed", () => {
    let dir: string;
    beforeAll(() => {
      dir = newDirectory();
      const { signal, stderr } = spawnSync(process.execPath, ["test/programs/killed-namings.mjs", dir]);
      expect({ signal, stderr: String(stderr) }).toEqual({ signal: "SIGKILL", stderr: "" });
    }, 60_000);

    it.each(cells)("P2 $naming, $processor, killed and recovered", async (cell) => {
      const own = join(dir, `${cell.naming}, ${cell.processor}`);
      expect((await recoverTraces(own)).failures).toEqual([]);
      // Without starts, nothing is known to have been under way.
      expectDocuments(own, of(cell).cut, cell.processor === "ours" ? "crashed" : "completed");
    });
  });
});
