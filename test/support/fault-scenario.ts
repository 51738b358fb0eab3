/**
 * One life of a session on a file system that fails once: starts, ends, a flush, an end, a resume, and the crash
 * fence. Every promise that the exporter made on the way is compared with the disk.
 */
import * as fs from "node:fs";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { CrashSafeFileSpanExporterOptions } from "../../src/exporter/file-exporter-options.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { CrashSafeFileError } from "../../src/platform/errors.js";
import type { FaultyFileSystem } from "./faulty-file-system.js";
import { IdleClock } from "./idle-clock.js";
import type { MortalLiveness } from "./mortal-liveness.js";
import { spanOf } from "./projection-span.js";
import { spansOf } from "./recorded-session.js";

export const sessionId = "ses_faults";

function traced(n: number, ended: boolean): ReadableSpan {
  const spanId = (BigInt(n + 1) * 0x9e37_79b9_7f4a_7c15n).toString(16).slice(-16).padStart(16, "0");
  return spanOf({
    name: `step ${n}`,
    spanContext: () => ({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId, traceFlags: 1 }),
    endTime: ended ? [1_750_000_001, 0] : [0, 0],
    ended,
    attributes: { "session.id": sessionId, text: `text of ${n}, Zażółć` },
  });
}

export class FaultScenario {
  readonly clock = new IdleClock();
  readonly exporter: CrashSafeFileSpanExporter;
  /** Names of ended spans that the exporter accepted. */
  readonly accepted = new Set<string>();
  /** The names that were recorded before the fault, or whose flush resolved. */
  readonly secured = new Set<string>();
  /** Names of spans that were started and never ended. */
  readonly running: readonly string[] = ["step 90", "step 91"];
  readonly #path: string;
  readonly #fileSystem: FaultyFileSystem;
  #violation: unknown;
  #seen = { identity: "", names: new Set<string>() };

  constructor(
    dir: string,
    fileSystem: FaultyFileSystem,
    liveness: MortalLiveness,
    options: Partial<CrashSafeFileSpanExporterOptions> = {},
  ) {
    this.#path = `${dir}/${sessionId}.json`;
    this.#fileSystem = fileSystem;
    // An error thrown here would be handled as a fault of the file system.
    fileSystem.afterCall = () => {
      try {
        this.#look();
      } catch (error) {
        this.#violation ??= error;
      }
    };
    this.exporter = new CrashSafeFileSpanExporter(
      { dir, ...options },
      { fileSystem, clock: this.clock, liveness },
    );
  }

  /** The whole life, up to the fence, if there is one. Throws when the exporter breaks a promise. */
  async live(isFenced: boolean): Promise<void> {
    this.#start(0);
    this.#start(90);
    this.#end(0);
    this.#end(1);
    await this.#settle(() => this.exporter.forceFlush());
    this.#start(2);
    this.#end(2);
    this.#export([3, 4]);
    await this.#settle(() => this.exporter.endSession(sessionId));
    this.#start(91);
    this.#start(5);
    this.#end(5);
    await this.#settle(() => this.exporter.forceFlush());
    this.#end(6);
    if (isFenced) this.exporter.crash("fenced");
    if (this.#violation) throw this.#violation;
  }

  /** The exporter's retry, after the fault has passed. */
  async retry(): Promise<void> {
    await this.exporter.forceFlush();
    this.#secureAll();
    if (this.#violation) throw this.#violation;
  }

  /** The document, and the names of its spans, each once. */
  document(path = this.#path): { trace: TraceFile; names: Set<string> } {
    const trace: TraceFile = JSON.parse(fs.readFileSync(path, "utf8"));
    return { trace, names: new Set([...spansOf(trace).values()].map(({ name }) => name)) };
  }

  #start(n: number): void {
    this.exporter.recordStart(traced(n, false));
  }

  #end(n: number): void {
    this.#take([n], () => this.exporter.recordEnd(traced(n, true)));
  }

  #export(numbers: number[]): void {
    const spans = numbers.map((n) => traced(n, true));
    let answers = 0;
    this.#take(numbers, () => this.exporter.export(spans, () => answers++));
    if (answers !== 1) throw new Error(`export called back ${answers} times`);
  }

  /** Every span is counted, as recorded or as dropped. */
  #take(numbers: number[], give: () => void): void {
    const before = this.exporter.stats();
    give();
    const { recorded, dropped } = this.exporter.stats();
    const [taken, lost] = [recorded - before.recorded, dropped - before.dropped];
    if (taken + lost !== numbers.length) throw new Error(`${taken} recorded, ${lost} dropped of ${numbers}`);
    if (lost > 0) return;
    for (const n of numbers) this.accepted.add(`step ${n}`);
    if (this.#fileSystem.fired === 0) this.#secureAll();
  }

  async #settle(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof CrashSafeFileError)) throw error;
      // An error without a cause is only a timeout.
      if (error.cause === undefined) throw error;
      return;
    }
    // A resolved flush means flushed, whatever failed on the way.
    const { names } = this.document();
    for (const name of this.accepted) if (!names.has(name)) throw new Error(`flushed, but without ${name}`);
    this.#secureAll();
  }

  #secureAll(): void {
    for (const name of this.accepted) this.secured.add(name);
  }

  /** P1 at every call: the document is absent or whole, and never has less than before. */
  #look(): void {
    let stat: fs.BigIntStats;
    try {
      stat = fs.lstatSync(this.#path, { bigint: true });
    } catch {
      if (this.#seen.names.size > 0) throw new Error("the document is gone");
      return;
    }
    const identity = `${stat.ino} ${stat.size} ${stat.mtimeNs}`;
    if (identity === this.#seen.identity) return;
    const { names } = this.document();
    for (const name of this.#seen.names) if (!names.has(name)) throw new Error(`the document lost ${name}`);
    this.#seen = { identity, names };
  }
}
