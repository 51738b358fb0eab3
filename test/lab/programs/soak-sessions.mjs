// Sessions of a soak, through processor and session tracer, with random actions, each acknowledged when it is done.
// Every record has a key of its own, by which the document is compared with the acknowledgements:
//   opening id · start id key bytes isCounted · done …, started and ended · end key · late key · closing, closed id how

/** Text that is determined by the key and the size. */
const payloadOf = (key, bytes) => key.at(-1).repeat(bytes);
const mostOpen = 3;

class SoakSession {
  id;
  isOpen = false;
  /** Opening or ending: no other action is allowed. */
  isBusy = false;
  /** The last key that its document must have, once it has caught up. */
  lastKey;
  host;
  /** Open records: functions that end them, by key. */
  open = new Map();

  constructor(id, host) {
    this.id = id;
    this.host = host;
  }

  /** A random action. */
  act() {
    if (this.isBusy) return;
    if (!this.isOpen) {
      this.lastKey = undefined;
      this.isOpen = true;
      this.host.print("opening", this.id);
      this.begin();
    } else this.go();
  }

  begin() {
    this.go();
  }

  /** A started record, which `end` ends. */
  started(key, bytes, isCounted, end) {
    this.host.print("start", this.id, key, bytes, isCounted);
    this.lastKey = key;
    this.open.set(key, end);
  }

  /** A record that has ended at once. */
  done(key, bytes, isCounted) {
    this.host.print("done", this.id, key, bytes, isCounted);
    this.lastKey = key;
  }

  endOne() {
    const [key, end] = this.host.oneOf([...this.open]) ?? [];
    if (!key) return;
    this.open.delete(key);
    const isLate = end();
    this.host.print("end", key);
    if (isLate) this.host.print("late", key);
  }

  /** The size of a record: mostly small, sometimes large. */
  bytes(most) {
    const { random, upTo } = this.host;
    return random() < 0.03 ? upTo(most) : upTo(1_500);
  }

  async close(how) {
    if (!this.isOpen) return;
    this.isBusy = true;
    this.host.print("closing", this.id, how);
    this.open.clear();
    await this.endAs(how);
    this.isOpen = false;
    this.isBusy = false;
    this.host.print("closed", this.id, how);
  }

  /** It was fenced with its exporter. */
  wasFenced() {
    this.open.clear();
    this.isOpen = false;
  }
}

/** Spans of other instrumentation, through processor and exporter. */
export class SpanSession extends SoakSession {
  #running = [];

  go() {
    const dice = this.host.random();
    if (this.open.size > 0 && dice < 0.3) this.endOne();
    else if (this.open.size < mostOpen && dice < 0.5) this.begins();
    else this.records();
  }

  /** Starts and ends a span. */
  records() {
    const { span, key, bytes, isCounted } = this.#start();
    span.end();
    this.done(key, bytes, isCounted);
  }

  begins() {
    const { span, key, bytes, isCounted } = this.#start();
    this.#running.push(span);
    this.started(key, bytes, isCounted, () => {
      const isLate = this.host.random() < 0.5;
      if (isLate) span.setAttribute("late", key);
      span.end();
      this.#running.splice(this.#running.indexOf(span), 1);
      return isLate;
    });
  }

  #start() {
    const { host } = this;
    const key = host.nextKey();
    const bytes = this.bytes(60_000);
    const attributes = { "session.id": this.id, k: key, payload: payloadOf(key, bytes) };
    const parent = host.random() < 0.5 ? host.oneOf(this.#running) : undefined;
    // A generation in a generation is one call that is recorded twice.
    const isInCall = parent?.attributes["gen_ai.operation.name"] === "chat";
    const operation = host.oneOf(["execute_tool", undefined, isInCall ? undefined : "chat"]);
    if (operation) attributes["gen_ai.operation.name"] = operation;
    return { span: host.startSpan(attributes, parent), key, bytes, isCounted: operation !== undefined };
  }

  async endAs(how) {
    this.#running = [];
    await this.host.exporter.endSession(this.id, how === "error" ? { error: "it failed" } : {});
  }

