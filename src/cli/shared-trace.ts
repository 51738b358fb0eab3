/** What of a session may be shared: all of it, without secrets, or its structure and numbers only; and what was taken out. */
import { ContentFilter } from "../exporter/content-filter.js";
import { redactSecrets } from "../exporter/redact-secrets.js";
import { elidedTotals } from "../format/cap.js";
import type { SessionMetadata, TraceFile, TraceSpan } from "../format/trace-file.js";

/** How many values of each kind were taken out. */
export type TakenOut = ReadonlyMap<string, number>;

/** What `share` shows of a session. */
export interface Sharing {
  /** What is shown of a span; counts what was taken out. */
  span(span: TraceSpan): TraceSpan;
  /** What is shown of all but the spans of a trace, which passed {@link span} before. */
  trace(trace: TraceFile): TraceFile;
  /** What was taken out so far. */
  takenOut(): TakenOut;
}

/** All that was recorded. */
export const everything: Sharing = {
  span: (span) => span,
  trace: (trace) => trace,
  takenOut: () => new Map(),
};

/** Everything but secrets, as `redactSecrets` finds them. */
export function withoutSecrets(): Sharing {
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
  const shown = (document: object) => filter.document(document) as unknown as TraceFile;
  return {
    span: (span) => shown({ spans: [span] }).spans[0] as TraceSpan,
    trace: ({ spans, ...rest }) => ({ ...shown(rest), spans }),
    takenOut: () => new Map(takenOut),
  };
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

/**
 * No inputs, outputs, messages, attributes and resources, and nothing that names a user or a task. Names and ids are left,
 * without secrets.
 */
export function withoutContent(): Sharing {
  const secrets = withoutSecrets();
  const takenOut = new Map<string, number>();
  const count = (what: string, value: unknown) => {
    if (value !== undefined) takenOut.set(what, (takenOut.get(what) ?? 0) + 1);
  };
  return {
    span(span) {
      const {
        input,
        output,
        statusMessage,
        attributes,
        original: ____,
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
      return secrets.span({
        ...rest,
        name: span.kind === "session" ? "session" : span.name,
        ...(kept && { attributes: kept }),
      });
    },
    trace(trace) {
      const { model, providerId, agent, variant, version } = trace.metadata;
      const metadata = definedOf({ model, providerId, agent, variant, version });
      const { error, narrative: _, ...summary } = trace.summary;
      count("message", error);
      const { resources = {}, scopes = {}, ...bare } = trace;
      for (const resource of Object.values(resources)) count("resource", resource);
      for (const scope of Object.values(scopes)) count("scope", scope);
      return secrets.trace({ ...bare, metadata, summary });
    },
    takenOut: () => new Map([...takenOut, ...secrets.takenOut()]),
  };
}

const definedOf = (metadata: Record<string, string | undefined>): SessionMetadata =>
  Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== undefined));
