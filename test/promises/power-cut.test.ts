/**
 * Power cuts on a disk that keeps only what was synced: the session is recovered from every moment at which the
 * library promised something or a name changed. Real file systems keep more; the proof lab cuts the power of those.
 */
import type { Span, Tracer } from "@opentelemetry/api";
import { describe, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { CrashSafeFileSpanExporterOptions } from "../../src/exporter/file-exporter-options.js";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { provisionalFence } from "../../src/otel/types.js";
import type { AsyncFileCalls, FileCalls, FileSystem } from "../../src/platform/file-system.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import type { Durability } from "../../src/storage/durability.js";
import { SessionTracer } from "../../src/tracer/session-tracer.js";
import { MemoryFileSystem } from "../support/memory-file-system.js";
import { ScriptedLiveness } from "../support/session-stage.js";
import { tracerInto } from "../support/span-processor-stage.js";
import { StillClock } from "../support/still-clock.js";

const dir = "/home/agent/traces";

/** What must hold for the document. Returns the problem, if there is one. */
type Promised = (document: TraceFile | undefined) => string | undefined;

/** The disk as it would be after a cut, and what must be on it. */
interface Cut {
  readonly after: string;
  readonly names: "as synced" | "as they are";
  readonly disk: MemoryFileSystem;
  readonly promised: readonly Promised[];
}

const isFound = (document: TraceFile | undefined, spanId: string, fits: (span: TraceSpan) => boolean) =>
  document?.spans.some((span) => span.spanId === spanId && fits(span)) ?? false;

/** A machine whose power may fail at any moment. */
class Machine {
  disk = new MemoryFileSystem();
  readonly clock = new StillClock();
  readonly liveness = new ScriptedLiveness();
  readonly promised = new Map<string, Promised>();
  /** Recorded spans that are promised only after the interval of the level has passed. */
  readonly later = new Map<string, Promised>();
  readonly cuts: Cut[] = [];
  readonly #durability: Durability;
  readonly #names = new Map<Span, string>();
  tracer!: Tracer;
  exporter!: CrashSafeFileSpanExporter;
  processor!: CrashSafeSpanProcessor;

  constructor(durability: Durability) {
    this.#durability = durability;
    this.boot();
  }

  /** Starts another process on the same disk. */
  boot(options: Partial<CrashSafeFileSpanExporterOptions> = {}): void {
    const { clock, liveness } = this;
    // No publish makes up for a missing sync.
    const pace = { bytesPerSecond: 1, maxBytes: 1, startBytes: 0 };
    const ports = { clock, liveness, pace, fileSystem: this.watched() };
    this.exporter = new CrashSafeFileSpanExporter({ dir, durability: this.#durability, ...options }, ports);
    this.processor = new CrashSafeSpanProcessor(this.exporter);
    this.tracer = tracerInto(this.processor);
  }

  start(name: string, input = ""): Span {
    const span = this.tracer.startSpan(name, { attributes: { "session.id": "s", "input.value": input } });
    this.#names.set(span, name);
    this.#record(name, span, () => true);
    return span;
  }

  end(span: Span): void {
    span.end();
    this.#record(this.#names.get(span) ?? "", span, ({ interrupted }) => !interrupted);
  }

  /** Adds a promise that holds from now on. */
  promise(what: string, promised: Promised): void {
    this.promised.set(what, promised);
    this.cut(what);
  }

  /** Keeps the disk as it would be if the power failed now. */
  cut(after: string): void {
    const promised = [...this.promised.values()];
    for (const names of ["as synced", "as they are"] as const)
      this.cuts.push({ after, names, disk: this.disk.afterPowerCut(names), promised });
  }

  /** Waits until all work in flight has ended. */
  async quiet(): Promise<void> {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Recovers each of the disks, and returns what is missing there. */
  async problems(): Promise<string[]> {
    this.liveness.bury();
    const problems = new Set<string>();
    for (const { after, names, disk, promised } of this.cuts) {
      const ports = { fileSystem: disk, clock: this.clock, liveness: this.liveness };
      const { failures } = await recoverDirectory(ports, dir);
      for (const { error } of failures) problems.add(`after ${after}, names ${names}: ${error}`);
      const text = disk.text(`${dir}/s.json`);
      const document: TraceFile | undefined = text === undefined ? undefined : JSON.parse(text);
      for (const isSo of promised) {
        const problem = isSo(document);
        if (problem) problems.add(`after ${after}, names ${names}: ${problem}`);
      }
    }
    return [...problems];
  }

  #record(name: string, span: Span, fits: (span: TraceSpan) => boolean): void {
    const { spanId } = span.spanContext();
    const isDone = !fits({ interrupted: true } as TraceSpan);
    const what = `${isDone ? "the end" : "the start"} of ${name}`;
    const isSo: Promised = (document) => (isFound(document, spanId, fits) ? undefined : `${what} is lost`);
    if (this.#durability === "each") this.promise(`span ${spanId}`, isSo);
    else this.later.set(`span ${spanId}`, isSo);
  }

  /** The disk, with a cut after every call that changes what a cut would leave. */
  watched(): FileSystem {
    const looked = ["rename", "link", "unlink", "rmdir", "syncDirectory", "fdatasync"] as const;
    const sync = { ...this.disk.sync } as FileCalls;
    const async = { ...this.disk.async } as AsyncFileCalls;
    for (const name of looked) {
      const now = this.disk.sync[name] as (...args: unknown[]) => void;
      const later = this.disk.async[name] as (...args: unknown[]) => Promise<void>;
      sync[name] = (...args: unknown[]) => {
        now(...args);
        this.cut(`${name} ${args.join(" ")}`);
      };
      async[name] = async (...args: unknown[]) => {
        await later(...args);
        this.cut(`${name} ${args.join(" ")}`);
      };
    }
    return { sync, async };
  }
}

const payload = "x".repeat(60_000);

describe("P2 power cuts on a disk that keeps only what was synced", () => {
  test('P2 "each" keeps every start and end, also of the first session in a new directory', async () => {
    const machine = new Machine("each");
    for (let i = 0; i < 5; i++) machine.end(machine.start(`span ${i}`));
    machine.start("running");
    await machine.processor.forceFlush();
    machine.end(machine.start("after a publish"));
    expect(machine.cuts.length).toBeGreaterThan(50);
    expect(await machine.problems()).toEqual([]);
  });

  test('P2 "each" keeps a start for which the journal was rewritten', async () => {
    const machine = new Machine("each");
    for (let i = 0; i < 20; i++) machine.end(machine.start(`span ${i}`, payload));
    expect(machine.cuts.some(({ after }) => /^rename .*\.live$/.test(after))).toBe(true);
    expect(await machine.problems()).toEqual([]);
  });

  test('P2 "each" keeps what is recorded after a resume, during and after a recovery by mistake', async () => {
    const machine = new Machine("each");
    machine.end(machine.start("before"));
    await machine.exporter.endSession("s");
    machine.boot();
    machine.start("runs on");
    machine.end(machine.start("after the resume"));
    await machine.processor.forceFlush();
    machine.end(machine.start("merged"));
    machine.liveness.bury();
    await recoverDirectory(
      { fileSystem: machine.disk, clock: machine.clock, liveness: machine.liveness },
      dir,
    );
    // The files that the recovery removed stay removed.
    machine.disk.sync.syncDirectory(dir);
    machine.end(machine.start("taken"));
    machine.end(machine.start("begun anew"));
    await machine.processor.forceFlush();
    machine.end(machine.start("at last"));
    expect(await machine.problems()).toEqual([]);
  });

  test('P2 "each" keeps ends and crash fences that have returned', async () => {
    for (const how of ["end", "fence"] as const) {
      const machine = new Machine("each");
      machine.end(machine.start("one"));
      if (how === "end") await machine.exporter.endSession("s");
      else machine.processor.crash("out of memory");
      const status = how === "end" ? "completed" : "crashed";
      machine.promise("the end", (document) =>
        document?.summary.status === status ? undefined : `is ${document?.summary.status}`,
      );
      expect(await machine.problems()).toEqual([]);
    }
  });

  test('P3 "each" keeps the verdict of a process hook, and all that follows when the process lives on', async () => {
    const machine = new Machine("each");
    machine.promise("no span twice", (document) => {
      const ids = document?.spans.map(({ spanId }) => spanId) ?? [];
      return new Set(ids).size === ids.length ? undefined : `${ids.length} spans, some of them twice`;
    });
    machine.end(machine.start("before"));
    const open = machine.start("runs on");
    machine.processor[provisionalFence]("Received SIGTERM", "SIGTERM");
    const isCrashed: Promised = (document) =>
      document?.summary.status === "crashed" && document.summary.detector === "SIGTERM"
        ? undefined
        : `${document?.summary.status} by ${document?.summary.detector}`;
    machine.promise("the verdict", isCrashed);
    machine.end(open);
    // A span that starts takes the verdict back. Before its start is recorded nothing is under way, from there on it is;
    // and what cuts the power may be what sent the signal.
    machine.promised.delete("the verdict");
    machine.start("takes the verdict back");
    machine.promise("the first detector", isCrashed);
    machine.end(machine.start("after the verdict"));
    await machine.processor.forceFlush();
    machine.end(machine.start("after a publish"));
    expect(await machine.problems()).toEqual([]);
  });

  test('P3 "each" keeps the end of a session whose verdict a shutdown has taken back', async () => {
    const machine = new Machine("each");
    const open = machine.start("runs on");
    machine.processor[provisionalFence]("Received SIGTERM", "SIGTERM");
    machine.end(open);
    await machine.processor.shutdown();
    machine.promise("the end", (document) =>
      document?.summary.status === "completed" ? undefined : `is ${document?.summary.status}`,
    );
    expect(await machine.problems()).toEqual([]);
  });

  test('P2 "interval" keeps everything older than a second, with files that were created or renamed meanwhile', async () => {
    const machine = new Machine("interval");
    for (let second = 0; second < 4; second++) {
      for (let i = 0; i < 6; i++) machine.end(machine.start(`span ${second} ${i}`, payload));
      machine.start(`running ${second}`);
      machine.clock.pass(1_000);
      await machine.quiet();
      for (const [what, isSo] of machine.later) machine.promise(what, isSo);
    }
    expect(machine.cuts.some(({ after }) => /^rename .*\.live$/.test(after))).toBe(true);
    expect(await machine.problems()).toEqual([]);
  });

  test('P2 "interval" keeps a start one second after the journal was rewritten for it', async () => {
    const machine = new Machine("interval");
    for (let second = 0; second < 20; second++) {
      machine.start(`running ${second}`, payload);
      machine.clock.pass(1_000);
      await machine.quiet();
      for (const [what, isSo] of machine.later) machine.promise(what, isSo);
      machine.later.clear();
    }
    expect(machine.cuts.some(({ after }) => /^rename .*\.live$/.test(after))).toBe(true);
    expect(await machine.problems()).toEqual([]);
  });

  test('P2 "each" keeps what a session tracer logged when its call returns, with attributes that were set late', async () => {
    const machine = new Machine("each");
    const { tracer: spans, exporter } = machine;
    const tracer = new SessionTracer({ tracer: spans, recorders: [exporter] });
    tracer.startTrace("s", { title: "first" });
    const has = (what: string, fits: (document: TraceFile) => boolean) =>
      machine.promise(what, (document) => (document && fits(document) ? undefined : `${what} is lost`));
    has("the first title", ({ metadata }) => metadata.title !== undefined);
    tracer.setTitle("second");
    has("the title", ({ metadata }) => metadata.title === "second");
    tracer.logUserMessage("question");
    has("the question", ({ spans }) => spans.some(({ input }) => input === "question"));
    tracer.logStepStart({ id: "step" });
    has("the step", ({ spans }) => spans.some(({ kind }) => kind === "generation"));
    for (let i = 0; i < 3; i++) {
      const state = { status: "completed", input: { i }, output: `output ${i}` };
      tracer.logToolCall({ tool: "look", callID: `call ${i}`, state });
      has(`call ${i}`, ({ spans }) => spans.some(({ output }) => output === `output ${i}`));
      tracer.setSpanAttributes({ late: i }, "tool");
      has(`attribute ${i}`, ({ spans }) => spans.some(({ attributes }) => attributes?.late === i));
    }
    tracer.setSpanAttributes({ mood: "good" }, "session");
    has("the session's attribute", ({ spans }) =>
      spans.some(({ attributes }) => attributes?.mood === "good"),
    );
    expect(await machine.problems()).toEqual([]);
  });

  test('P2 "interval" and "each" recover no older state from a journal that was synced before the document', async () => {
    for (const durability of ["interval", "each"] as const) {
      const machine = new Machine(durability);
      const tracer = new SessionTracer({ tracer: machine.tracer, recorders: [machine.exporter] });
      tracer.startTrace("s", { title: "first" });
      const span = machine.start("runs on");
      tracer.setTitle("second");
      span.setAttribute("late", "yes");
      await machine.processor.forceFlush();
      machine.promise("the title", (document) =>
        document?.metadata.title === "second" ? undefined : `the title is ${document?.metadata.title}`,
      );
      machine.promise("the attribute", (document) =>
        document?.spans.some(({ attributes }) => attributes?.late === "yes") ? undefined : "it is lost",
      );
      expect(await machine.problems()).toEqual([]);
    }
  });

  test("P2 a recovery that a power cut interrupts anywhere is finished by the next recovery", async () => {
    for (const isSealed of [false, true]) {
      const machine = new Machine("each");
      for (let i = 0; i < 3; i++) machine.end(machine.start(`span ${i}`));
      if (isSealed) {
        // Its append log has its tail, and is not renamed yet.
        const link = machine.disk.sync.link;
        machine.disk.sync.link = () => {
          throw Object.assign(new Error("cut"), { code: "EIO" });
        };
        await machine.exporter.endSession("s").catch(() => {});
        machine.disk.sync.link = link;
      }
      machine.liveness.bury();
      const watched = machine.watched();
      await recoverDirectory({ fileSystem: watched, clock: machine.clock, liveness: machine.liveness }, dir);
      expect(await machine.problems()).toEqual([]);
    }
  });
});
