/**
 * A directory of sessions to replay: processes that were killed in the middle, and documents written by other
 * programs.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import type { TraceFile } from "../../src/format/trace-file.js";
import type { ReadableSpan, SpanExporter } from "../../src/otel/types.js";

import { type ReplayOptions, type ReplayReport, replayTraces } from "../../src/replay/replay-traces.js";
import type { PlainSpan } from "./otlp-server.js";
import { plainSpan } from "./plain-span.js";

const program = (name: string) => fileURLToPath(new URL(`../programs/${name}`, import.meta.url));

export class ReplayStage {
  readonly dir = mkdtempSync(join(tmpdir(), "replay-"));

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  get files(): string[] {
    return readdirSync(this.dir).sort();
  }

  document(id: string): TraceFile {
    return JSON.parse(readFileSync(join(this.dir, `${id}.json`), "utf8"));
  }

  write(document: TraceFile, indent?: number): void {
    writeFileSync(join(this.dir, `${document.sessionId}.json`), JSON.stringify(document, null, indent));
  }

  /** A process that has logged these turns, and is in the middle of the last. */
  async writer(id: string, turns: string): Promise<ChildProcess> {
    const args = [program("replay-writer.mjs"), this.dir, id, turns];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout as NonNullable<typeof child.stdout>, "data");
    return child;
  }

  async killedSession(id: string, turns: string): Promise<void> {
    await kill(await this.writer(id, turns));
  }

  /** A process that replays, and kills itself. Returns the ids of the exported spans. */
  async killedReplay(batches: number, when: "before" | "after"): Promise<string[]> {
    const { ids, end } = await this.#childReplay([String(batches), when]);
    if (end !== "SIGKILL") throw new Error(`the replay ended by itself: ${end}`);
    return ids;
  }

  /** A process that replays with a heap of this size. Returns the ids of the exported spans. */
  async smallReplay(heapMegabytes: number): Promise<string[]> {
    const { ids, end } = await this.#childReplay(
      ["Infinity", "after"],
      [`--max-old-space-size=${heapMegabytes}`],
    );
    if (end !== 0) throw new Error(`the replay ended by ${end}`);
    return ids;
  }

  async #childReplay(how: string[], nodeOptions: string[] = []): Promise<{ ids: string[]; end: unknown }> {
    const notes = join(this.dir, "notes.txt");
    writeFileSync(notes, "");
    const args = [...nodeOptions, program("replay-killed.mjs"), this.dir, notes, ...how];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "ignore"] });
    const [code, signal] = await once(child, "close");
    const ids = readFileSync(notes, "utf8").split("\n").slice(0, -1);
    rmSync(notes);
    return { ids, end: signal ?? code };
  }

  /** Replays into memory. */
  async replay(options: ReplayOptions = {}): Promise<{ report: ReplayReport; spans: PlainSpan[] }> {
    const memory = new InMemorySpanExporter();
    const report = await replayTraces(this.dir, memory, options);
    return { report, spans: memory.getFinishedSpans().map(plainSpan) };
  }
}

export async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "close");
}

/** An exporter that accepts batches until it fails as scripted. */
export class FailingExporter implements SpanExporter {
  readonly taken: ReadableSpan[] = [];
  readonly batches: number[] = [];
  flushes = 0;
  isShutDown = false;
  #exporting = false;

  /** `fail` is called with the number of the batch, from 1. */
  constructor(
    private readonly fail: (batch: number) => "failed" | "throws" | "rejects" | "hangs" | undefined,
  ) {}

  export(spans: ReadableSpan[], done: (result: { code: number; error?: Error }) => void): unknown {
    if (this.#exporting) throw new Error("export() while another is under way");
    this.batches.push(spans.length);
    const how = this.fail(this.batches.length);
    if (how === "hangs") return undefined;
    if (how === "throws") throw new Error("thrown");
    if (how === "rejects") return Promise.reject(new Error("rejected"));
    this.#exporting = true;
    setImmediate(() => {
      this.#exporting = false;
      if (how === undefined) this.taken.push(...spans);
      done(how === undefined ? { code: 0 } : { code: 1, error: new Error("no room") });
    });
    return undefined;
  }

  async forceFlush(): Promise<void> {
    this.flushes++;
  }

  async shutdown(): Promise<void> {
    this.isShutDown = true;
  }

  get ids(): string[] {
    return this.taken.map((span) => span.spanContext().spanId);
  }
}
