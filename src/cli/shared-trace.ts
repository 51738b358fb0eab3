/** What of a session may be shared: redacted, or its structure and numbers only; and what was taken out. */
import { ContentFilter } from "../exporter/content-filter.js";
import { redactSecrets } from "../exporter/redact-secrets.js";
import { elidedTotals } from "../format/cap.js";
import type { SessionMetadata, TraceFile, TraceSpan } from "../format/trace-file.js";

/** How many values of each kind were taken out. */
export type TakenOut = ReadonlyMap<string, number>;

export interface SharedTrace {
  readonly trace: TraceFile;
  readonly takenOut: TakenOut;
}

/** The trace with its secrets replaced, as `redactSecrets` finds them. */
export function redactedTrace(trace: TraceFile): SharedTrace {
  const takenOut = new Map<string, number>();
  const redact = redactSecrets();
  const filter = new ContentFilter(
    (value, field) => {
      const shown = redact(value, field);
      if (shown !== value) countMarkers(takenOut, value, shown);
      return shown;
    },
    { maxValueBytes: 0, maxSpanBytes: 0 },
  );
  return { trace: filter.document(trace) as unknown as TraceFile, takenOut };
}

const marker = /\[redacted:([^\]"]{1,60})\]/g;

/** The value may have held markers of the program that recorded it. */
function countMarkers(takenOut: Map<string, number>, before: unknown, after: unknown): void {
  for (const [value, sign] of [
    [after, 1],
    [before, -1],
  ] as const) {
    for (const [, name = ""] of (JSON.stringify(value) ?? "").matchAll(marker))
      takenOut.set(name, (takenOut.get(name) ?? 0) + sign);
  }
}

/** The trace without inputs, outputs, messages, attributes and resources, and without what names a user or a task. */
export function bareTrace(trace: TraceFile): SharedTrace {
  const takenOut = new Map<string, number>();
  const count = (what: string, value: unknown) => {
    if (value !== undefined) takenOut.set(what, (takenOut.get(what) ?? 0) + 1);
  };
  const spans = trace.spans.map((span): TraceSpan => {
    const {
      input,
      output,
      statusMessage,
      attributes,
      resource: _,
      scope: __,
      traceState: ___,
      ...rest
    } = span;
    count("input", input);
    count("output", output);
    count("message", statusMessage);
    const kept = elidedTotals(span) ? attributes : undefined;
    if (!kept) count("set of attributes", attributes);
    return {
      ...rest,
      name: span.kind === "session" ? "session" : span.name,
      ...(kept && { attributes: kept }),
    };
  });
  const { model, providerId, agent, variant, version } = trace.metadata;
  const metadata = definedOf({ model, providerId, agent, variant, version });
  const { error, narrative: _, ...summary } = trace.summary;
  count("message", error);
  const { resources = {}, scopes = {}, ...bare } = trace;
  for (const resource of Object.values(resources)) count("resource", resource);
  for (const scope of Object.values(scopes)) count("scope", scope);
  return { trace: { ...bare, metadata, spans, summary }, takenOut };
}

const definedOf = (metadata: Record<string, string | undefined>): SessionMetadata =>
  Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== undefined));
