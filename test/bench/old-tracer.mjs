/**
 * A model of the tracer that the altimate entry replaces, as far as its costs go: every span in memory, and for every
 * event all of them cloned and stringified on the main thread, a temporary file, and an asynchronous rename; one more
 * write follows for events that came meanwhile. The crash flush writes the file in place.
 */
import { mkdirSync, promises, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export class OldTracer {
  spans = [];
  #dir;
  #path;
  #document;
  #snapshot;
  #isStale = false;
  #temps = 0;
  #generation;
  #ids = 0;

  constructor(dir) {
    this.#dir = dir;
  }

  startTrace(sessionId, metadata) {
    mkdirSync(this.#dir, { recursive: true });
    this.#path = join(this.#dir, `${sessionId}.json`);
    this.#document = { version: 2, traceId: "t", sessionId, startedAt: new Date().toISOString(), metadata };
    this.#add({ parentSpanId: null, name: sessionId, kind: "session", startTime: Date.now(), status: "ok" });
    this.#writeNow();
  }

  logUserMessage(input) {
    const now = Date.now();
    this.#event({ name: "user-message", kind: "user-message", startTime: now, endTime: now, input });
  }

  logStepStart({ id }) {
    const span = { name: `generation-${id}`, kind: "generation", startTime: Date.now(), status: "ok" };
    this.#generation = this.#add(span);
    this.#follow();
  }

  logText({ text }) {
    this.#generation.output = (this.#generation.output ?? "") + text;
  }

  logStepFinish({ reason, cost, tokens }) {
    Object.assign(this.#generation, { endTime: Date.now(), finishReason: reason, cost, tokens });
    this.#generation = undefined;
    this.#follow();
  }

  logToolCall({ tool, callID, state: { input, output, time } }) {
    const times = { startTime: time.start, endTime: time.end };
    const parentSpanId = (this.#generation ?? this.spans[0]).spanId;
    this.#event({
      parentSpanId,
      name: tool,
      kind: "tool",
      ...times,
      tool: { callId: callID, durationMs: time.end - time.start },
      input: JSON.parse(JSON.stringify(input)),
      output: String(output).slice(0, 10_000),
    });
  }

  getTracePath() {
    return this.#path;
  }

  async flush() {
    while (this.#snapshot) await this.#snapshot;
  }

  /** The crash flush. */
  flushSync(error) {
    writeFileSync(this.#path, this.#text({ status: "crashed", error }));
  }

  #event(span) {
    this.#add({ status: "ok", ...span });
    if (this.#snapshot) this.#isStale = true;
    else this.#follow();
  }

  #add(span) {
    const whole = { spanId: `span-${++this.#ids}`, parentSpanId: this.spans[0]?.spanId, ...span };
    this.spans.push(whole);
    return whole;
  }

  #follow() {
    if (this.#snapshot) {
      this.#isStale = true;
      return;
    }
    this.#isStale = false;
    this.#snapshot = this.#write().finally(() => {
      this.#snapshot = undefined;
      if (this.#isStale) this.#follow();
    });
  }

  #text(summary) {
    return JSON.stringify({ ...this.#document, spans: structuredClone(this.spans), summary }, null, 2);
  }

  async #write() {
    const temp = `${this.#path}.tmp.${++this.#temps}`;
    await promises.writeFile(temp, this.#text({ status: "running" }));
    await promises.rename(temp, this.#path);
  }

  #writeNow() {
    const temp = `${this.#path}.tmp.${++this.#temps}`;
    writeFileSync(temp, this.#text({ status: "running" }));
    renameSync(temp, this.#path);
  }
}
