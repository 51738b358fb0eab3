/**
 * What a killed writer had acknowledged, and what its documents must hold for it. Lines arrive in the order in
 * which the writer wrote them: it announces an action, performs it, and acknowledges it.
 */
import { statusRank } from "../../src/format/session-end.js";
import type { SessionStatus, TraceFile, TraceSpan } from "../../src/format/trace-file.js";

interface AcknowledgedSpan {
  readonly n: number;
  readonly payloadBytes: number;
  ended: "no" | "asked" | "yes";
  /** The end of its session, or the death of its writer, interrupted it or may have. */
  isClosed: boolean;
}

interface AcknowledgedSession {
  readonly spans: Map<string, AcknowledgedSpan>;
  /** The statuses that are allowed when the writer is dead and recovered; empty while the session goes on. */
  statuses: Set<SessionStatus>;
  isStarting: boolean;
  isGoingOn: boolean;
  closing: SessionStatus | undefined;
  /** The statuses that the session may get from the files of an earlier killed writer that are not recovered yet. */
  wreck: ReadonlySet<SessionStatus>;
}

/** A line of the writer. */
export type Word = readonly [string, ...unknown[]];

export class AcknowledgedSessions {
  readonly #sessions = new Map<string, AcknowledgedSession>();
  readonly #sessionOf = new Map<string, string>();
  /** Starts that were announced when a writer was killed: their spans may exist or not. */
  #unacknowledged = 0;

  /** The number of acknowledged ends. */
  ends = 0;
  /** The number of acknowledged starts. */
  starts = 0;

  /** Reads a line. Lines that are not about spans are ignored. */
  take(word: Word): void {
    const [verb, first, ...rest] = word;
    const name = first as string;
    if (verb === "starting") this.#session(name).isStarting = true;
    if (verb === "started") this.#started(name, rest[0] as string, rest[1] as number, rest[2] as number);
    if (verb === "ending") this.#span(name).ended = "asked";
    if (verb === "ended") {
      this.ends++;
      this.#span(name).ended = "yes";
    }
    if (verb === "closing") this.#session(name).closing = rest[0] as SessionStatus;
    if (verb === "closed") this.#closed(name, rest[0] as SessionStatus);
  }

  /** A copy, to continue in two ways. */
  copy(): AcknowledgedSessions {
    const copy = new AcknowledgedSessions();
    for (const [id, session] of structuredClone(this.#sessions)) copy.#sessions.set(id, session);
    for (const [spanId, id] of this.#sessionOf) copy.#sessionOf.set(spanId, id);
    copy.#unacknowledged = this.#unacknowledged;
    copy.ends = this.ends;
    copy.starts = this.starts;
    return copy;
  }

  /** The writer is dead: announced actions may have happened or not. */
  died(): void {
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
  recovered(): void {
    for (const session of this.#sessions.values()) session.wreck = new Set();
  }

  /** The problems of these documents. Empty when there are none. */
  problemsIn(documents: readonly TraceFile[]): string[] {
    const problems: string[] = [];
    let unacknowledged = 0;
    for (const [id, session] of this.#sessions) {
      const own = documents.filter((document) => document.id === id);
      const report = (text: string) => problems.push(`${JSON.stringify(id)}: ${text}`);
      if (own.length > 1) report(`has ${own.length} documents`);
      const document = own[0];
      if (!document) {
        if (session.spans.size > 0) report(`has no document for ${session.spans.size} spans`);
        continue;
      }
      unacknowledged += problemsOfSession(session, document, report);
    }
    if (unacknowledged > this.#unacknowledged)
      problems.push(
        `${unacknowledged} spans that were never acknowledged, of ${this.#unacknowledged} possible`,
      );
    return problems;
  }

  #started(sessionId: string, spanId: string, n: number, payloadBytes: number): void {
    this.starts++;
    const session = this.#session(sessionId);
    session.isStarting = false;
    session.statuses = new Set();
    session.isGoingOn = true;
    session.spans.set(spanId, { n, payloadBytes, ended: "no", isClosed: false });
    this.#sessionOf.set(spanId, sessionId);
  }

  #closed(sessionId: string, status: SessionStatus): void {
    const session = this.#session(sessionId);
    session.closing = undefined;
    // The crash or the error of an earlier writer may be found after this end, and outranks it.
    const outranking = [...session.wreck].filter((before) => statusRank[before] > statusRank[status]);
    session.statuses = new Set([status, ...outranking]);
    session.isGoingOn = false;
    for (const span of session.spans.values()) span.isClosed = true;
  }

  #session(id: string): AcknowledgedSession {
    let session = this.#sessions.get(id);
    if (!session) {
      session = {
        spans: new Map(),
        statuses: new Set<SessionStatus>(),
        isStarting: false,
        isGoingOn: false,
        closing: undefined,
        wreck: new Set<SessionStatus>(),
      };
      this.#sessions.set(id, session);
    }
    return session;
  }

  #span(spanId: string): AcknowledgedSpan {
    return this.#session(this.#sessionOf.get(spanId) as string).spans.get(spanId) as AcknowledgedSpan;
  }
}

/** Reports the problems of a session's document. Returns the number of its spans that were not acknowledged. */
function problemsOfSession(
  session: AcknowledgedSession,
  document: TraceFile,
  report: (text: string) => void,
): number {
  const found = new Map<string, TraceSpan>();
  let elided = 0;
  for (const span of document.spans) {
    if (found.has(span.spanId)) report(`span ${span.spanId} is in it twice`);
    found.set(span.spanId, span);
    elided += Number(span.attributes?.elided ?? 0);
  }
  if (!session.statuses.has(document.summary.status))
    report(`is ${document.summary.status}, not ${[...session.statuses].join(" or ")}`);
  let missing = 0;
  for (const [spanId, expected] of session.spans) {
    const span = found.get(spanId);
    if (span) problemsOfSpan(span, expected, report);
    else if (elided > 0) missing++;
    else report(`lost span ${spanId}, ${expected.ended === "yes" ? "which had ended" : "which was running"}`);
  }
  const lines = document.spans.filter((span) => span.kind !== "session" && !span.attributes?.elided);
  const unacknowledged = lines.filter((span) => !session.spans.has(span.spanId)).length + (elided - missing);
  if (elided < missing) report(`lost ${missing - elided} spans more than its marker counts`);
  const { totalToolCalls, totalGenerations } = document.summary;
  const counted = totalToolCalls + totalGenerations;
  if (counted !== session.spans.size + unacknowledged)
    report(`counts ${counted} tool calls and generations of ${session.spans.size + unacknowledged}`);
  return Math.max(0, unacknowledged);
}

function problemsOfSpan(span: TraceSpan, expected: AcknowledgedSpan, report: (text: string) => void): void {
  const { n, payload } = (span.attributes ?? {}) as { n?: unknown; payload?: unknown };
  if (n !== expected.n || payload !== String(expected.n % 10).repeat(expected.payloadBytes))
    report(`span ${span.spanId} has another content`);
  if (span.endTime === undefined) report(`span ${span.spanId} is still open`);
  if (span.interrupted && expected.ended === "yes")
    report(`span ${span.spanId} had ended, and is interrupted`);
  if (!span.interrupted && expected.ended === "no")
    report(`span ${span.spanId} was running, and is not interrupted`);
}
