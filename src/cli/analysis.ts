/** What a session did, computed from its spans: tree, turns, model calls, tools, retries, and what was open at its end. */
import { elidedTotals } from "../format/cap.js";
import { beginsTurn } from "../format/counters.js";
import { isRoot } from "../format/document.js";
import { totalsOf } from "../format/summary.js";
import { ToolLoops } from "../format/tool-loops.js";
import type { SessionSummary, ToolLoop, TraceFile, TraceSpan } from "../format/trace-file.js";
import { validMetadata, validSpan, validSummary } from "../format/validate.js";
import { isTime } from "../platform/epoch-time.js";

/** `cut`: closed by a crash, a recovery, a resume or an end, not by the program. */
export type SpanState = "ok" | "failed" | "running" | "cut";

/** A span with its place. */
export interface Node {
  readonly span: TraceSpan;
  readonly state: SpanState;
  parent: Node | undefined;
  readonly children: Node[];
  /** 0 for the session span. */
  depth: number;
  /** From 1; 0 for what is in no turn. */
  turn: number;
}

/** A part of a session that a user's message began, or a trace where no message is known. */
interface Turn {
  /** From 1. */
  readonly index: number;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** What the user wrote. */
  readonly message: unknown;
}

/** Calls of one tool or model under one parent, each after the failure of the one before. */
export interface RetryGroup {
  readonly name: string;
  readonly attempts: number;
  readonly failed: number;
  /** Duration of the failed attempts, in milliseconds. */
  readonly wastedMillis: number;
  /** Tokens and cost of failed model calls. */
  readonly wastedTokens: number;
  readonly wastedCost: number;
  /** Whether the last attempt succeeded. */
  readonly isSolved: boolean;
}

export interface Analysis {
  readonly trace: TraceFile;
  /** Without the session span and elision markers; in order of start. */
  readonly nodes: readonly Node[];
  /** The session span and the other nodes without a parent, in order of start. */
  readonly roots: readonly Node[];
  readonly turns: readonly Turn[];
  /** Epoch milliseconds: first start and last sign of life. */
  readonly from: number;
  readonly to: number;
  /** Spans that a limit left out. */
  readonly elided: number;
  readonly loops: readonly ToolLoop[];
  readonly retries: readonly RetryGroup[];
}

export const spanState = ({ interrupted, endTime, status }: TraceSpan): SpanState => {
  if (interrupted) return "cut";
  if (endTime === undefined) return "running";
  return status === "error" ? "failed" : "ok";
};

/** Where a model reports no identity, the name of its span. */
export const modelOf = (span: TraceSpan): string => span.model?.modelId ?? span.name;

/** Name of a span for people. */
export const nameOf = (span: TraceSpan): string =>
  span.kind === "generation" ? `model ${modelOf(span)}` : String(span.name);

/** Tokens that a model call read: what fills its context window. */
export const contextOf = ({ tokens }: TraceSpan): number =>
  tokens ? (tokens.input || 0) + (tokens.cacheRead || 0) + (tokens.cacheWrite || 0) : 0;

/** Milliseconds of a span; of one that was not ended by its program, until the last sign of life. `NaN`: not known. */
export function durationOf({ startTime, endTime, tool }: TraceSpan, to: number): number {
  const end = endTime ?? to;
  return isTime(startTime) && isTime(end) ? (tool?.durationMs ?? Math.max(0, end - startTime)) : Number.NaN;
}

/** Spans without a time come first. */
const byStart = (a: Node, b: Node): number =>
  (isTime(a.span.startTime) ? a.span.startTime : Number.MIN_SAFE_INTEGER) -
  (isTime(b.span.startTime) ? b.span.startTime : Number.MIN_SAFE_INTEGER);

/** `now`: epoch milliseconds, for a session that a living process writes. */
export function analyse(given: TraceFile, now = 0): Analysis {
  const spans = given.spans.map(validSpan);
  const trace = { ...given, metadata: validMetadata(given.metadata), summary: wholeSummary(given, spans) };
  const elided = spans.reduce((sum, span) => sum + (elidedTotals(span) ? elidedCount(span) : 0), 0);
  const shown = spans.filter((span) => elidedTotals(span) === undefined);
  const all = linked(shown, given.traceId);
  const nodes = all.filter(({ span }) => !isRoot(span));
  const times = nodes.length > 0 ? nodes : all;
  const starts = times.map(({ span }) => span.startTime).filter(isTime);
  const started = Date.parse(trace.startedAt);
  const from = starts.reduce(
    (a, b) => Math.min(a, b),
    Number.isNaN(started) ? Number.POSITIVE_INFINITY : started,
  );
  const ends = all.map(({ span }) => span.endTime ?? span.startTime).filter(isTime);
  const ended = Date.parse(trace.endedAt);
  const to = ends.reduce((a, b) => Math.max(a, b), Math.max(now, Number.isNaN(ended) ? from : ended));
  const turns = assignTurns(nodes, trace);
  return {
    trace,
    nodes,
    roots: all.filter(({ parent }) => parent === undefined),
    turns,
    from: Number.isFinite(from) ? from : 0,
    to: Number.isFinite(to) ? to : 0,
    elided,
    loops: loopsOf(trace, nodes),
    retries: retriesOf(all, Number.isFinite(to) ? to : 0),
  };
}

