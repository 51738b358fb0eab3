/**
 * The tool calls of a session. A host reports a call several times: while the call waits, while it runs, and when it
 * has ended.
 */
import { type Attributes, SpanKind } from "@opentelemetry/api";
import type { SessionHistory } from "../format/history.js";
import {
  ATTR_GEN_AI_OPERATION_NAME,
  ATTR_GEN_AI_TOOL_CALL_ID,
  ATTR_GEN_AI_TOOL_NAME,
} from "../otel/semantic-conventions.js";
import { RecentMap } from "../platform/recent-map.js";
import type { ExactSpan } from "../projection/exact-span.js";
import { maxKnownCalls } from "../storage/session-history.js";
import type { SessionSpan, SpanDraft } from "./session-span.js";
import {
  copyInput,
  finiteOr,
  member,
  outputText,
  shorten,
  type ToolOutput,
  textMember,
  toText,
} from "./untrusted-input.js";

/** Characters of output that are kept, marker for the rest included. */
const maxOutputChars = 10_000;

/** Characters of a result, and of an error, that the input of the next generation quotes. */
const maxSummaryChars = 500;
const maxErrorSummaryChars = 200;

/** Results that the input of the next generation quotes; further results are only counted. */
const maxResults = 1_000;

/** Start times that are remembered of one call id, for hosts that reuse an id. */
const maxStarts = 16;

/** One report of a call, each member read once. */
export interface ParsedToolCall {
  readonly name: string;
  readonly callId: string | undefined;
  readonly messageId: string | undefined;
  readonly isRunning: boolean;
  /** Epoch milliseconds from the host; the time of the report if the host gave none. */
  readonly startTime: number;
  /** The host gave `startTime`. Two calls without a start time are two calls. */
  readonly hasStartTime: boolean;
  readonly endTime: number;
  readonly input: unknown;
  readonly output: ToolOutput;
  readonly error: string | undefined;
}

/** `undefined` when the report has no state. */
export function parseToolCall(part: unknown, now: number): ParsedToolCall | undefined {
  const state = member(part, "state");
  if (typeof state !== "object" || state === null) return undefined;
  const status = member(state, "status");
  const time = member(state, "time");
  const start = member(time, "start");
  const isError = status === "error";
  const isRunning = status === "running" || status === "pending";
  return {
    name: textMember(part, "tool") ?? "unknown",
    callId: textMember(part, "callID"),
    messageId: textMember(part, "messageID"),
    isRunning,
    startTime: finiteOr(start, now),
    hasStartTime: finiteOr(start, Number.NaN) === start,
    endTime: finiteOr(member(time, "end"), now),
    input: copyInput(member(state, "input")),
    output: outputText(isError || isRunning ? "" : (member(state, "output") ?? "")),
    error: isError ? toText(member(state, "error") ?? "") : undefined,
  };
}

/**
 * A later report of a call that started at `startTime`: the call keeps its start unless the report of its end has
 * another one.
 */
export const startedAt = (call: ParsedToolCall, startTime: number): ParsedToolCall =>
  call.isRunning || !call.hasStartTime ? { ...call, startTime, hasStartTime: true } : call;

/** The span of a call, as last reported. */
export function toolDraft(call: ParsedToolCall): SpanDraft {
  const { name, callId } = call;
  const attributes: Attributes = {
    [ATTR_GEN_AI_OPERATION_NAME]: "execute_tool",
    [ATTR_GEN_AI_TOOL_NAME]: name,
  };
  if (callId !== undefined) attributes[ATTR_GEN_AI_TOOL_CALL_ID] = callId;
  const record = toolRecord(call);
  return { name: `execute_tool ${name}`, kind: SpanKind.INTERNAL, attributes, record };
}

