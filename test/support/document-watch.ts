/** Reads a published document repeatedly while other processes write it, and reports what no reader may see. */
import { readFile } from "node:fs/promises";
import { isOver } from "../../src/format/session-end.js";
import type { TraceFile } from "../../src/format/trace-file.js";

export class DocumentWatch {
  looks = 0;
  /** The problems found, as text. */
  readonly invalid: string[] = [];
  /** The statuses seen, each run of equal statuses once; `held` while a process has the session. */
  readonly statuses: string[] = [];
  readonly #path: string;
  #ended = new Set<string>();
  #isOver = false;
  #watching: Promise<void>;

  constructor(path: string) {
    this.#path = path;
    this.#watching = this.#watch();
  }

  /** Reads once more and ends. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#watching;
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      await this.#look();
      // Yields to the process of the reader. No possible read is skipped.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await this.#look();
  }

  async #look(): Promise<void> {
    let text: string;
    try {
      text = await readFile(this.#path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || this.looks > 0)
        this.invalid.push(String(error));
      return;
    }
    this.looks++;
    let trace: TraceFile;
    try {
      trace = JSON.parse(text);
    } catch (error) {
      this.invalid.push(`look ${this.looks}: ${error}; it ends in ${JSON.stringify(text.slice(-80))}`);
      return;
    }
    const { summary } = trace;
    const status = isOver(summary) ? summary.status : "held";
    if (this.statuses.at(-1) !== status) this.statuses.push(status);
    const ids = new Set(trace.spans.map(({ spanId }) => spanId));
    const twice = trace.spans.length - ids.size;
    if (twice > 0) this.invalid.push(`look ${this.looks}: ${twice} spans twice`);
    const lost = [...this.#ended].filter((spanId) => !ids.has(spanId)).length;
    if (lost > 0) this.invalid.push(`look ${this.looks}: ${lost} spans of the look before are gone`);
    this.#ended = new Set(
      trace.spans.filter((span) => span.endTime !== undefined).map(({ spanId }) => spanId),
    );
  }
}
