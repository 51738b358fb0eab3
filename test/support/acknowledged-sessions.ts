/**
 * What a killed writer had said, and what its documents must hold for it. Words come in the order in which the
 * writer wrote them: it says what it is about to do, does it, and says that it is done.
 */
import { statusRank } from "../../src/format/session-end.js";
import type { SessionStatus, TraceFile, TraceSpan } from "../../src/format/trace-file.js";

interface AcknowledgedSpan {
  readonly n: number;
  readonly payloadBytes: number;
  ended: "no" | "asked" | "yes";
  /** The end of its session closed it, or may have. */
  closed: "no" | "asked" | SessionStatus;
}

interface AcknowledgedSession {
  readonly spans: Map<string, AcknowledgedSpan>;
  /** What the status may be when the writer is dead and recovered. */
  statuses: Set<SessionStatus>;
  isStarting: boolean;
  closing: SessionStatus | undefined;
  /** What the session may be by the files of a writer that was killed before, which are still to be recovered. */
  wreck: ReadonlySet<SessionStatus>;
}

/** A line of the writer. */
export type Word = readonly [string, ...unknown[]];

export class AcknowledgedSessions {
  readonly #sessions = new Map<string, AcknowledgedSession>();
  readonly #sessionOf = new Map<string, string>();
  /** Starts that were asked for when a writer was killed: their spans may be there or not. */
  #unsaid = 0;

  /** How many ends were acknowledged. */
  ends = 0;
  /** How many starts. */
  starts = 0;

  /** Takes a line in. Those that are not about spans are nobody's. */
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

  /** The same, to be continued in two ways. */
  copy(): AcknowledgedSessions {
    const copy = new AcknowledgedSessions();
    for (const [id, session] of structuredClone(this.#sessions)) copy.#sessions.set(id, session);
    for (const [spanId, id] of this.#sessionOf) copy.#sessionOf.set(spanId, id);
    copy.#unsaid = this.#unsaid;
    copy.ends = this.ends;
    copy.starts = this.starts;
    return copy;
  }

  /** The writer is dead: what it had asked for may have happened or not. */
  died(): void {
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

  /** What the dead left is in the documents. */
  recovered(): void {
    for (const session of this.#sessions.values()) session.wreck = new Set();
  }

  /** What is wrong with these documents; nothing, if the list is empty. */
  problemsIn(documents: readonly TraceFile[]): string[] {
    const problems: string[] = [];
    let unsaid = 0;
    for (const [id, session] of this.#sessions) {
      const own = documents.filter((document) => document.id === id);
      const tell = (text: string) => problems.push(`${JSON.stringify(id)}: ${text}`);
      if (own.length > 1) tell(`has ${own.length} documents`);
      const document = own[0];
      if (!document) {
        if (session.spans.size > 0) tell(`has no document for ${session.spans.size} spans`);
        continue;
      }
      unsaid += problemsOfSession(session, document, tell);
    }
    if (unsaid > this.#unsaid)
      problems.push(`${unsaid} spans that nobody acknowledged, of ${this.#unsaid} possible`);
    return problems;
  }

  #started(sessionId: string, spanId: string, n: number, payloadBytes: number): void {
    this.starts++;
    const session = this.#session(sessionId);
    session.isStarting = false;
    session.statuses = new Set(["crashed"]);
    session.spans.set(spanId, { n, payloadBytes, ended: "no", closed: "no" });
    this.#sessionOf.set(spanId, sessionId);
  }

  #closed(sessionId: string, status: SessionStatus): void {
    const session = this.#session(sessionId);
    session.closing = undefined;
    // The crash or the error of the writer before may be found after this end, and outranks it.
    const outranking = [...session.wreck].filter((before) => statusRank[before] > statusRank[status]);
    session.statuses = new Set([status, ...outranking]);
    for (const span of session.spans.values()) {
      if (span.ended === "no" && span.closed === "no") span.closed = status;
    }
  }

  #session(id: string): AcknowledgedSession {
    let session = this.#sessions.get(id);
    if (!session) {
      const statuses = new Set<SessionStatus>(["crashed"]);
      session = {
        spans: new Map(),
        statuses,
        isStarting: false,
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

/** Tells what is wrong with a session's document; returns how many spans it has that were not acknowledged. */
function problemsOfSession(
  session: AcknowledgedSession,
  document: TraceFile,
  tell: (text: string) => void,
): number {
  const found = new Map<string, TraceSpan>();
  let elided = 0;
  for (const span of document.spans) {
    if (found.has(span.spanId)) tell(`span ${span.spanId} is there twice`);
    found.set(span.spanId, span);
    elided += Number(span.attributes?.elided ?? 0);
  }
  if (!session.statuses.has(document.summary.status))
    tell(`is ${document.summary.status}, not ${[...session.statuses].join(" or ")}`);
  let missing = 0;
  for (const [spanId, expected] of session.spans) {
    const span = found.get(spanId);
    if (span) problemsOfSpan(span, expected, tell);
    else if (elided > 0) missing++;
    else tell(`lost span ${spanId}, ${expected.ended === "yes" ? "which had ended" : "which was running"}`);
  }
  const lines = document.spans.filter((span) => span.kind !== "session" && !span.attributes?.elided);
  const unsaid = lines.filter((span) => !session.spans.has(span.spanId)).length + (elided - missing);
  if (elided < missing) tell(`lost ${missing - elided} spans more than its marker stands for`);
  const { totalToolCalls, totalGenerations } = document.summary;
  const counted = totalToolCalls + totalGenerations;
  if (counted !== session.spans.size + unsaid)
    tell(`counts ${counted} tool calls and generations of ${session.spans.size + unsaid}`);
  return Math.max(0, unsaid);
}

function problemsOfSpan(span: TraceSpan, expected: AcknowledgedSpan, tell: (text: string) => void): void {
  const { n, payload } = (span.attributes ?? {}) as { n?: unknown; payload?: unknown };
  if (n !== expected.n || payload !== String(expected.n % 10).repeat(expected.payloadBytes))
    tell(`span ${span.spanId} has another content`);
  if (span.endTime === undefined) tell(`span ${span.spanId} is still open`);
  const mayHaveEnded = expected.ended !== "no" || (expected.closed !== "no" && expected.closed !== "crashed");
  const mayBeInterrupted =
    expected.ended !== "yes" &&
    (expected.closed === "no" || expected.closed === "asked" || expected.closed === "crashed");
  if (span.interrupted && !mayBeInterrupted) tell(`span ${span.spanId} had ended, and is interrupted`);
  if (!span.interrupted && !mayHaveEnded) tell(`span ${span.spanId} was running, and is not interrupted`);
}