/** The number of turns, as a listing has it; documents of older versions lack it. */
export const turnsOf = ({ trace, turns }: Analysis): number => trace.summary.turns ?? turns.length;

/** Documents of other programs may lack the sums: they are counted from the spans. */
function wholeSummary({ summary }: TraceFile, spans: readonly TraceSpan[]): SessionSummary {
  const known = validSummary(summary);
  if (typeof known.totalToolCalls === "number") return known;
  const totals = totalsOf(undefined, spans);
  return { ...known, ...totals.counts, tokens: totals.tokens };
}

function elidedCount({ attributes }: TraceSpan): number {
  const count = attributes?.elided;
  return typeof count === "number" ? count : 0;
}

/** Ids are unique within a trace only: a parent of the same trace comes first. */
function linked(spans: readonly TraceSpan[], traceId: string): Node[] {
  const traceOf = (span: TraceSpan) => span.traceId ?? traceId;
  const nodes: Node[] = spans.map((span) => ({
    span,
    state: spanState(span),
    parent: undefined,
    children: [],
    depth: -1,
    turn: 0,
  }));
  const byKey = new Map<string, Node>();
  const byId = new Map<string, Node>();
  for (const node of nodes) {
    byKey.set(`${traceOf(node.span)} ${node.span.spanId}`, node);
    if (!byId.has(node.span.spanId)) byId.set(node.span.spanId, node);
  }
  const root = nodes.find(({ span }) => isRoot(span));
  for (const node of nodes) {
    const { parentSpanId } = node.span;
    if (node === root) continue;
    node.parent =
      byKey.get(`${traceOf(node.span)} ${parentSpanId}`) ?? byId.get(String(parentSpanId)) ?? root;
  }
  for (const node of nodes) measureDepth(node, root);
  for (const node of nodes) node.parent?.children.push(node);
  for (const { children } of nodes) children.sort(byStart);
  return nodes.sort(byStart);
}

/**
 * Sets the depth of a node and of all above it. Damaged documents and other programs can have a circle of parents: it is
 * cut, and hangs under the session span.
 */
function measureDepth(node: Node, root: Node | undefined): void {
  const path: Node[] = [];
  const seen = new Set<Node>();
  let at: Node | undefined = node;
  while (at && at.depth < 0) {
    if (seen.has(at)) {
      at.parent = at === root ? undefined : root;
      break;
    }
    seen.add(at);
    path.push(at);
    at = at.parent;
  }
  for (const one of path.reverse()) one.depth = one.parent ? Math.max(0, one.parent.depth) + 1 : 0;
}

function assignTurns(nodes: readonly Node[], trace: TraceFile): Turn[] {
  const messages = nodes.filter(({ span }) => beginsTurn(span));
  if (messages.length > 0) {
    const turns = messages.map(({ span }, position) => ({
      index: position + 1,
      startedAt: span.startTime,
      message: span.kind === "user-message" ? span.input : askedOf(span, position, trace),
    }));
    // Both are in order of start. A span that started with the message of a turn belongs to the turn.
    let turn = 0;
    for (const node of nodes) {
      while (messages[turn] === node || (turns[turn]?.startedAt ?? Number.NaN) <= node.span.startTime) turn++;
      node.turn = turn;
    }
    return turns;
  }
  const turns = new Map<string, Turn>();
  for (const node of nodes) {
    const key = node.span.traceId ?? trace.traceId;
    const turn = turns.get(key) ?? {
      index: turns.size + 1,
      startedAt: node.span.startTime,
      message: askedOf(node.span, turns.size, trace),
    };
    turns.set(key, turn);
    node.turn = turn.index;
  }
  return [...turns.values()];
}

/** What the user asked in a turn of a client that has no messages of the user. `position`: of the turn. */
const askedOf = (span: TraceSpan, position: number, trace: TraceFile): string | undefined =>
  (position === 0 ? trace.metadata.prompt : undefined) ?? askedIn(span.input);

/** What the user wrote last, in the messages that an agent or a model was given. */
function askedIn(input: unknown): string | undefined {
  if (!Array.isArray(input)) return undefined;
  const messages: readonly ({ role?: unknown } | null)[] = input;
  const said = spokenIn(messages.filter((message) => message?.role === "user").slice(-1));
  return typeof said === "string" ? said : undefined;
}

