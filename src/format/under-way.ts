/**
 * Whether work of a session is under way: a span is open, a turn waits for an answer of the model, or the model waits for
 * tools. Pure functions.
 */
import { isRecord } from "./json-value.js";
import type { TraceSpan } from "./trace-file.js";

/** What a session without open spans waits for. `user`: for the next message, so that nothing is under way. */
export type Awaited = "user" | "model" | "tools";

/**
 * What the session of a writer waits for after a span has ended, from what it waited for before. A message of the user
 * waits for the model. A generation that asks for tools waits for them; any other generation ends the turn, also one
 * that failed or was interrupted. Other spans change nothing.
 */
export function awaitedAfter(before: Awaited, { kind, finishReason, interrupted }: TraceSpan): Awaited {
  if (kind === "user-message") return "model";
  if (kind !== "generation") return before;
  return !interrupted && asksForTools(finishReason) ? "tools" : "user";
}

/** What a session waits for after these spans, in order of their ends; spans that are open change nothing. */
export const awaitedAfterAll = (before: Awaited, spans: Iterable<TraceSpan>): Awaited =>
  [...spans].reduce(
    (awaited, span) => (span.endTime === undefined ? awaited : awaitedAfter(awaited, span)),
    before,
  );

const toolReasons: ReadonlySet<string> = new Set([
  "toolcall",
  "toolcalls",
  "tooluse",
  "tooluses",
  "functioncall",
  "functioncalls",
]);

/** Whether a finish reason says that the model waits for tools: `tool_calls`, `tool-calls`, `tool_use`, `FUNCTION_CALL`. */
const asksForTools = (finishReason: string | undefined): boolean =>
  typeof finishReason === "string" && toolReasons.has(finishReason.toLowerCase().replace(/[^a-z]/g, ""));

/** What the writers of a session wait for, by their tokens; writers that wait for the user are left out. */
export type AwaitedByWriter = ReadonlyMap<string, Awaited>;

/** Whether a session is under way. `awaited`: of each of its writers. */
export const isUnderWay = (hasOpenSpans: boolean, awaited: Iterable<Awaited>): boolean =>
  hasOpenSpans || [...awaited].some((one) => one !== "user");

/** Reads `layout.awaits` of a document. Another program may have written any value. */
export const readAwaits = (value: unknown): Map<string, Awaited> =>
  new Map(
    Object.entries(isRecord(value) ? value : {}).filter(
      (entry): entry is [string, Awaited] => entry[1] === "model" || entry[1] === "tools",
    ),
  );
