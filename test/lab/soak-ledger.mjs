/**
 * What the writers of a soak acknowledged (`programs/soak-sessions.mjs`), and what their documents must hold for
 * it. Every record has a key, which contains its writer and its number.
 */

/** The key of a span of a document. */
const keyOf = ({ attributes, tool, name, kind, input }) =>
  attributes?.k ??
  tool?.callId ??
  /^generation-(.*)$/.exec(name)?.[1] ??
  (kind === "user-message" ? /^question (.*)$/.exec(input)?.[1] : undefined);

const contentOf = ({ attributes, output }) => attributes?.payload ?? output;

export class SoakLedger {
  /** Acknowledged starts, and those among them with an acknowledged end. */
  started = 0;
  ended = 0;
  /** Spans in documents without an acknowledgement: their writer was killed before it. */
  unacknowledged = 0;
  /** Acknowledged while no writer had the session open, or other contradictions: faults of the lab. */
  problems = [];
  #sessions = new Map();
  #sessionOf = new Map();
  #writers = new Map();

  /** A line of a writer. */
  take(writer, [verb, first, ...rest]) {
    this.#writers.set(writer.name, writer);
    const words = {
      opening: () => this.#opening(writer, first),
      start: () => this.#begin(writer, first, ...rest),
      done: () => {
        this.#begin(writer, first, ...rest);
        this.#end(rest[0]);
      },
      end: () => this.#end(first),
      late: () => {
        this.#entry(first).isLate = true;
      },
      closing: () => this.#closing(writer, first, rest[0]),
      closed: () => this.#closed(writer, first, rest[0]),
    };
    if (words[verb]) words[verb]();
    else this.problems.push(`${writer.name} printed: ${[verb, first, ...rest].join(" ")}`);
  }