/** The record of a call, as last reported. */
export function toolRecord(call: ParsedToolCall): ExactSpan {
  const { name, callId, startTime, endTime, input, output, error } = call;
  const record: ExactSpan = { name, kind: "tool", startTime, status: "ok", tool: {} };
  const { tool = {} } = record;
  if (callId !== undefined) tool.callId = callId;
  if (input !== undefined) record.input = input;
  if (call.isRunning) return record;
  record.endTime = endTime;
  tool.durationMs = finiteOr(endTime - startTime, 0);
  if (error === undefined) {
    record.output = output.hasBytes ? output.text : shorten(output.text, maxOutputChars);
  } else {
    record.status = "error";
    record.statusMessage = error;
    record.output = { error };
  }
  return record;
}

/** The result as the input of the next generation quotes it. */
function summaryOf({ name, output, error }: ParsedToolCall): string {
  const summary =
    error === undefined
      ? output.text.slice(0, maxSummaryChars)
      : `error: ${error.slice(0, maxErrorSummaryChars)}`;
  return `[${name}] ${summary}`;
}

/** Two calls of different tools are two calls, although a host gave them one id. */
const keyOf = (name: string, callId: string): string => `${callId} ${name}`;

/** Which calls run, which was reported last, and which have ended and may be reported again. */
export class SessionTools {
  #last: SessionSpan | undefined;
  readonly #running = new Map<string, SessionSpan>();
  readonly #withoutId: SessionSpan[] = [];
  /** Start times of ended calls, by {@link keyOf}: a call that is made again has another start time. */
  readonly #ended = new RecentMap<string, number | readonly number[]>(maxKnownCalls);
  #results: string[] = [];
  #unquoted = 0;

  constructor(history: SessionHistory) {
    for (const { name, callId, startTime } of history.calls) this.#remember(keyOf(name, callId), startTime);
  }

  /** The call that was reported last, running or ended. */
  get last(): SessionSpan | undefined {
    return this.#last;
  }

  /** Whether this call has ended before: hosts that compact their history report its calls again. */
  hasEnded({ name, callId, startTime, hasStartTime }: ParsedToolCall): boolean {
    if (callId === undefined || !hasStartTime) return false;
    const starts = this.#ended.get(keyOf(name, callId));
    return typeof starts === "object" ? starts.includes(startTime) : starts === startTime;
  }

  /** The call that this is a later report of. */
  running({ name, callId }: ParsedToolCall): SessionSpan | undefined {
    return callId === undefined ? undefined : this.#running.get(keyOf(name, callId));
  }

  /** The newest running call with that id, of any tool. */
  runningAs(callId: string): SessionSpan | undefined {
    return [...this.#running.values()].findLast(({ record }) => record.tool?.callId === callId);
  }

  get newestRunning(): SessionSpan | undefined {
    return [...this.#running.values()].at(-1);
  }

  /** All calls that the end of the session must end. */
  allRunning(): SessionSpan[] {
    return [...this.#running.values(), ...this.#withoutId];
  }

  /** A call without an id cannot be reported again: no span nests in it, and it ends with its session. */
  start({ name, callId }: ParsedToolCall, span: SessionSpan): void {
    if (callId !== undefined) this.#running.set(keyOf(name, callId), span);
    else this.#withoutId.push(span);
    this.#last = span;
  }

  end(call: ParsedToolCall, span: SessionSpan): void {
    const { name, callId, startTime, hasStartTime } = call;
    if (callId !== undefined) {
      const key = keyOf(name, callId);
      this.#running.delete(key);
      if (hasStartTime) this.#remember(key, startTime);
    }
    this.#last = span;
    if (this.#results.length < maxResults) this.#results.push(summaryOf(call));
    else this.#unquoted++;
  }

  /** The results since the last call of this method, one per line. */
  takeResults(): string | undefined {
    if (this.#results.length === 0) return undefined;
    const more = this.#unquoted > 0 ? [`… and ${this.#unquoted} more`] : [];
    const text = [...this.#results, ...more].join("\n");
    this.#results = [];
    this.#unquoted = 0;
    return text;
  }

  #remember(key: string, startTime: number): void {
    const starts = this.#ended.get(key);
    this.#ended.set(key, starts === undefined ? startTime : [starts, startTime].flat().slice(-maxStarts));
  }
}
