/**
 * What several writers of the same sessions acknowledged, each for itself (`programs/twin-writer.mjs`), which of
 * them are alive, and what the documents must hold when all have ended.
 */
export class TwinLedger {
  /** Reports of a program that must not occur. */
  faults = [];
  /** The statuses that the one session may have. */
  statuses = ["completed", "error", "crashed"];
  #spans = new Map();
  /** By writer: the session of an announced start, or `undefined`. */
  #starting = new Map();
  #doomed = new Set();
  /** By session: its live writers, with the names of their files. */
  #tenants = new Map();
  /** By writer: the sessions in which it has spans, and those that it was ordered to end. */
  #touched = new Map();
  #left = new Map();
  #unacknowledged = 0;
  #mayPrune;

  /** @param options `mayPrune`: documents without a writer may be removed */
  constructor({ mayPrune = false } = {}) {
    this.#mayPrune = mayPrune;
  }

  take(who, [verb, first, ...rest]) {
    if (verb === "starting") this.#starting.set(who, first);
    if (verb === "started") {
      const [spanId, n, bytes] = rest;
      this.#starting.delete(who);
      of(this.#touched, who, new Set()).add(first);
      const isLeaving = this.#doomed.has(who) || of(this.#left, who, new Set()).has(first);
      const mayBeGone = this.#mayPrune && isLeaving;
      this.#spans.set(spanId, { session: first, n, bytes, ended: "no", mayBeGone });
    }
    if (verb === "ending") this.#spans.get(first).ended = "asked";
    if (verb === "ended") this.#spans.get(first).ended = "yes";
    if (verb === "begun" && !this.#doomed.has(who)) {
      of(this.#tenants, first, new Map()).set(who, rest[0]);
      this.#left.get(who)?.delete(first);
    }
    if (verb === "fault") this.faults.push(`${who}: ${first}`);
  }

  /** From here on this writer may be gone: it is killed, terminated, or ordered to end. */
  doom(who) {
    this.#doomed.add(who);
    for (const session of this.#touched.get(who) ?? []) this.leave(who, session);
  }

  /** From here on this writer may have ended the session. */
  leave(who, session) {
    of(this.#left, who, new Set()).add(session);
    const tenants = this.#tenants.get(session);
    tenants?.delete(who);
    if (tenants?.size > 0) return;
    this.#tenants.delete(session);
    // No process writes to it from now on: it is like any other ended session.
    if (!this.#mayPrune) return;
    for (const span of this.#spans.values()) if (span.session === session) span.mayBeGone = true;
  }

  /** The writer is dead, and all its lines were read. */
  died(who) {
    this.doom(who);
    if (this.#starting.delete(who)) this.#unacknowledged++;
  }

  /** From here on no process removes documents. */
  pruningEnds() {
    this.#mayPrune = false;
  }

  /**
   * The tokens of live writers, by session and writer. A session gets a new map when it was without a writer in
   * between.
   */
  get running() {
    return this.#tenants;
  }

  /** Sessions that this writer has open. */
  sessionsOf(who) {
    return [...this.#tenants].filter(([, tenants]) => tenants.has(who)).map(([session]) => session);
  }

  get ends() {
    return [...this.#spans.values()].filter(({ ended }) => ended === "yes").length;
  }

  get starts() {
    return this.#spans.size;
  }

  /**
   * What the document of a session may be when its only writer was killed: crashed while a span was open, completed
   * while none was. An action that was announced and not acknowledged leaves both possible.
   */
  get statusesAfterKill() {
    const spans = [...this.#spans.values()];
    const isRunning = spans.some(({ ended }) => ended === "no");
    if (isRunning) return ["crashed"];
    const mayRun = this.#unacknowledged > 0 || spans.some(({ ended }) => ended === "asked");
    return mayRun ? ["crashed", "completed"] : ["completed"];
  }

  /** Flushes are compared while the writers are alive. */
  problemsOfFlush() {
    return [];
  }

  /** The problems of these documents, those of the whole directory, when no process writes any more. */
  problemsIn(documents) {
    const problems = [];
    const found = new Map();
    let unacknowledged = 0;
    for (const { id, spans, summary } of documents) {
      const own = spans.filter(({ kind }) => kind !== "session");
      for (const span of own) {
        if (found.has(span.spanId)) problems.push(`span ${span.spanId} is in two documents`);
        found.set(span.spanId, id);
        const expected = this.#spans.get(span.spanId);
        if (expected) problems.push(...problemsOf(span, expected, id));
        else unacknowledged++;
      }
      const count = summary.totalToolCalls + summary.totalGenerations;
      if (count !== own.length) problems.push(`${id} counts ${count} spans, and has ${own.length}`);
      if (summary.status === "running" || summary.idle) problems.push(`${id} still goes on`);
      if (!this.statuses.includes(summary.status))
        problems.push(`${id} is ${summary.status}, not ${this.statuses.join(" or ")}`);
    }
    for (const [spanId, { session, ended, mayBeGone }] of this.#spans) {
      if (!found.has(spanId) && !mayBeGone)
        problems.push(
          `${session} lost span ${spanId}, which ${ended === "yes" ? "had ended" : "was running"}`,
        );
    }
    if (unacknowledged > this.#unacknowledged)
      problems.push(`${unacknowledged} spans that were never started, of ${this.#unacknowledged} possible`);
    return problems;
  }
}

const of = (map, key, initial) => map.get(key) ?? map.set(key, initial).get(key);

function problemsOf({ spanId, attributes = {}, endTime, interrupted }, { session, n, bytes, ended }, id) {
  const problems = [];
  if (id !== session) problems.push(`span ${spanId} of ${session} is in the document of ${id}`);
  if (attributes.n !== n || attributes.payload !== String(n % 10).repeat(bytes))
    problems.push(`span ${spanId} has another content`);
  if (endTime === undefined) problems.push(`span ${spanId} is still open`);
  if (interrupted && ended === "yes") problems.push(`span ${spanId} had ended, and is interrupted`);
  if (!interrupted && ended === "no") problems.push(`span ${spanId} was running, and is not interrupted`);
  return problems;
}
