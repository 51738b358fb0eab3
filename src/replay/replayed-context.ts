/** Members of the contexts of replayed spans and links. */
import type { TraceState } from "@opentelemetry/api";

/** `traceFlags` of a span that was sampled, as all recorded spans are but those that a link says of. */
export const sampled = 1;

/** The member `traceState`. `header`: `tracestate` in the form of its header, or any value of a document. */
export function statedMember(header: unknown): { readonly traceState?: TraceState } {
  return typeof header === "string" && header !== "" ? { traceState: stateOf(header) } : {};
}

/** The `tracestate` of a span that has ended. Not the API's: the command runs without packages of OpenTelemetry. */
function stateOf(header: string): TraceState {
  const members = new Map(
    header.split(",").map((member) => splitAt(member.trim(), member.trim().indexOf("="))),
  );
  const state: TraceState = {
    get: (key) => members.get(key),
    set: () => state,
    unset: () => state,
    serialize: () => header,
  };
  return state;
}

const splitAt = (text: string, at: number): [string, string] => [text.slice(0, at), text.slice(at + 1)];
