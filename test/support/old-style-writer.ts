/**
 * A tracer built the old way, for the tests that must be able to fail: spans in an array that is cloned and
 * rewritten whole on every event, an asynchronous rename, and a crash flush in place.
 */
import { promises, writeFileSync } from "node:fs";

/** The parts of a span that the old writer uses. */
export interface OldStyleSpan {
  readonly spanId: string;
  readonly input: string;
}

/** Its document. */
export interface OldStyleDocument {
  readonly spans: readonly OldStyleSpan[];
  readonly summary: { readonly status: string; readonly error?: string };
}

/** The calls that tests delay. */
export interface OldStyleFiles {
  rename(from: string, to: string): Promise<void>;
}

export class OldStyleWriter {
  readonly #path: string;
  readonly #files: OldStyleFiles;
  readonly #spans: OldStyleSpan[] = [];
  #snapshot: Promise<void> | undefined;
  #temps = 0;

  constructor(path: string, files: OldStyleFiles = promises) {
    this.#path = path;
    this.#files = files;
  }

  /** Spans that are only in memory. */
  preload(spans: readonly OldStyleSpan[]): void {
    this.#spans.push(...spans);
  }

  /** Records an ended span, and takes a snapshot unless one is in flight. */
  event(span: OldStyleSpan): void {
    this.#spans.push(span);
    this.#snapshot ??= this.#write("running").finally(() => {
      this.#snapshot = undefined;
    });
  }

  /** Resolves when no snapshot is in flight. */
  async idle(): Promise<void> {
    await this.#snapshot;
  }

  /** The final export. */
  end(): Promise<void> {
    return this.#write("completed");
  }

  /** The call of a signal handler. */
  crashFlush(error: string): void {
    writeFileSync(this.#path, this.#encode("crashed", error));
  }

  async #write(status: string): Promise<void> {
    const text = this.#encode(status);
    const temp = `${this.#path}.tmp.${++this.#temps}`;
    await promises.writeFile(temp, text);
    await this.#files.rename(temp, this.#path);
  }

  #encode(status: string, error?: string): string {
    return JSON.stringify({ spans: structuredClone(this.#spans), summary: { status, error } });
  }
}
