/** The session of a span is that of the first source that names one. */
import { type Context, propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, expect, test } from "vitest";
import { setSessionId } from "../../src/otel/session-context.js";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.end());

/** In order of precedence; each names a session of its own. */
const sources = [
  "option",
  "attribute",
  "context",
  "baggage",
  "parent",
  "ancestor",
  "trace",
  "policy",
] as const;
type Source = (typeof sources)[number];

/** Records a span that these sources name, and returns its session. */
async function sessionBy(named: ReadonlySet<Source>): Promise<string | undefined> {
  const sessionId = (span: { readonly name: string }) =>
    named.has("option") && span.name === "work" ? "option" : undefined;
  const { processor } = stage.actor({ sessionId });
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
  const root = tracer.startSpan("root");
  const top = trace.setSpan(ROOT_CONTEXT, root);
  const first = { attributes: { "session.id": "trace" } };
  if (named.has("trace")) tracer.startSpan("first", first, top).end();
  const above = tracer.startSpan("above", {}, top);
  const parent = tracer.startSpan("parent", {}, trace.setSpan(ROOT_CONTEXT, above));
  if (named.has("parent")) parent.setAttribute("session.id", "parent");
  let context: Context = trace.setSpan(ROOT_CONTEXT, parent);
  if (named.has("baggage"))
    context = propagation.setBaggage(
      context,
      propagation.createBaggage({ "session.id": { value: "baggage" } }),
    );
  if (named.has("context")) context = setSessionId(context, "context");
  const attributes = named.has("attribute") ? { "gen_ai.conversation.id": "attribute" } : {};
  const work = tracer.startSpan("work", { attributes }, context);
  if (named.has("ancestor")) above.setAttribute("session.id", "ancestor");
  for (const span of [work, parent, above, root]) span.end();
  await processor.shutdown();
  const { traceId } = root.spanContext();
  const ids = stage.files.map((name) => name.replace(/\.json$/, ""));
  const found = ids.filter((id) => stage.document(id).spans.some(({ name }) => name === "work"));
  expect(found).toHaveLength(1);
  return found[0] === traceId ? "policy" : found[0];
}

test.each(sources)("P11 %s names the session where no earlier source does", async (source) => {
  const later = sources.slice(sources.indexOf(source));
  for (const named of [[source], later]) {
    stage.clear();
    expect({ named, session: await sessionBy(new Set(named)) }).toEqual({ named, session: source });
  }
});
