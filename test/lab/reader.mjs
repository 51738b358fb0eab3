/**
 * A reader of a directory of traces: looks again and again while others write, and tells what no reader should see.
 * A document is absent or whole at every look, what one look found is there at the next, and only a resume, of which
 * the reader is told, makes an ended session run again.
 */
import { closeSync, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const statuses = ["running", "completed", "error", "crashed"];

/** Why a text is no whole document; nothing, if it is one. */
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
  /** How many documents were read. */
  looks = 0;
  /** How often a document that had ended ran again, by its file name. */
  resumes = new Map();
  #dir;
  #mayResume;
  #mayDrop;
  #last = new Map();
  #watching;

  /** @param options `mayResume`: ended sessions may run again; `mayDrop`: a cap or retention may take spans away */
  constructor(dir, { mayResume = false, mayDrop = false } = {}) {
    this.#dir = dir;
    this.#mayResume = mayResume;
    this.#mayDrop = mayDrop;
  }

  /** The scenario takes this document away. */
  forget(name) {
    this.#last.delete(name);
  }

  /** Looks all the time, in this process, until `stop`. */
  watch(everyMillis = 2) {
    this.#watching = setInterval(() => this.look(), everyMillis);
    return this;
  }

  stop() {
    clearInterval(this.#watching);
    this.look();
  }

  /** Reads every document that has changed since the last look; returns those that stand. */
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
      // Not created yet, or taken away by the scenario.
      return [];
    }
  }

  #lookAt(name) {
    const before = this.#last.get(name);
    const read = this.#readIfNew(name, before?.state);
    if (!read) return;
    this.looks++;
    const tell = (text) => this.problems.push(`${name}, at look ${this.looks}, ${text}`);
    const problem = problemOf(read.text);
    this.#last.set(name, { state: read.state, document: problem ? before?.document : JSON.parse(read.text) });
    if (problem) tell(problem);
    else if (before?.document) this.#compare(name, before.document, this.#last.get(name).document, tell);
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

  #compare(name, before, after, tell) {
    if (before.summary.status !== "running" && after.summary.status === "running") {
      this.resumes.set(name, (this.resumes.get(name) ?? 0) + 1);
      if (!this.#mayResume) tell(`is running, and was ${before.summary.status}`);
    }
    if (this.#mayDrop) return;
    const ids = new Set(after.spans.map(({ spanId }) => spanId));
    const lost = before.spans.filter(({ spanId }) => !ids.has(spanId)).length;
    if (lost > 0) tell(`lost ${lost} spans that it had`);
  }
}