  wasFenced() {
    super.wasFenced();
    this.#running = [];
  }
}

/** The calls of an agent, through the session tracer. */
export class TracerSession extends SoakSession {
  #tracer;
  #generation;

  begin() {
    this.isBusy = true;
    this.host.later(this.#begin().finally(() => (this.isBusy = false)));
  }

  async #begin() {
    const { host, id } = this;
    this.#generation = undefined;
    this.#tracer = host.tracing.newTracer();
    if (host.random() < 0.5 && (await this.#tracer.rehydrateFromFile(id))) return;
    this.#tracer.startTrace(id, { title: `title of ${id}`, agent: "build" });
    if (!host.hasFile(id)) host.print("broken", `${id} has no document after startTrace`);
  }

  go() {
    const dice = this.host.random();
    const does = [
      [0.08, () => this.#addsText()],
      [0.25, () => this.#steps()],
      [0.55, () => this.#calls()],
      [0.65, () => this.#runs()],
      [0.75, () => this.endOne()],
      [0.83, () => this.#spans()],
      [0.92, () => this.#lets()],
      [0.96, () => this.#tracer.endTurn()],
      [1, () => this.#tracer.setTitle(`title ${dice}`)],
    ];
    does.find(([most]) => dice < most)[1]();
  }

  #addsText() {
    const key = this.host.nextKey();
    this.#tracer.logUserMessage(`question ${key}`);
    this.done(key, 0, false);
  }

  #steps() {
    if (this.#generation) return void this.#finishes();
    const key = this.host.nextKey();
    const bytes = this.bytes(30_000);
    this.#tracer.logStepStart({ id: key });
    this.#generation = key;
    this.started(key, bytes, true, () => {
      this.#generation = undefined;
      this.#tracer.logText({ text: payloadOf(key, bytes) });
      const tokens = { input: 3, output: 2, reasoning: 1, cache: { read: 0, write: 0 } };
      this.#tracer.logStepFinish({ id: key, reason: "stop", cost: 0.01, tokens });
    });
  }

  #finishes() {
    const key = this.#generation;
    this.open.get(key)();
    this.open.delete(key);
    this.host.print("end", key);
  }

  #calls() {
    const key = this.host.nextKey();
    const bytes = this.bytes(9_000);
    this.#tracer.logToolCall(completed(key, bytes));
    this.done(key, bytes, true);
    if (this.host.random() > 0.3) return;
    this.#tracer.setSpanAttributes({ late: key }, "tool");
    this.host.print("late", key);
  }

  #runs() {
    if (this.open.size >= mostOpen) return;
    const key = this.host.nextKey();
    const bytes = this.bytes(9_000);
    this.#tracer.logToolCall({ tool: "look", callID: key, state: { status: "running", input: { key } } });
    this.started(key, bytes, true, () => void this.#tracer.logToolCall(completed(key, bytes)));
  }

  #spans() {
    const key = this.host.nextKey();
    const bytes = this.bytes(30_000);
    const now = Date.now();
    const attributes = { k: key, payload: payloadOf(key, bytes) };
    this.#tracer.logSpan({ name: "span", startTime: now, endTime: now, attributes });
    this.done(key, bytes, false);
  }

  /** A library makes a span in it. */
  #lets() {
    if (this.open.size >= mostOpen) return;
    const key = this.host.nextKey();
    const bytes = this.bytes(10_000);
    const attributes = { k: key, payload: payloadOf(key, bytes) };
    const span = this.host.startForeignSpan(attributes, this.#tracer.context());
    this.started(key, bytes, false, () => void span.end());
  }

  async endAs(how) {
    if (how === "crashed") this.#tracer.flushSync("it was fenced");
    else if (how === "error") await this.#tracer.endTrace("it failed");
    else if (this.host.random() < 0.3) this.#tracer.finalizeSync();
    else await this.#tracer.endTrace();
  }
}

const completed = (key, bytes) => ({
  tool: "look",
  callID: key,
  state: { status: "completed", input: { key }, output: payloadOf(key, bytes) },
});
