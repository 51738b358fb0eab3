/**
 * What a writer had said, and what its documents must hold for it. Words come in the order in which the writer wrote
 * them: it says what it is about to do, does it, and says that it is done (`programs/child.mjs`).
 */

const rank = { running: 0, completed: 1, error: 2, crashed: 3 };

export class Acknowledged {
  #sessions = new Map();
  #sessionOf = new Map();
  /** Starts that were asked for when a writer was killed: their spans may be there or not. */
  #unsaid = 0;
  /** Spans that ended before the flush that is asked for. */
  #flushing = [];
  /** Spans that a flush said are in the document. */
  #flushed = [];

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

  /** The writer is dead: what it had asked for may have happened or not. */
  died() {
    for (const session of this.#sessions.values()) {
      if (session.isStarting) {
        this.#unsaid++;
        session.statuses.add("crashed");
      }
      if (session.closing) session.statuses.add(session.closing);
      for (const span of session.spans.values()) {
        if (span.ended !== "yes" && span.closed === "no") span.closed = session.closing ? "asked" : "crashed";
      }
      session.isStarting = false;
      session.closing = undefined;
      session.wreck = new Set(session.statuses);
    }
  }

  /** What is wrong with these documents, the whole directory's, when nobody writes any more. */
  problemsIn(documents) {
    const problems = [];
    let unsaid = 0;
    for (const [id, session] of this.#sessions) {
      const own = documents.filter((document) => document.id === id);
      const tell = (text) => problems.push(`${id}: ${text}`);
      if (own.length > 1) tell(`has ${own.length} documents`);
      if (own[0]) unsaid += problemsOfSession(session, own[0], tell);
      else if (session.spans.size > 0 && !session.isPrunable)
        tell(`has no document for ${session.spans.size} spans`);
    }
    if (unsaid > this.#unsaid)
      problems.push(`${unsaid} spans that nobody started, of ${this.#unsaid} possible`);
    return problems;
  }

  /** Spans that a flush acknowledged must be in the documents as they stand, before any recovery. */
  problemsOfFlush(documents) {
    const there = new Set(documents.flatMap(({ spans }) => spans.map(({ spanId }) => spanId)));
    const hasMarker = documents.some(({ spans }) => spans.some(({ attributes }) => attributes?.elided));
    if (hasMarker) return [];
    return this.#flushed
      .filter((spanId) => !there.has(spanId) && !this.#session(this.#sessionOf.get(spanId)).isPrunable)
      .map((spanId) => `span ${spanId} was flushed, and is not in the document`);
  }

  /** Retention may remove this session's document. */
  allowRemoval(id) {
    this.#session(id).isPrunable = true;
  }

  get ends() {
    return [...this.#sessions.values()]
      .flatMap(({ spans }) => [...spans.values()])
      .filter(({ ended }) => ended === "yes").length;
  }

  #started(id, spanId, n, bytes) {
    const session = this.#session(id);
    session.isStarting = false;
    session.statuses = new Set(["crashed"]);
    session.spans.set(spanId, { n, bytes, ended: "no", closed: "no" });
    this.#sessionOf.set(spanId, id);
  }

  #closed(id, status) {
    const session = this.#session(id);
    session.closing = undefined;
    // The crash of the writer before may be found after this end, and outranks it.
    const outranking = [...session.wreck].filter((before) => rank[before] > rank[status]);
    session.statuses = new Set([status, ...outranking]);
    for (const span of session.spans.values()) {
      if (span.ended === "no" && span.closed === "no") span.closed = status;
    }
  }

  #session(id) {
    let session = this.#sessions.get(id);
    if (!session) {
      session = { spans: new Map(), statuses: new Set(["crashed"]), isStarting: false, wreck: new Set() };
      this.#sessions.set(id, session);
    }
    return session;
  }

  #span(spanId) {
    // A start that was refused was not acknowledged.
    return this.#sessions.get(this.#sessionOf.get(spanId))?.spans.get(spanId) ?? {};
  }
}

/** Tells what is wrong with a session's document; returns how many spans it has that were not acknowledged. */
function problemsOfSession(session, document, tell) {
  const found = new Map();
  let elided = 0;
  for (const span of document.spans) {
    if (found.has(span.spanId)) tell(`span ${span.spanId} is there twice`);
    found.set(span.spanId, span);
    elided += Number(span.attributes?.elided ?? 0);
  }
  const { status } = document.summary;
  if (!session.statuses.has(status)) tell(`is ${status}, not ${[...session.statuses].join(" or ")}`);
  let missing = 0;
  for (const [spanId, expected] of session.spans) {
    const span = found.get(spanId);
    if (span) problemsOfSpan(span, expected, tell);
    else if (elided > 0) missing++;
    else tell(`lost span ${spanId}, ${expected.ended === "yes" ? "which had ended" : "which was running"}`);
  }
  if (elided < missing) tell(`lost ${missing - elided} spans more than its marker stands for`);
  const lines = document.spans.filter((span) => span.kind !== "session" && !span.attributes?.elided);
  const unsaid = lines.filter(({ spanId }) => !session.spans.has(spanId)).length + (elided - missing);
  const { totalToolCalls, totalGenerations } = document.summary;
  const counted = totalToolCalls + totalGenerations;
  if (counted !== session.spans.size + unsaid)
    tell(`counts ${counted} tool calls and generations of ${session.spans.size + unsaid}`);
  return Math.max(0, unsaid);
}

function problemsOfSpan(span, { n, bytes, ended, closed }, tell) {
  const { attributes = {}, spanId } = span;
  if (attributes.n !== n || attributes.payload !== String(n % 10).repeat(bytes))
    tell(`span ${spanId} has another content`);
  if (span.endTime === undefined) tell(`span ${spanId} is still open`);
  const mayHaveEnded = ended !== "no" || (closed !== "no" && closed !== "crashed");
  const mayBeInterrupted = ended !== "yes" && (closed === "no" || closed === "asked" || closed === "crashed");
  if (span.interrupted && !mayBeInterrupted) tell(`span ${spanId} had ended, and is interrupted`);
  if (!span.interrupted && !mayHaveEnded) tell(`span ${spanId} was running, and is not interrupted`);
}
