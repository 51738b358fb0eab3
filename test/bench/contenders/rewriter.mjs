/**
 * A model of tracers that keep one JSON file per session and rewrite it on every event: all spans cloned and
 * stringified on the main thread, a temporary file, an asynchronous rename, and one more write for events that came
 * meanwhile.
 */
import { existsSync, promises, readFileSync } from "node:fs";
import { join } from "node:path";
import { plainRecord } from "../plain-record.mjs";

const pathOf = (dir, sessionId) => join(dir, `${sessionId}.json`);

class Document {
  spans = [];
  #path;
  #snapshot;
  #isStale = false;
  #temps = 0;

  constructor(path) {
    this.#path = path;
  }

  event(span) {
    this.spans.push(span);
    if (this.#snapshot) this.#isStale = true;
    else this.#follow();
  }

  async idle() {
    while (this.#snapshot) await this.#snapshot;
  }

  #follow() {
    this.#isStale = false;
    this.#snapshot = this.#write().finally(() => {
      this.#snapshot = undefined;
      if (this.#isStale) this.#follow();
    });
  }

  async #write() {
    const text = JSON.stringify({ spans: structuredClone(this.spans), summary: { status: "running" } });
    const temp = `${this.#path}.tmp.${++this.#temps}`;
    await promises.writeFile(temp, text);
    await promises.rename(temp, this.#path);
  }
}

export default {
  name: "rewriter",
  title: "a whole-document rewriter (model)",
  share: {
    paced: { runs: 1, kills: 0, why: "one run, which is busy all the time" },
    small: { spans: 20_000, why: "its time grows with the square" },
    huge: { spans: 50, why: "its time grows with the square" },
  },
  open({ dir }) {
    const documents = new Map();
    return {
      end(span) {
        const sessionId = span.attributes["session.id"];
        if (!documents.has(sessionId)) documents.set(sessionId, new Document(pathOf(dir, sessionId)));
        documents.get(sessionId).event(plainRecord(span));
      },
      flush: async () => {
        for (const document of documents.values()) await document.idle();
      },
    };
  },
  survivors({ dir, sessions }) {
    let count = 0;
    for (const sessionId of sessions) {
      const path = pathOf(dir, sessionId);
      if (existsSync(path)) count += JSON.parse(readFileSync(path, "utf8")).spans.length;
    }
    return count;
  },
};
