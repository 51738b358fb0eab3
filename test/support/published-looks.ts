/**
 * Reads a directory of documents while other processes write to it: each read must find whole documents, and what
 * one read found must still be in the next.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import type { TraceFile } from "../../src/format/trace-file.js";

const statuses = new Set(["running", "completed", "error", "crashed"]);

/** The problems of a document's text, read at any moment. Empty if it is whole. */
function problemOf(text: string): string | undefined {
  let document: TraceFile;
  try {
    document = JSON.parse(text);
  } catch (error) {
    return `does not parse (${text.length} characters): ${String(error)}`;
  }
  if (document.version !== 2 || !Array.isArray(document.spans)) return "is no trace document";
  if (!statuses.has(document.summary?.status)) return `has the status ${document.summary?.status}`;
  const roots = document.spans.filter((span) => span.kind === "session" && span.parentSpanId === null);
  if (roots.length !== 1) return `has ${roots.length} session spans`;
  if (new Set(document.spans.map((span) => span.spanId)).size < document.spans.length)
    return "has a span twice";
  return undefined;
}

export class PublishedLooks {
  readonly problems: string[] = [];
  /** The number of documents read. */
  count = 0;
  readonly #dir: string;
  readonly #lastRead = new Map<string, string>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Reads every document that has changed since the last read. */
  look(): void {
    for (const name of this.#names()) {
      let text: string;
      try {
        const path = join(this.#dir, name);
        const fd = fs.openSync(path, "r");
        try {
          const { ino, mtimeMs, size } = fs.fstatSync(fd);
          const state = `${ino} ${mtimeMs} ${size}`;
          if (this.#lastRead.get(name) === state) continue;
          this.#lastRead.set(name, state);
          text = fs.readFileSync(fd, "utf8");
        } finally {
          fs.closeSync(fd);
        }
      } catch (error) {
        this.problems.push(`${name} was there, and cannot be read: ${String(error)}`);
        continue;
      }
      this.count++;
      const problem = problemOf(text);
      if (problem) this.problems.push(`${name}, while it was written, ${problem}`);
    }
  }

  #names(): string[] {
    try {
      return fs.readdirSync(this.#dir).filter((name) => name.endsWith(".json"));
    } catch {
      // Not created yet.
      return [];
    }
  }
}
