/**
 * A reader of a directory of traces: reads repeatedly while other processes write, and reports what no reader may
 * see. A document is absent or whole at every read, every span of one read is in the next, and an ended session
 * only runs again after an announced resume.
 */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const statuses = ["running", "completed", "error", "crashed"];

/** Whether the session of a document has ended. An idle one is completed so far, and goes on. */
export const isOver = ({ summary }) => summary.status !== "running" && summary.idle !== true;

/** The reason why a text is no whole document. Empty, if it is one. */
export function problemOf(text) {
  let document;
  try {
    document = JSON.parse(text);
  } catch (error) {
    return `does not parse (${text.length} characters): ${error.message}`;
  }
  if (document.version !== 2 || !Array.isArray(document.spans)) return "is no trace document";
  if (!statuses.includes(document.summary?.status)) return `has the status ${document.summary?.status}`;
  const roots = document.spans.filter(
    ({ kind, parentSpanId }) => kind === "session" && parentSpanId === null,
  );
  if (roots.length !== 1) return `has ${roots.length} session spans`;
  if (new Set(document.spans.map(({ spanId }) => spanId)).size < document.spans.length)
    return "has a span twice";
  return undefined;
}

export class Reader {
  problems = [];
  /** The number of documents read. */
  looks = 0;
  /** The number of times that an ended document ran again, by its file name. */
  resumes = new Map();
  #dir;
  #mayResume;
  #mayDrop;
  #last = new Map();
  #watching;

  /** @param options `mayResume`: ended sessions may run again; `mayDrop`: a cap or retention may remove spans */
  constructor(dir, { mayResume = false, mayDrop = false } = {}) {
    this.#dir = dir;
    this.#mayResume = mayResume;
    this.#mayDrop = mayDrop;
  }

  /** The scenario removes this document. */
  forget(name) {
    this.#last.delete(name);
  }

  /** Reads all the time, in this process, until `stop`. */
  watch(everyMillis = 2) {
    this.#watching = setInterval(() => this.look(), everyMillis);
    return this;
  }

  stop() {
    clearInterval(this.#watching);
    this.look();
  }

  /** Reads every document that has changed since the last read. Returns the existing ones. */
  look() {
    for (const name of this.#names()) this.#lookAt(name);
    return [...this.#last.values()].flatMap(({ document }) => (document ? [document] : []));
  }

  #names() {
    try {
      const names = readdirSync(this.#dir).filter((name) => name.endsWith(".json"));
      if (!this.#mayDrop) {
        for (const name of this.#last.keys())
          if (!names.includes(name)) this.problems.push(`${name} is gone`);
      }
      return names;
    } catch {
      // Not created yet, or removed by the scenario.
      return [];
    }
  }

  #lookAt(name) {
    const before = this.#last.get(name);
    const read = this.#readIfNew(name, before?.state);
    if (!read) return;
    this.looks++;
    const report = (text) => this.problems.push(`${name}, at look ${this.looks}, ${text}`);
    const problem = problemOf(read.text);
    this.#last.set(name, { state: read.state, document: problem ? before?.document : JSON.parse(read.text) });
    if (problem) report(problem);
    else if (before?.document) this.#compare(name, before.document, this.#last.get(name).document, report);
  }

  #readIfNew(name, state) {
    try {
      const fd = openSync(join(this.#dir, name), "r");
      try {
        const { ino, mtimeMs, size } = fstatSync(fd);
        const now = `${ino} ${mtimeMs} ${size}`;
        return now === state ? undefined : { state: now, text: readFileSync(fd, "utf8") };
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      if (error.code !== "ENOENT" || !this.#mayDrop)
        this.problems.push(`${name} cannot be read: ${error.message}`);
      return undefined;
    }
  }

  #compare(name, before, after, report) {
    if (isOver(before) && !isOver(after)) {
      this.resumes.set(name, (this.resumes.get(name) ?? 0) + 1);
      if (!this.#mayResume) report(`is running, and was ${before.summary.status}`);
    }
    if (this.#mayDrop) return;
    const ids = new Set(after.spans.map(({ spanId }) => spanId));
    const lost = before.spans.filter(({ spanId }) => !ids.has(spanId)).length;
    if (lost > 0) report(`lost ${lost} spans that it had`);
  }
}
