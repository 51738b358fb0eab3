/**
 * Where the spans of traces go that name no session.
 */

import { unnamedMark } from "./origins.js";
import type { SessionMetadata, TraceSpan } from "./trace-file.js";

/** Where the spans of a trace go that names no session: a document of their own, one of the process, or none. */
export type WithoutSession = "trace" | "process" | "drop";

/** The policy of a process for traces that name no session. */
export interface UnnamedPolicy {
  readonly withoutSession: WithoutSession;
  /** The session of the process, for `process`. */
  readonly processSession: string;
}

/** The session of the spans of a trace that names none; `undefined`: they are in no document. */
export function sessionByPolicy(
  { withoutSession, processSession }: UnnamedPolicy,
  traceId: string,
): string | undefined {
  switch (withoutSession) {
    case "trace":
      return traceId;
    case "process":
      return processSession;
    case "drop":
      return undefined;
  }
}

/**
 * What the policy gives a session: a mark to that of the process. The session of a trace has the trace id for its name, and
 * needs no mark; it gets a title.
 */
export const markByPolicy = (
  policy: UnnamedPolicy,
  session: string,
  trace: { readonly id: string; readonly title: Pick<SessionMetadata, "title"> },
): Partial<SessionMetadata> => {
  if (session === trace.id) return trace.title;
  return policy.withoutSession === "process" && session === policy.processSession ? unnamedMark : {};
};

/** Attributes of an HTTP span that say what was asked for (semantic conventions, HTTP), the best first. */
const httpPlaces = ["http.route", "url.path", "http.target"];

/**
 * The title of a trace that names no session: the name of its first top span, with the route or the path of an HTTP request
 * where the name lacks it. None while no top is known.
 */
export function titleOf(spans: Iterable<TraceSpan>): Pick<SessionMetadata, "title"> {
  let top: TraceSpan | undefined;
  for (const span of spans)
    if (span.parentSpanId === null && (top === undefined || span.startTime < top.startTime)) top = span;
  if (top === undefined || top.name === "") return {};
  const { name, attributes } = top;
  const place = httpPlaces.map((key) => attributes?.[key]).find((value) => typeof value === "string");
  const isWhole = typeof place !== "string" || name.includes("/");
  return { title: isWhole ? name : `${name} ${place.replace(/[?#].*$/s, "")}` };
}