  /**
   * Sessions that only this writer has open, and how its fence may leave them: completed, if nothing was under way; as the
   * writer was about to end them; or with the error of a writer that had the session beside it. A session that it was
   * about to open may be unchanged.
   */
  openOnlyBy(writer) {
    return [...this.#sessions].flatMap(([id, { open, entries, hasFailedBeside }]) => {
      const own = open.size === 1 ? open.get(writer) : undefined;
      if (!own || own.size === entries.size) return [];
      return [
        { id, statuses: ["crashed", "completed", ...own.asked, ...(hasFailedBeside ? ["error"] : [])] },
      ];
    });
  }

  /** The writer is dead: announced actions may have happened or not. */
  died(writer) {
    for (const session of this.#sessions.values()) {
      if (!session.open.has(writer)) continue;
      const { asked, before, size } = session.open.get(writer);
      session.open.delete(writer);
      session.deaths++;
      // A session that was only opened may be unchanged.
      const isAsBefore = session.entries.size === size;
      // Completed, if nothing was under way.
      session.statuses = new Set(["crashed", "completed", ...asked, ...(isAsBefore ? before : [])]);
      for (const entry of session.entries.values())
        if (entry.writer === writer && !entry.isClosed && asked.length === 0) entry.isCut = true;
    }
  }

  /** The number of acknowledged records of a session. */
  sizeOf(id) {
    return this.#sessions.get(id)?.entries.size ?? 0;
  }

  opensOf(id) {
    return this.#sessions.get(id)?.opens ?? 0;
  }

  has(id) {
    return this.#sessions.has(id);
  }

  /**
   * Compares with a final document, and forgets the session. `maxSpans`: the session has a cap. `isPruned`:
   * retention may have removed older documents of it.
   */
  settle(id, document, { maxSpans = 0, isPruned = false } = {}) {
    const session = this.#sessions.get(id);
    const problems = [];
    const report = (text) => problems.push(`${id} ${text}`);
    this.#sessions.delete(id);
    for (const key of session.entries.keys()) this.#sessionOf.delete(key);
    if (!document) {
      if (session.entries.size > 0 && !isPruned) report(`has no document, of ${session.entries.size} spans`);
      return problems;
    }
    const found = this.#found(document, report);
    const missing = this.#compare(session, found, report);
    const elided = document.spans.find(({ attributes }) => attributes?.elided)?.attributes.elided ?? 0;
    const unacknowledged = [...found.keys()].filter((key) => !session.entries.has(key));
    const strange = unacknowledged.filter((key) => !this.#mayBeUntold(key));
    this.unacknowledged += unacknowledged.length;
    if (!session.isShared && !session.statuses.has(document.summary.status))
      report(`is ${document.summary.status}, not ${[...session.statuses].join(" or ")}`);
    // After retention the session started anew: only the spans in it must be correct.
    if (isPruned) return problems;
    if (strange.length > 0) report(`has ${strange.length} that were never acknowledged, as ${strange[0]}`);
    const extra = elided - missing.length;
    if (extra < 0) {
      const { isEnded } = session.entries.get(missing[0]);
      report(
        `lost ${-extra} of ${session.entries.size}, as ${missing[0]} (${isEnded ? "ended" : "running"})`,
      );
    }
    if (extra > session.deaths) report(`has a marker for ${elided}, and ${missing.length} are not there`);
    // Each crash may leave as many again: lines are left out only when a document is published.
    const most = maxSpans * (1 + session.deaths + session.fences) + 8;
    if (maxSpans > 0 && document.spans.length > most)
      report(`has ${document.spans.length} spans, with a cap of ${maxSpans}, after ${session.deaths} deaths`);
    const { totalToolCalls, totalGenerations } = document.summary;
    const [counted, mostUnacknowledged] = [
      totalToolCalls + totalGenerations,
      unacknowledged.length + Math.max(0, extra),
    ];
    const acknowledged = [...session.entries.values()].filter(({ isCounted }) => isCounted).length;
    if (counted < acknowledged || counted > acknowledged + mostUnacknowledged)
      report(`counts ${counted} tool calls and generations, of ${acknowledged} acknowledged`);
    return problems;
  }

  #found(document, report) {
    const found = new Map();
    for (const span of document.spans) {
      if (span.kind === "session" || span.attributes?.elided) continue;
      const key = keyOf(span);
      if (key === undefined) report(`has a span of no key: ${JSON.stringify(span).slice(0, 120)}`);
      else if (found.has(key)) report(`has ${key} twice`);
      if (span.endTime === undefined) report(`has ${key} still open`);
      found.set(key, span);
    }
    return found;
  }

  /** The keys that are missing. */
  #compare({ entries }, found, report) {
    const missing = [];
    for (const [key, entry] of entries) {
      const span = found.get(key);
      if (!span) missing.push(key);
      else if (entry.isEnded) {
        if (span.interrupted) report(`has ${key} interrupted, which had ended`);
        const { bytes, isLate } = entry;
        if (bytes > 0 && contentOf(span) !== key.at(-1).repeat(bytes))
          report(`has another content in ${key}`);
        if (isLate && span.attributes?.late !== key) report(`lost a late attribute of ${key}`);
      } else if (entry.isCut && !span.interrupted && entry.writer.endsUntold++ > 0)
        report(`has ${key} as ended, which was running when its process died`);
    }
    return missing;
  }

  /** A killed writer may have done one thing more than it acknowledged. */
  #mayBeUntold(key) {
    const [name, n] = key.split(".");
    const writer = this.#writers.get(name);
    return writer?.isDead && Number(n) === writer.last + 1;
  }

  #opening(writer, id) {
    const session = this.#session(id);
    session.opens++;
    session.open.set(writer, { asked: [], before: session.statuses, size: session.entries.size });
    session.statuses = new Set(["crashed", "completed"]);
    if (session.open.size > 1) session.isShared = true;
    if ([...session.open.values()].some(({ asked }) => asked.includes("error")))
      session.hasFailedBeside = true;
  }

  #closing(writer, id, how) {
    const session = this.#session(id);
    session.open.get(writer)?.asked.push(how);
    if (how === "error" && session.open.size > 1) session.hasFailedBeside = true;
  }

  #begin(writer, id, key, bytes, isCounted) {
    writer.last = Number(key.split(".")[1]);
    writer.endsUntold ??= 0;
    this.started++;
    const session = this.#session(id);
    session.entries.set(key, { writer, bytes, isCounted, isEnded: false });
    this.#sessionOf.set(key, session);
  }

  #end(key) {
    this.ended++;
    this.#entry(key).isEnded = true;
  }

  #closed(writer, id, how) {
    const session = this.#session(id);
    session.open.delete(writer);
    // An error waits for the last of several writers.
    if (session.open.size === 0) session.hasFailedBeside = false;
    if (how === "crashed") session.fences++;
    // Open spans ended with the session, with its status.
    for (const entry of session.entries.values()) if (entry.writer === writer) entry.isClosed = true;
    // An earlier crash may be found after this end, and outranks it.
    session.statuses = new Set([how, ...(session.deaths > 0 ? ["crashed"] : [])]);
  }

  #session(id) {
    let session = this.#sessions.get(id);
    if (!session) {
      session = { entries: new Map(), open: new Map(), statuses: new Set(), opens: 0, deaths: 0, fences: 0 };
      this.#sessions.set(id, session);
    }
    return session;
  }

  #entry(key) {
    return this.#sessionOf.get(key)?.entries.get(key) ?? {};
  }
}