function loopsOf({ summary }: TraceFile, nodes: readonly Node[]): readonly ToolLoop[] {
  if (Array.isArray(summary.loops)) return summary.loops;
  const loops = new ToolLoops();
  const ended = nodes.filter(({ span }) => span.kind === "tool" && span.endTime !== undefined);
  const inOrder = ended.sort((a, b) => (a.span.endTime ?? 0) - (b.span.endTime ?? 0));
  for (const { span } of inOrder) loops.add(span.name, span.input);
  return loops.loops();
}

function retriesOf(nodes: readonly Node[], to: number): RetryGroup[] {
  const groups: RetryGroup[] = [];
  for (const { children } of nodes) {
    const runs = new Map<string, Node[]>();
    const close = (run: readonly Node[] | undefined) => {
      const failed = run?.filter(({ state }) => state === "failed") ?? [];
      if (run && run.length > 1) groups.push(groupOf(run, failed, to));
    };
    for (const node of children) {
      const { kind, startTime } = node.span;
      if (kind !== "tool" && kind !== "generation" && kind !== "embedding") continue;
      const name = `${kind} ${nameOf(node.span)}`;
      const run = runs.get(name);
      const previous = run?.at(-1);
      // A call after a failed one of its name tries again; one that began before the failure, or after a success, does not.
      if (run && previous?.state === "failed" && (previous.span.endTime ?? to) <= startTime) run.push(node);
      else {
        close(run);
        runs.set(name, [node]);
      }
    }
    for (const run of runs.values()) close(run);
  }
  return groups;
}

function groupOf(run: readonly Node[], failed: readonly Node[], to: number): RetryGroup {
  const sum = (of: (span: TraceSpan) => number) => failed.reduce((total, { span }) => total + of(span), 0);
  return {
    name: nameOf((run[0] as Node).span),
    attempts: run.length,
    failed: failed.length,
    wastedMillis: sum((span) => durationOf(span, to) || 0),
    wastedTokens: sum((span) => span.tokens?.total ?? 0),
    wastedCost: sum((span) => span.cost ?? 0),
    isSolved: run.at(-1)?.state === "ok",
  };
}

/** The part of an input that says most about a call: what messages say, its only text, a well-known member, else its JSON. */
export function gistOf(input: unknown): unknown {
  if (Array.isArray(input)) return spokenIn(input);
  if (typeof input !== "object" || input === null) return input;
  const members = input as Record<string, unknown>;
  for (const key of gistKeys)
    if (typeof members[key] === "string" && members[key] !== "") return members[key];
  const texts = Object.values(members).filter((value) => typeof value === "string");
  return texts.length === 1 ? texts[0] : input;
}

/** What the parts of messages say, and which tools they call: `I look first. → read_file`. Any other value as it is. */
export function spokenIn(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  const parts = value.flatMap((message: { content?: unknown } | null) => message?.content ?? []);
  const said = parts.flatMap((part: { type?: unknown; content?: unknown; name?: unknown } | string) => {
    if (typeof part === "string") return part;
    if (part?.type === "tool_call" && typeof part.name === "string") return `→ ${part.name}`;
    return part?.type === "text" && typeof part.content === "string" ? part.content : [];
  });
  return said.length > 0 ? said.join(" ") : value;
}

/** A value in full: messages as a conversation, other values that are no text as JSON. */
export const valueText = (value: unknown): string =>
  typeof value === "string" ? value : (conversationIn(value) ?? JSON.stringify(value, null, 2) ?? "");

/** Messages as a text with all that they hold; `undefined` where they hold more than texts and calls of tools. */
function conversationIn(value: unknown): string | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const lines: string[] = [];
  for (const message of value as readonly ({ role?: unknown; content?: unknown } | null)[]) {
    const { role, content } = message ?? {};
    const parts: unknown = typeof content === "string" ? [{ type: "text", content }] : content;
    if (!Array.isArray(parts)) return undefined;
    const isAnswer = role === undefined || role === "assistant";
    for (const part of parts) {
      if (part?.type === "text" && typeof part.content === "string")
        lines.push(isAnswer ? part.content : `${role}: ${part.content}`);
      else if (part?.type === "tool_call" && typeof part.name === "string")
        lines.push(
          `→ ${part.name}${part.arguments === undefined ? "" : ` ${JSON.stringify(part.arguments)}`}`,
        );
      else return undefined;
    }
  }
  return lines.join("\n");
}

const gistKeys = [
  "command",
  "cmd",
  "pattern",
  "query",
  "sql",
  "url",
  "path",
  "file_path",
  "filePath",
  "file",
  "prompt",
];
