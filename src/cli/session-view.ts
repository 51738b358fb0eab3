/**
 * A session as the viewer shows it: one small row for each span, and the numbers that `postmortem` and `stats` show. Inputs,
 * outputs and attributes stay out: the page asks for those of the spans that it shows.
 */

import { isRecord } from "../format/json-value.js";
import { isEndUnseen } from "../format/session-end.js";
import type { ResourceRecord, ScopeRecord, SessionMetadata, TraceSpan } from "../format/trace-file.js";
import { isTime } from "../platform/epoch-time.js";
import { safeText, valueLine } from "../text/display-text.js";
import {
  analyse,
  contextOf,
  durationOf,
  gistOf,
  type Node,
  nameOf,
  type SpanState,
  spokenIn,
  turnsOf,
} from "./analysis.js";
import { type ContextChart, contextCalls, contextChart } from "./context-calls.js";
import { type Postmortem, postmortemOf, type Step } from "./postmortem.js";
import { type ParentSession, parentOf, type SessionState, type WriterState } from "./session-catalog.js";
import type { ReadSession } from "./session-reference.js";
import { Usage, type UsageReport } from "./usage.js";

/** A span of a view. */
export interface ViewRow {
  /** Number of the span: the same in every view that has the same {@link RowNumbers}. */
  readonly n: number;
  /** Number of the parent. */
  readonly parent?: number;
  readonly spanId: string;
  /** Present where it differs from the trace id of the document. */
  readonly traceId?: string;
  readonly kind: string;
  readonly name: string;
  readonly state: SpanState;
  /** Epoch milliseconds. */
  readonly start: number;
  /** Epoch milliseconds; absent while the span runs. */
  readonly end?: number;
  /** Milliseconds; of a span that runs, until the last sign of life. `null`: not known. */
  readonly ms: number | null;
  /** The time of its end is not known: it ran for at least so long. */
  readonly isLeast?: true;
  readonly turn: number;
  readonly tokens?: number;
  /** Tokens that a model call read. */
  readonly context?: number;
  readonly cost?: number;
  /** The beginning of what says most about a call. */
  readonly gist?: string;
  /** The beginning of the error message. */
  readonly error?: string;
  /** The block of a shared page that has the span. */
  readonly block?: number;
}

/** A step of a report: where, when, and the beginning of what went in and out. */
export type ViewStep = Omit<Step, "input" | "output"> & { readonly input?: string; readonly output?: string };

interface ViewReport
  extends Omit<
    Postmortem,
    "path" | "asked" | "open" | "lastCompleted" | "lastError" | "lastModelCall" | "models"
  > {
  readonly asked?: string;
  readonly open: readonly ViewStep[];
  readonly lastCompleted?: ViewStep;
  readonly lastError?: ViewStep;
  readonly lastModelCall?: ViewStep;
}

interface ViewTurn {
  /** From 1. */
  readonly index: number;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** The beginning of what the user wrote. */
  readonly message?: string;
}

/** Everything of a view but its rows. */
export interface ViewHead {
  readonly schema: "crash-safe-file/view/1";
  readonly id: string;
  /** Name of the document, without its end. */
  readonly name: string;
  readonly state: SessionState;
  readonly writer: WriterState;
  readonly traceId: string;
  readonly metadata: SessionMetadata;
  /** Epoch milliseconds: first start and last sign of life. */
  readonly from: number;
  readonly to: number;
  /** Spans that a limit left out. */
  readonly elided: number;
  /** As `list` counts them; `turns` groups the spans of any client. */
  readonly turnCount: number;
  readonly turns: readonly ViewTurn[];
  readonly report: ViewReport;
  readonly usage: UsageReport;
  readonly context?: ContextChart;
  readonly narrative?: string;
  readonly parent?: ParentSession;
  /** What `resource` and `scope` of spans stand for. */
  readonly resources?: Readonly<Record<string, ResourceRecord>>;
  readonly scopes?: Readonly<Record<string, ScopeRecord>>;
}

export interface SessionView {
  readonly head: ViewHead;
  /** In order of start, and of their numbers. */
  readonly rows: readonly ViewRow[];
}

/** A view with the spans of its rows by their numbers. */
export interface ViewedSession extends SessionView {
  readonly spans: ReadonlyMap<number, TraceSpan>;
}

/** Gives each span of a session a number that stays when the session is read again. */
export class RowNumbers {
  readonly #numbers = new Map<string, number>();

  of(key: string): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const next = this.#numbers.size;
    this.#numbers.set(key, next);
    return next;
  }
}

const longest = { gist: 120, step: 400, message: 400 } as const;

