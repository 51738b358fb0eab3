/**
 * One model call that several instrumentations record: the span of OpenInference contains that of the client's own SDK
 * (`@anthropic-ai/sdk`). A generation directly within a generation is the same call: one of the two is the call, with its
 * counts; the other is a plain span, whose counts stay attributes.
 *
 * The outer span is the call, since it has the messages. Where the exporter sees an inner span first (the processors of the
 * SDK report no starts), the inner span is the call. A span in between, such as an
 * agent or a tool, makes calls of its own.
 *
 * Two generations of a trace are the same call, too, if one lasts within the other, two instrumentations record them, and both
 * have the id of one response: a framework that makes no context for its client (LangChain) is the client's neighbour. The
 * span that ends first is the call.
 */
import { sumOfTokens } from "../format/counters.js";
import type { TokenUsage, TraceSpan } from "../format/trace-file.js";
import type { ReadableSpan } from "../otel/types.js";
import { tryOr } from "../platform/errors.js";
import { RecentMap } from "../platform/recent-map.js";
import type { ProjectedSpan } from "../projection/project-span.js";

/** Spans to remember. The spans of an older call count as calls of their own. */
const maxSpans = 10_000;

/** Responses to remember: a neighbour of a call ends right after the call. */
const maxAnswers = 100;

/** The SDK begins spans on whole milliseconds, and measures from there: two spans are off by up to one. */
const clockMillis = 1;

/** The call that a span is, or is a part of. */
interface Call {
  readonly kind: TraceSpan["kind"];
  /** `uncounted`: the span of the call has ended without counts, which its parts keep. */
  state: "open" | "counted" | "uncounted";
  /** What the parts of the call counted before it ended. */
  tokens?: TokenUsage;
  cost?: number;
}

/** What a span contains that ended before the exporter knew of the span. */
interface Inner {
  readonly kind: TraceSpan["kind"];
  readonly isCounted: boolean;
}

/** A call that has ended, by which a neighbour that records it again is known. */
interface Answered {
  readonly kind: TraceSpan["kind"];
  readonly startTime: number;
  readonly endTime: number;
  readonly isCounted: boolean;
  /** The instrumentation that recorded it. */
  readonly scope: string;
}

const isCall = ({ kind }: TraceSpan): boolean => kind === "generation" || kind === "embedding";

export class NestedCalls {
  /** By trace id and span id: span ids are unique within a trace only. */
  readonly #calls = new RecentMap<string, Call>(maxSpans);
  readonly #inner = new RecentMap<string, Inner>(maxSpans);
  /** By trace id and the id of the response. */
  readonly #answered = new RecentMap<string, Answered>(maxAnswers);

  /** A generation of the session tracer: what it contains adds no counts. */
  addExact({ traceId = "", spanId, kind }: TraceSpan): void {
    if (kind !== "generation") return;
    this.#calls.set(traceId + spanId, { kind, state: "counted" });
  }

  /** The span as it counts. `asPart`: projects the span again, as a part of a call. `given`: the span of OpenTelemetry. */
  place(projected: ProjectedSpan, asPart: () => ProjectedSpan, given: ReadableSpan): ProjectedSpan {
    const { span } = projected;
    if (!isCall(span)) return projected;
    const { traceId = "", spanId, parentSpanId } = span;
    const key = traceId + spanId;
    const parent = parentSpanId === null ? undefined : traceId + parentSpanId;
    const outer = parent === undefined ? undefined : this.#calls.get(parent);
    const inner = this.#inner.get(key);
    const isPart = outer?.kind === span.kind;
    const twin =
      isPart || inner?.kind === span.kind ? undefined : tryOr(() => this.#twinOf(span, given), undefined);
    if (!isPart && !twin && inner?.kind !== span.kind) return this.#call(key, parent, projected);
    const part = asPart();
    // A program has set the kind itself.
    if (isCall(part.span)) return this.#call(key, undefined, projected);
    if (isPart) return this.#partOf(outer, key, projected, part);
    if (twin) return twin.isCounted ? part : { ...projected, span: { ...span, kind: "span" } };
    if (parent !== undefined && inner) this.#inner.set(parent, inner);
    return inner?.isCounted ? part : { ...projected, span: { ...span, kind: "span" } };
  }

  /** The call that has ended within this span, and that the span records again, else `undefined`. */
  #twinOf(
    { kind, startTime, endTime, traceId = "", tokens }: TraceSpan,
    given: ReadableSpan,
  ): Answered | undefined {
    const id = endTime && responseIdOf(given);
    if (!id) return undefined;
    const { name: scope } = given.instrumentationScope;
    const known = this.#answered.get(traceId + id);
    if (
      known?.kind === kind &&
      known.scope !== scope &&
      startTime - clockMillis <= known.startTime &&
      known.endTime <= endTime + clockMillis
    )
      return known;
    this.#answered.set(traceId + id, { kind, startTime, endTime, isCounted: tokens !== undefined, scope });
    return undefined;
  }

  #call(key: string, parent: string | undefined, projected: ProjectedSpan): ProjectedSpan {
    const { span } = projected;
    const known = this.#calls.get(key);
    const call: Call = known ?? { kind: span.kind, state: "open" };
    if (!known) this.#calls.set(key, call);
    if (span.endTime === undefined) return projected;
    const { tokens = call.tokens, cost = call.cost } = span;
    call.state = tokens === undefined ? "uncounted" : "counted";
    if (parent !== undefined)
      this.#inner.set(parent, { kind: span.kind, isCounted: call.state === "counted" });
    if (tokens === span.tokens && cost === span.cost) return projected;
    const counts = { ...(tokens !== undefined && { tokens }), ...(cost !== undefined && { cost }) };
    const { traceId, ...others } = span;
    return { ...projected, span: { ...others, ...counts, ...(traceId !== undefined && { traceId }) } };
  }

  #partOf(call: Call, key: string, projected: ProjectedSpan, part: ProjectedSpan): ProjectedSpan {
    this.#calls.set(key, call);
    const { tokens, cost, endTime } = projected.span;
    if (endTime === undefined || call.state === "counted") return part;
    if (call.state === "uncounted") return { ...projected, span: { ...projected.span, kind: "span" } };
    if (tokens) call.tokens = sum(call.tokens, tokens);
    if (cost !== undefined) call.cost = (call.cost ?? 0) + cost;
    return part;
  }
}

function sum(before: TokenUsage | undefined, tokens: TokenUsage): TokenUsage {
  if (before === undefined) return tokens;
  return { ...sumOfTokens(before, tokens), total: before.total + tokens.total };
}

/** The id of a response, as instrumentations record it. OpenInference has it in the response: of LangChain, in its message. */
function responseIdOf({ attributes }: ReadableSpan): string | undefined {
  const id = attributes["gen_ai.response.id"] ?? attributes["ai.response.id"];
  if (typeof id === "string" && id !== "") return id;
  const output = attributes["output.value"];
  // Quotes inside of texts are escaped.
  return typeof output === "string" ? /"id":"([^"\\]+)"/.exec(output)?.[1] : undefined;
}
