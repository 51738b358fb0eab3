/**
 * What a writer had acknowledged, and what its documents must hold for it. Lines arrive in the order in which the
 * writer wrote them: it announces an action, performs it, and acknowledges it (`programs/kill-writer.mjs`,
 * `lab/programs/child.mjs`). For tests and for the proof lab, which runs without a compiler.
 */

const rank = { running: 0, completed: 1, error: 2, crashed: 3 };

export class AcknowledgedSessions {
  #sessions = new Map();
  #sessionOf = new Map();
  /** Starts that were announced when a writer was killed: their spans may exist or not. */
  #unacknowledged = 0;
  /** Spans that ended before the announced flush. */
  #flushing = [];
  /** Spans that are in the document, by an acknowledged flush. */
  #flushed = [];

  /** Reads a line. Lines of other kinds are ignored. */
  take([verb, first, ...rest]) {
    if (verb === "starting") this.#session(first).isStarting = true;
    if (verb === "started") this.#started(first, ...rest);
    if (verb === "ending") this.#span(first).ended = "asked";
    if (verb === "ended") this.#span(first).ended = "yes";
    if (verb === "closing") this.#session(first).closing = rest[0];
    if (verb === "closed") this.#closed(first, rest[0]);
    if (verb === "flushing") this.#flushing = [...this.#sessionOf.keys()];
    if (verb === "flushed") this.#flushed = this.#flushing;
  }

  /** A copy, to continue in two ways. */
  copy() {
    const copy = new AcknowledgedSessions();
    copy.#sessions = structuredClone(this.#sessions);
    copy.#sessionOf = new Map(this.#sessionOf);
    copy.#unacknowledged = this.#unacknowledged;
    copy.#flushing = this.#flushing;
    copy.#flushed = this.#flushed;
    return copy;
  }

  /** The writer is dead: announced actions may have happened or not. */
  died() {
    for (const session of this.#sessions.values()) {
      if (session.isStarting) {
        this.#unacknowledged++;
        // Without the span that was starting, nothing may have been under way.
        session.statuses.add("crashed");
        session.isGoingOn = true;
      }
      const open = [...session.spans.values()].filter((span) => span.ended !== "yes" && !span.isClosed);
      // Under way with an open span; the end of a span that was asked for may have happened or not.
      if (session.isGoingOn) {
        if (open.length > 0) session.statuses.add("crashed");
        if (open.every(({ ended }) => ended === "asked")) session.statuses.add("completed");
        for (const before of session.wreck) session.statuses.add(before);
      }
      if (session.closing) session.statuses.add(session.closing);
      for (const span of open) span.isClosed = true;
      session.isGoingOn = false;
      session.isStarting = false;
      session.closing = undefined;
      session.wreck = new Set(session.statuses);
    }
  }