export function viewOf(session: ReadSession, numbers: RowNumbers): ViewedSession {
  const analysis = analyse(session.trace);
  const { trace, from, to, elided, turns } = analysis;
  const usage = new Usage();
  usage.add(session.id, analysis);
  const numbered = numberedNodes(
    [...new Set([...analysis.roots, ...analysis.nodes])],
    trace.traceId,
    numbers,
  );
  const context = contextChart(contextCalls(analysis.nodes), (node) => numbered.get(node) ?? 0);
  const parent = parentOf(trace.spans);
  const { path: _, models: __, ...report } = postmortemOf(session, analysis);
  const { asked, open, lastCompleted, lastError, lastModelCall, ...facts } = report;
  return {
    head: safeTexts({
      schema: "crash-safe-file/view/1",
      id: session.id,
      name: session.found.files.name,
      state: session.state,
      writer: session.writer,
      traceId: trace.traceId,
      metadata: trace.metadata,
      from,
      to,
      elided,
      turnCount: turnsOf(analysis),
      turns: turns.map(({ index, startedAt, message }) => ({
        index,
        startedAt: isTime(startedAt) ? startedAt : from,
        ...text("message", message, longest.message),
      })),
      report: {
        ...facts,
        ...text("asked", asked, longest.message),
        open: open.map(stepOf),
        ...(lastCompleted && { lastCompleted: stepOf(lastCompleted) }),
        ...(lastError && { lastError: stepOf(lastError) }),
        ...(lastModelCall && { lastModelCall: stepOf(lastModelCall) }),
      },
      usage: usage.report(false),
      ...(context && { context }),
      ...text("narrative", trace.summary.narrative, longest.message),
      ...(parent && { parent }),
      ...(isRecord(trace.resources) && { resources: trace.resources }),
      ...(isRecord(trace.scopes) && { scopes: trace.scopes }),
    }),
    rows: [...numbered]
      .map(([node, n]) => rowOf(node, n, numbered, from, to))
      .sort((a, b) => a.start - b.start || a.n - b.n),
    spans: new Map([...numbered].map(([{ span }, n]) => [n, span])),
  };
}

/** A copy with visible signs in place of control characters and of marks that reorder text. */
function safeTexts<T>(value: T): T {
  if (typeof value === "string") return safeText(value) as T;
  if (Array.isArray(value)) return value.map(safeTexts) as T;
  if (typeof value !== "object" || value === null) return value;
  // An id of a span is compared with those of rows.
  const members = Object.entries(value).map(([key, member]) => [
    key,
    key === "spanId" ? member : safeTexts(member),
  ]);
  return Object.fromEntries(members) as T;
}

/** Spans with the number that each has. A damaged document can have two with one id. */
function numberedNodes(nodes: readonly Node[], traceId: string, numbers: RowNumbers): Map<Node, number> {
  const seen = new Map<string, number>();
  return new Map(
    nodes.map((node) => {
      const key = `${node.span.traceId ?? traceId} ${node.span.spanId} ${node.span.kind}`;
      const times = seen.get(key) ?? 0;
      seen.set(key, times + 1);
      return [node, numbers.of(times === 0 ? key : `${key} ${times}`)];
    }),
  );
}

function rowOf(
  node: Node,
  n: number,
  numbered: ReadonlyMap<Node, number>,
  from: number,
  to: number,
): ViewRow {
  const { span, state, turn } = node;
  const parent = node.parent && numbered.get(node.parent);
  const { tokens, cost, endTime, statusMessage } = span;
  const context = contextOf(span);
  // A span without a time stands where the time nearest to it is.
  const start = [span.startTime, endTime].find(isTime) ?? from;
  const ms = durationOf(span, to);
  return {
    n,
    ...(parent !== undefined && { parent }),
    spanId: String(span.spanId),
    ...(span.traceId !== undefined && { traceId: span.traceId }),
    kind: span.kind,
    name: valueLine(nameOf(span)).slice(0, longest.gist),
    state,
    start,
    ...(endTime !== undefined && { end: Math.max(start, isTime(endTime) ? endTime : start) }),
    ms: Number.isFinite(ms) ? ms : null,
    ...(isEndUnseen(span) && { isLeast: true as const }),
    turn,
    ...(tokens && { tokens: finite(tokens.total, 0) }),
    ...(context > 0 && { context }),
    ...(cost !== undefined && { cost: finite(cost, 0) }),
    ...text("gist", gist(span), longest.gist),
    ...text("error", statusMessage, longest.gist),
  };
}

/** What a model answered, and what a tool or a user was given. */
const gist = ({ kind, input, output }: TraceSpan): unknown =>
  kind === "generation" || kind === "text" ? spokenIn(output) : gistOf(input);

function stepOf({ input, output, message, ...step }: Step): ViewStep {
  return {
    ...step,
    ...text("message", message, longest.step),
    ...text("input", input === undefined ? undefined : gistOf(input), longest.step),
    ...text("output", output, longest.step),
  };
}

/** A member with the beginning of a value in one line; none for a value without text. */
function text<Name extends string>(
  name: Name,
  value: unknown,
  most: number,
): { readonly [N in Name]?: string } {
  const line = valueLine(value);
  if (line === "") return {};
  const shown = line.length > most ? `${line.slice(0, most - 1)}…` : line;
  return { [name]: shown } as { readonly [N in Name]?: string };
}

const finite = (value: number | undefined, otherwise: number): number =>
  typeof value === "number" && Number.isFinite(value) ? value : otherwise;
