/**
 * What a session was doing when it ended: facts from its spans, for people, issues, and the agent that resumes. Nothing
 * here is a guess: what a span does not show is absent.
 */
import { isEndUnseen } from "../format/session-end.js";
import type { TraceSpan } from "../format/trace-file.js";
import { isoOrNull } from "../platform/epoch-time.js";
import {
  type Analysis,
  contextOf,
  durationOf,
  modelOf,
  type Node,
  nameOf,
  type RetryGroup,
} from "./analysis.js";
import { evidenceOf } from "./session-header.js";
import type { ReadSession } from "./session-reference.js";
import { toolRequests } from "./tool-requests.js";

/** A span of a report. */
export interface Step {
  readonly spanId: string;
  readonly kind: string;
  readonly name: string;
  /** Names of the spans above, outermost first, without the session. */
  readonly within: readonly string[];
  readonly turn: number;
  /** `null` where it is not known. */
  readonly startedAt: string | null;
  /** Milliseconds; of an open span, from its start to the last sign of life. `null` where it is not known. */
  readonly durationMs: number | null;
  /** The time of its end is not known: it ran for at least so long. */
  readonly isLeast?: true;
  readonly input?: unknown;
  readonly output?: unknown;
  readonly message?: string;
}

interface ModelUse {
  readonly model: string;
  readonly calls: number;
  readonly tokens: number;
  readonly cost: number;
}

export interface Postmortem {
  readonly id: string;
  readonly path: string;
  readonly status: string;
  /** Why the status is what it is; empty for a session that ended by itself. */
  readonly evidence: string;
  readonly detector?: string;
  readonly error?: string;
  /** A recovery wrote the end of the document, not the program. */
  readonly isReconstructed: boolean;
  readonly writer: { readonly state: string; readonly pids: readonly number[] };
  /** `null` where it is not known, like `lastSeenAt`, the last sign of life. */
  readonly startedAt: string | null;
  readonly lastSeenAt: string | null;
  readonly title?: string;
  readonly agent?: string;
  readonly model?: string;
  readonly turn: number;
  /** The last message of the user. */
  readonly asked?: unknown;
  /** Innermost first. */
  readonly open: readonly Step[];
  readonly lastCompleted?: Step;
  readonly lastError?: Step;
  /** Nothing was recorded after that error: the work ended with it. */
  readonly isLastFailed?: true;
  readonly lastModelCall?: Step & {
    readonly finishReason?: string;
    readonly tokens?: TraceSpan["tokens"];
    readonly contextTokens: number;
    readonly cost?: number;
  };
  readonly totals: {
    readonly tokens: number;
    readonly cost: number;
    readonly toolCalls: number;
    readonly modelCalls: number;
  };
  readonly models: readonly ModelUse[];
  readonly loops: readonly { readonly tool: string; readonly count: number }[];
  readonly retries: readonly RetryGroup[];
  /** What was begun or asked for, and has no result. */
  readonly undone: readonly string[];
  readonly damage: { readonly tornBytes: number; readonly corruptLines: number };
}

export function postmortemOf(session: ReadSession, analysis: Analysis): Postmortem {
  const { trace, state, writer, owners, id, found, damage } = session;
  const { nodes, to, turns } = analysis;
  const { summary, metadata } = trace;
  const { detector, reconstructed } = summary as { detector?: string; reconstructed?: boolean };
  const open = openNodes(nodes);
  const byEnd = nodes
    .filter(({ span, state: own }) => span.endTime !== undefined && own !== "cut")
    .sort((a, b) => (a.span.endTime ?? 0) - (b.span.endTime ?? 0));
  const completed = byEnd.filter((node) => node.state === "ok" && isStep(node)).at(-1);
  const failed = originOf(byEnd.filter((node) => node.state === "failed").at(-1));
  const calls = nodes.filter(({ span }) => span.kind === "generation");
  const call = calls.at(-1);
  const turn = turns.at(-1);
  const whole = (node: Node): Node => ({ ...node, span: session.whole(node.span) });
  const step = (node: Node) => stepOf(whole(node), to);
  return {
    id,
    path: found.path,
    status: state,
    evidence: evidenceOf(session),
    ...(detector !== undefined && { detector }),
    ...(summary.error !== undefined && { error: summary.error }),
    isReconstructed: reconstructed === true || trace.layout?.recovered === true,
    writer: { state: writer, pids: owners.map(({ pid }) => pid) },
    startedAt: isoOrNull(analysis.from),
    lastSeenAt: isoOrNull(to),
    ...(metadata.title && { title: metadata.title }),
    ...(metadata.agent && { agent: metadata.agent }),
    ...(metadata.model && { model: metadata.model }),
    turn: turn?.index ?? 0,
    ...(turn?.message !== undefined && { asked: turn.message }),
    open: open.map(step),
    ...(completed && { lastCompleted: step(completed) }),
    ...(failed && { lastError: step(failed) }),
    ...(byEnd.at(-1)?.state === "failed" && { isLastFailed: true as const }),
    ...(call && { lastModelCall: modelCallOf(whole(call), to) }),
    totals: {
      tokens: summary.totalTokens ?? 0,
      cost: summary.totalCost ?? 0,
      toolCalls: summary.totalToolCalls ?? 0,
      modelCalls: summary.totalGenerations ?? 0,
    },
    models: modelUses(calls),
    loops: analysis.loops.map(({ tool, count }) => ({ tool, count })),
    retries: analysis.retries,
    undone: undoneOf(session, analysis, open),
    damage,
  };
}