  /** The files of dead writers are merged into the documents. */
  recovered() {
    for (const session of this.#sessions.values()) session.wreck = new Set();
  }

  /** The problems of these documents, those of the whole directory, when no process writes any more. */
  problemsIn(documents) {
    const problems = [];
    let unacknowledged = 0;
    for (const [id, session] of this.#sessions) {
      const own = documents.filter((document) => document.id === id);
      const report = (text) => problems.push(`${JSON.stringify(id)}: ${text}`);
      if (own.length > 1) report(`has ${own.length} documents`);
      if (own[0]) unacknowledged += problemsOfSession(session, own[0], report);
      else if (session.spans.size > 0 && !session.isPrunable)
        report(`has no document for ${session.spans.size} spans`);
    }
    if (unacknowledged > this.#unacknowledged)
      problems.push(`${unacknowledged} spans that were never started, of ${this.#unacknowledged} possible`);
    return problems;
  }

  /** Spans of an acknowledged flush must be in the present documents, before any recovery. */
  problemsOfFlush(documents) {
    const there = new Set(documents.flatMap(({ spans }) => spans.map(({ spanId }) => spanId)));
    const hasMarker = documents.some(({ spans }) => spans.some(({ attributes }) => attributes?.elided));
    if (hasMarker) return [];
    return this.#flushed
      .filter((spanId) => !there.has(spanId) && !this.#session(this.#sessionOf.get(spanId)).isPrunable)
      .map((spanId) => `span ${spanId} was flushed, and is not in the document`);
  }

  /** Allows retention to remove this session's document. */
  allowRemoval(id) {
    this.#session(id).isPrunable = true;
  }

  /** The number of acknowledged ends. */
  get ends() {
    return this.#spans().filter(({ ended }) => ended === "yes").length;
  }

  /** The number of acknowledged starts. */
  get starts() {
    return this.#spans().length;
  }

  #spans() {
    return [...this.#sessions.values()].flatMap(({ spans }) => [...spans.values()]);
  }

  #started(id, spanId, n, bytes) {
    const session = this.#session(id);
    session.isStarting = false;
    session.statuses = new Set();
    session.isGoingOn = true;
    session.spans.set(spanId, { n, bytes, ended: "no", isClosed: false });
    this.#sessionOf.set(spanId, id);
  }

  #closed(id, status) {
    const session = this.#session(id);
    session.closing = undefined;
    // The crash or the error of an earlier writer may be found after this end, and outranks it.
    const outranking = [...session.wreck].filter((before) => rank[before] > rank[status]);
    session.statuses = new Set([status, ...outranking]);
    session.isGoingOn = false;
    for (const span of session.spans.values()) span.isClosed = true;
  }

  #session(id) {
    let session = this.#sessions.get(id);
    if (!session) {
      session = {
        spans: new Map(),
        statuses: new Set(),
        isStarting: false,
        isGoingOn: false,
        closing: undefined,
        wreck: new Set(),
      };
      this.#sessions.set(id, session);
    }
    return session;
  }

  #span(spanId) {
    // A start that was refused was not acknowledged.
    return this.#sessions.get(this.#sessionOf.get(spanId))?.spans.get(spanId) ?? {};
  }
}

/** Reports the problems of a session's document. Returns the number of its spans that were not acknowledged. */
function problemsOfSession(session, document, report) {
  const found = new Map();
  let elided = 0;
  for (const span of document.spans) {
    if (found.has(span.spanId)) report(`span ${span.spanId} is in it twice`);
    found.set(span.spanId, span);
    elided += Number(span.attributes?.elided ?? 0);
  }
  const { status } = document.summary;
  if (!session.statuses.has(status)) report(`is ${status}, not ${[...session.statuses].join(" or ")}`);
  let missing = 0;
  for (const [spanId, expected] of session.spans) {
    const span = found.get(spanId);
    if (span) problemsOfSpan(span, expected, report);
    else if (elided > 0) missing++;
    else report(`lost span ${spanId}, ${expected.ended === "yes" ? "which had ended" : "which was running"}`);
  }
  if (elided < missing) report(`lost ${missing - elided} spans more than its marker stands for`);
  const lines = document.spans.filter((span) => span.kind !== "session" && !span.attributes?.elided);
  const unacknowledged = lines.filter(({ spanId }) => !session.spans.has(spanId)).length + (elided - missing);
  const { totalToolCalls, totalGenerations } = document.summary;
  const counted = totalToolCalls + totalGenerations;
  if (counted !== session.spans.size + unacknowledged)
    report(`counts ${counted} tool calls and generations of ${session.spans.size + unacknowledged}`);
  return Math.max(0, unacknowledged);
}

function problemsOfSpan(span, { n, bytes, ended }, report) {
  const { attributes = {}, spanId } = span;
  if (attributes.n !== n || attributes.payload !== String(n % 10).repeat(bytes))
    report(`span ${spanId} has another content`);
  if (span.endTime === undefined) report(`span ${spanId} is still open`);
  if (span.interrupted && ended === "yes") report(`span ${spanId} had ended, and is interrupted`);
  if (!span.interrupted && ended === "no") report(`span ${spanId} was running, and is not interrupted`);
}
