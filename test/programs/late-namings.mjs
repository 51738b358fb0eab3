// Programs that name their sessions late, each in one way: used by a test on the sources and by a process that is killed.
// A program waits at `stop` three times. At the second one its root and one span below it are open.
import { propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api";

const inSpan = (span, around = ROOT_CONTEXT) => trace.setSpan(around, span);
const named = (span, session) => void span.setAttribute("session.id", session);
const remote = { traceId: "1".repeat(32), spanId: "2".repeat(16), traceFlags: 1, isRemote: true };

/** A request: a span before the name, a span that may name, one below it that may name, and one after it. */
async function request(
  tracer,
  stop,
  { above = ROOT_CONTEXT, around, root: ofRoot, chat: ofChat, tool: ofTool },
) {
  const root = tracer.startSpan("root", {}, above);
  tracer.startSpan("early", {}, inSpan(root)).end();
  await stop();
  ofRoot?.(root);
  const chat = tracer.startSpan("chat", {}, inSpan(root, around));
  ofChat?.(chat);
  const tool = tracer.startSpan("tool", {}, inSpan(chat, around));
  ofTool?.(tool);
  tool.end();
  await stop();
  chat.end();
  await stop();
  tracer.startSpan("after", {}, inSpan(root)).end();
  root.end();
}

/** Two spans of one trace that name different sessions at their ends. */
async function twoSessions(tracer, stop) {
  const root = tracer.startSpan("root");
  tracer.startSpan("early", {}, inSpan(root)).end();
  await stop();
  const [a, b] = ["a", "b"].map((name) => tracer.startSpan(name, {}, inSpan(root)));
  tracer.startSpan("below a", {}, inSpan(a)).end();
  tracer.startSpan("below b", {}, inSpan(b)).end();
  named(a, "A");
  a.end();
  await stop();
  named(b, "B");
  b.end();
  await stop();
  root.end();
}

/** Names the first span with this name that starts: it comes after the processor of this package. */
const stamp = (name) => ({
  onStart: (span) => void (span.name === name && named(span, "A")),
  onEnd() {},
  forceFlush: async () => {},
  shutdown: async () => {},
});

/** `setSessionId` of the tested build. */
export const namings = (setSessionId) => ({
  context: { run: (tracer, stop) => request(tracer, stop, { around: setSessionId(ROOT_CONTEXT, "A") }) },
  "attribute after start": {
    run: (tracer, stop) => request(tracer, stop, { root: (span) => named(span, "A") }),
  },
  "processor behind": { run: (tracer, stop) => request(tracer, stop, {}), behind: stamp("chat") },
  baggage: {
    run(tracer, stop) {
      const baggage = propagation.createBaggage({ "session.id": { value: "A" } });
      return request(tracer, stop, { around: propagation.setBaggage(ROOT_CONTEXT, baggage) });
    },
  },
  "child names": { run: (tracer, stop) => request(tracer, stop, { chat: (span) => named(span, "A") }) },
  "grandchild names": { run: (tracer, stop) => request(tracer, stop, { tool: (span) => named(span, "A") }) },
  "two sessions in one trace": { run: twoSessions },
  "remote parent": {
    run(tracer, stop) {
      const above = trace.setSpanContext(ROOT_CONTEXT, remote);
      return request(tracer, stop, { above, chat: (span) => named(span, "A") });
    },
  },
});