/** Open or interrupted spans of the last turn, innermost first. Earlier crashes of a resumed session are not this one. */
function openNodes(nodes: readonly Node[]): Node[] {
  const open = nodes.filter(({ state }) => state === "running" || state === "cut");
  const last = open.reduce((most, { turn }) => Math.max(most, turn), 0);
  return open
    .filter(({ turn, state }) => state === "running" || turn === last)
    .sort((a, b) => b.depth - a.depth || b.span.startTime - a.span.startTime);
}

/** Where a failure began: the innermost span that failed with the same message. */
function originOf(failed: Node | undefined): Node | undefined {
  const { statusMessage } = failed?.span ?? {};
  const inner = failed?.children.findLast(
    ({ state, span }) => state === "failed" && span.statusMessage === statusMessage,
  );
  return inner && statusMessage ? originOf(inner) : failed;
}

const isStep = ({ span }: Node): boolean => span.kind !== "user-message";

const finiteOrNull = (value: number): number | null => (Number.isFinite(value) ? value : null);

function stepOf(node: Node, to: number): Step {
  const { span, turn } = node;
  const within: string[] = [];
  for (let at = node.parent; at && at.span.kind !== "session"; at = at.parent)
    within.unshift(nameOf(at.span));
  return {
    spanId: span.spanId,
    kind: span.kind,
    name: nameOf(span),
    within,
    turn,
    startedAt: isoOrNull(span.startTime),
    durationMs: finiteOrNull(durationOf(span, to)),
    ...(isEndUnseen(span) && { isLeast: true as const }),
    ...(span.input !== undefined && { input: span.input }),
    ...(span.output !== undefined && { output: span.output }),
    ...(span.statusMessage !== undefined && { message: span.statusMessage }),
  };
}

function modelCallOf(node: Node, to: number): NonNullable<Postmortem["lastModelCall"]> {
  const { finishReason, tokens, cost } = node.span;
  return {
    ...stepOf(node, to),
    ...(finishReason !== undefined && { finishReason }),
    ...(tokens && { tokens }),
    contextTokens: contextOf(node.span),
    ...(cost !== undefined && { cost }),
  };
}

function modelUses(calls: readonly Node[]): ModelUse[] {
  const uses = new Map<string, { model: string; calls: number; tokens: number; cost: number }>();
  for (const { span } of calls) {
    const model = modelOf(span);
    const use = uses.get(model) ?? { model, calls: 0, tokens: 0, cost: 0 };
    use.calls++;
    use.tokens += span.tokens?.total ?? 0;
    use.cost += span.cost ?? 0;
    uses.set(model, use);
  }
  return [...uses.values()].sort((a, b) => b.tokens - a.tokens);
}

/** Whether a model asked for this tool call, and not one that the call itself started: a subagent has tools of its own. */
function isCallOf(call: Node, model: Node): boolean {
  for (let at = call.parent; at; at = at.parent) if (at.span.kind === "generation") return at === model;
  return true;
}

function undoneOf(
  { state, whole }: ReadSession,
  { nodes, turns }: Analysis,
  open: readonly Node[],
): string[] {
  const undone: string[] = [];
  const turn = turns.at(-1);
  const isOver = state === "completed" || state === "idle";
  // What still runs is no leftover.
  for (const { span, state: own } of open) {
    if (own === "running" && state === "running") continue;
    if (span.kind === "tool")
      undone.push(
        `tool ${span.name}: it had started, and its result is unknown; check its effects before running it again`,
      );
    if (span.kind === "generation") undone.push(`${nameOf(span)}: it had not finished answering`);
  }
  const last = nodes.filter(({ span, state: own }) => span.kind === "generation" && own === "ok").at(-1);
  const isAnswered = nodes.some(
    ({ span }) => span.kind === "generation" && last && span.startTime >= (last.span.endTime ?? 0),
  );
  if (last && !isAnswered) {
    const begun = nodes.filter(
      (node) =>
        node.span.kind === "tool" && node.span.startTime >= last.span.startTime && isCallOf(node, last),
    );
    const names = begun.map(({ span }) => span.name);
    for (const name of toolRequests(whole(last.span), names))
      undone.push(`tool ${name}: the model asked for it, and it was not started`);
    if (/tool/i.test(last.span.finishReason ?? "") && !isOver && open.length === 0)
      undone.push("the results of the last tool calls: the model has not seen them");
  }
  if (turn?.message !== undefined && !isOver) {
    const answer = nodes
      .filter((node) => node.turn === turn.index && node.span.kind === "generation" && node.state === "ok")
      .at(-1);
    if (!answer || /tool/i.test(answer.span.finishReason ?? ""))
      undone.push(`the answer to the user's message of turn ${turn.index}`);
  }
  return [...new Set(undone)];
}
