/**
 * Members of a document that another program wrote, or whose bytes are corrupt: a member of a wrong type would throw
 * where it is used, so it is left out.
 */
import { type CounterName, counters } from "./counters.js";
import { isRecord } from "./json-value.js";
import type { SessionMetadata, SessionSummary, TraceSpan } from "./trace-file.js";

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string";
const isNumber = (value: unknown): value is number => typeof value === "number";
/** A list of objects that have these members. */
const isListOf = (members: Readonly<Record<string, Check>>): Check => {
  const checks = Object.entries(members);
  const isItem: Check = (item) => isRecord(item) && checks.every(([name, check]) => check(item[name]));
  return (value) => Array.isArray(value) && value.every(isItem);
};
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

const counterNames = Object.keys(counters) as CounterName[];
const counterChecks = Object.fromEntries(counterNames.map((name): [string, Check] => [name, isNumber]));

const summaryChecks: Readonly<Record<keyof SessionSummary, Check>> = {
  ...(counterChecks as Record<CounterName, Check>),
  duration: isNumber,
  status: (value) => statuses.includes(value),
  error: isText,
  idle: (value) => value === true,
  lastActivityAt: isText,
  detector: isText,
  reconstructed: (value) => value === true,
  tokens: isRecordOf(isNumber),
  loops: isListOf({ tool: isText, count: isNumber }),
  narrative: isText,
  topTools: isListOf({ name: isText, count: isNumber }),
};

const spanChecks: Readonly<Partial<Record<keyof TraceSpan, Check>>> = {
  parentSpanId: (value) => value === null || isText(value),
  // JSON has `null` for a member that is absent.
  endTime: (value) => value !== null,
  status: (value) => value === "ok" || value === "error",
  interrupted: (value) => value === true,
  name: isText,
  kind: isText,
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
  original: (value) => isRecord(value) && isRecord(value.values),
  remoteParentSpanId: isText,
  traceState: isText,
  resource: isText,
  scope: isText,
  traceId: isText,
};

/** The members of a session's metadata that have the right type. */
export const validMetadata = (value: unknown): SessionMetadata =>
  (isRecord(value) ? withoutInvalid(value, metadataChecks) : {}) as SessionMetadata;

/** The members of a summary that have the right type. Another program may have left out members that ours always have. */
export const validSummary = (value: unknown): SessionSummary =>
  (isRecord(value) ? withoutInvalid(value, summaryChecks) : {}) as unknown as SessionSummary;

/** Counters of every document. Documents of 0.1.0 have no other ones. */
const firstCounters: readonly CounterName[] = [
  "totalTokens",
  "totalCost",
  "totalToolCalls",
  "totalGenerations",
];
const laterCounters = counterNames.filter((name) => !firstCounters.includes(name));

/** Whether a summary has each member that every summary of its version has. */
export function isWholeSummary(summary: SessionSummary): boolean {
  const isPresent = (name: keyof SessionSummary) => summary[name] !== undefined;
  return (
    [...firstCounters, "duration" as const, "status" as const, "tokens" as const].every(isPresent) &&
    (laterCounters.every(isPresent) || !laterCounters.some(isPresent))
  );
}

/**
 * A span for callers, without members of a wrong type, and with `NaN` for times that are no numbers. Numbers stay, times or
 * not: a replay sends what the program gave. Lines of a document are copied as they are.
 */
export const validSpan = (span: TraceSpan): TraceSpan => {
  const known = withoutInvalid(span as unknown as Record<string, unknown>, spanChecks);
  const valid = (
    known === (span as unknown) ? span : { name: "unknown", kind: "span", ...known }
  ) as TraceSpan;
  const { startTime, endTime } = valid;
  if (isNumber(startTime) && (endTime === undefined || isNumber(endTime))) return valid;
  return {
    ...valid,
    startTime: isNumber(startTime) ? startTime : Number.NaN,
    // A span that ended at an unknown time is not open.
    ...(endTime !== undefined && { endTime: isNumber(endTime) ? endTime : Number.NaN }),
  };
};

/** Leaves out the members that fail their check; members without a check stay. Returns `value` if all pass. */
function withoutInvalid(
  value: Record<string, unknown>,
  checks: Readonly<Partial<Record<string, Check>>>,
): Record<string, unknown> {
  let left: Record<string, unknown> | undefined;
  // No list of the checks is made: a listing of 1,000 sessions takes a tenth less.
  for (const key in checks) {
    if (value[key] === undefined || checks[key]?.(value[key])) continue;
    left ??= { ...value };
    delete left[key];
  }
  return left ?? value;
}
