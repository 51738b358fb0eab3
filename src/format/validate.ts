/**
 * Members of a document that somebody else wrote, or whose bytes have rotted, as the types that they ought to have: one
 * of another type would throw where it is used. What cannot stand is left out.
 */
import type { SessionMetadata, SessionSummary, TraceSpan } from "./trace-file.js";

type Check = (value: unknown) => boolean;

/** Whether a value of JSON is an object, and not an array. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The number, or 0 for what is none. */
export const finite = (value: unknown): number =>
  typeof value === "number" && Number.isFinite(value) ? value : 0;

const isText: Check = (value) => typeof value === "string";
const isNumber: Check = (value) => typeof value === "number";
const isList: Check = (value) => Array.isArray(value) && value.every(isRecord);
const isRecordOf = (check: Check): Check => {
  return (value) => isRecord(value) && Object.values(value).every(check);
};

const metadataChecks: Readonly<Record<keyof SessionMetadata, Check>> = {
  title: isText,
  model: isText,
  providerId: isText,
  agent: isText,
  variant: isText,
  prompt: isText,
  userId: isText,
  environment: isText,
  version: isText,
  tags: (value) => Array.isArray(value) && value.every(isText),
  owuiModel: isText,
};

const statuses: readonly unknown[] = ["running", "completed", "error", "crashed"];

const summaryChecks: Readonly<Record<keyof SessionSummary, Check>> = {
  totalTokens: isNumber,
  totalCost: isNumber,
  totalToolCalls: isNumber,
  totalGenerations: isNumber,
  duration: isNumber,
  status: (value) => statuses.includes(value),
  error: isText,
  idle: (value) => value === true,
  tokens: isRecordOf(isNumber),
  loops: isList,
  narrative: isText,
  topTools: isList,
};

const spanChecks: Readonly<Partial<Record<keyof TraceSpan, Check>>> = {
  parentSpanId: (value) => value === null || isText(value),
  name: isText,
  kind: isText,
  startTime: isNumber,
  endTime: isNumber,
  statusMessage: isText,
  model: isRecordOf(isText),
  finishReason: isText,
  cost: isNumber,
  tokens: isRecordOf(isNumber),
  tool: (value) =>
    isRecord(value) &&
    (value.callId === undefined || isText(value.callId)) &&
    (value.durationMs === undefined || isNumber(value.durationMs)),
  attributes: isRecord,
  traceId: isText,
};

export const soundMetadata = (value: unknown): SessionMetadata =>
  (isRecord(value) ? sound(value, metadataChecks) : {}) as SessionMetadata;

/** Of another tracer it may lack members that are never absent in ours. */
export const soundSummary = (value: unknown): SessionSummary =>
  (isRecord(value) ? sound(value, summaryChecks) : {}) as unknown as SessionSummary;

const summaryMembers = [
  "totalTokens",
  "totalCost",
  "totalToolCalls",
  "totalGenerations",
  "duration",
  "status",
  "tokens",
] as const;

/** Whether a summary has all that ours have. */
export const isWholeSummary = (summary: SessionSummary): boolean =>
  summaryMembers.every((name) => summary[name] !== undefined);

/** A span that is told to somebody; lines of a document stay as they are. */
export const soundSpan = (span: TraceSpan): TraceSpan => {
  const known = sound(span as unknown as Record<string, unknown>, spanChecks);
  if (known === (span as unknown)) return span;
  return { name: "unknown", kind: "span", ...known } as unknown as TraceSpan;
};

/** The same object where nothing has to go. Members of other names stay. */
function sound(
  value: Record<string, unknown>,
  checks: Readonly<Partial<Record<string, Check>>>,
): Record<string, unknown> {
  const wrong = Object.entries(checks).filter(
    ([key, isSound]) => value[key] !== undefined && !isSound?.(value[key]),
  );
  if (wrong.length === 0) return value;
  const left = Object.entries(value).filter(([key]) => !wrong.some(([name]) => name === key));
  return Object.fromEntries(left);
}
