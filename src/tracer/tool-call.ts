/**
 * A tool call as a host tells it: while it waits, while it runs, and when it has ended.
 */
import { type Attributes, SpanKind } from "@opentelemetry/api";
import {
  ATTR_GEN_AI_OPERATION_NAME,
  ATTR_GEN_AI_TOOL_CALL_ID,
  ATTR_GEN_AI_TOOL_NAME,
} from "../otel/semantic-conventions.js";
import type { SpanRecord } from "../projection/attached-record.js";
import type { SpanDraft } from "./session-span.js";
import { copyInput, cutText, finiteOr, member, textMember, textOf } from "./untrusted-input.js";

/** Longest output that is kept, with the marker that tells how much was cut. */
const maxOutputChars = 10_000;
const maxSummaryChars = 500;
const maxErrorSummaryChars = 200;

/** A call, read once. */
export interface ToolCall {
  readonly name: string;
  readonly callId: string | undefined;
  readonly messageId: string | undefined;
  readonly isRunning: boolean;
  /** Epoch milliseconds as the host gave them; now, where it gave none. */
  readonly startTime: number;
  /** Whether the host gave it: two calls without one are two calls. */
  readonly hasStartTime: boolean;
  readonly endTime: number;
  readonly input: unknown;
  readonly output: string;
  readonly error: string | undefined;
}

/** `undefined` when nothing is said of the call's state. */
export function readToolCall(part: unknown, now: number): ToolCall | undefined {
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
    output: isError || isRunning ? "" : textOf(member(state, "output") ?? ""),
    error: isError ? textOf(member(state, "error") ?? "") : undefined,
  };
}

/** What is told of a call that runs since then: it began once, and its end need not say when. */
export const sinceStart = (call: ToolCall, startTime: number): ToolCall =>
  call.isRunning || !call.hasStartTime ? { ...call, startTime, hasStartTime: true } : call;

/** The span of a call, as it stands. */
export function toolDraft(call: ToolCall): SpanDraft {
  const { name, callId } = call;
  const attributes: Attributes = {
    [ATTR_GEN_AI_OPERATION_NAME]: "execute_tool",
    [ATTR_GEN_AI_TOOL_NAME]: name,
  };
  if (callId !== undefined) attributes[ATTR_GEN_AI_TOOL_CALL_ID] = callId;
  const record = toolRecord(call);
  return { name: `execute_tool ${name}`, kind: SpanKind.INTERNAL, attributes, record };
}

/** The record of a call, as it stands. */
export function toolRecord(call: ToolCall): SpanRecord {
  const { name, callId, startTime, endTime, input, error } = call;
  const record: SpanRecord = { name, kind: "tool", startTime, status: "ok", tool: {} };
  const { tool = {} } = record;
  if (callId !== undefined) tool.callId = callId;
  if (input !== undefined) record.input = input;
  if (call.isRunning) return record;
  record.endTime = endTime;
  tool.durationMs = finiteOr(endTime - startTime, 0);
  if (error === undefined) {
    record.output = cutText(call.output, maxOutputChars);
  } else {
    record.status = "error";
    record.statusMessage = error;
    record.output = { error };
  }
  return record;
}

/** What the model is told of the result, in short. */
export function summaryOf({ name, output, error }: ToolCall): string {
  const summary =
    error === undefined ? output.slice(0, maxSummaryChars) : `error: ${error.slice(0, maxErrorSummaryChars)}`;
  return `[${name}] ${summary}`;
}
