// A writer of one version of the package, on a directory that another version uses at the same time.
//   node version-writer.mjs <package's index.js> <dir> <seed> <version: old | new>
// Acknowledges on stdout, each in one synchronous write: `s <trace id> <span id> <session>` when onStart returned,
// `e <trace id> <span id> <session>` when onEnd returned, `n <trace id> <span id> <session>` when another span has
// decided the session of this one, `bye` when shutdown resolved. The session is `<session>?` until a call of the package
// has read the name: `setAttribute` is no such call. Ends in good order on a line of stdin.
// Only the new version names sessions late and takes signals: 0.1.0 makes a document of each unnamed trace.
import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { context, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";

const [, , index, dir, seed, version] = process.argv;
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, installCrashFence, recoverTraces } = createRequire(
  import.meta.url,
)(index);

let state = Number(seed) | 0;
const random = () => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  return (state >>> 0) / 4_294_967_296;
};
const print = (line) => writeSync(1, `${line}\n`);

const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer(version);
if (version === "new") installCrashFence(processor);
// With this listener the process survives the signal: the verdict of the hook is provisional.
let signals = 0;
process.on("SIGTERM", () => signals++);

const sessions = ["shared_a", "shared_b", `own_${version}_${process.pid}`];
const open = [];
const ids = (span) => `${span.spanContext().traceId} ${span.spanContext().spanId}`;

function start(session, { parent, isNamed = true } = {}) {
  const attributes = isNamed ? { "session.id": session } : {};
  const parentContext = parent ? trace.setSpan(context.active(), parent) : context.active();
  const span = tracer.startSpan(`work of ${version}`, { attributes }, parentContext);
  print(`s ${ids(span)} ${session}${isNamed ? "" : "?"}`);
  return { span, session };
}
function end({ span, session }, isNamed = true) {
  span.end();
  print(`e ${ids(span)} ${session}${isNamed ? "" : "?"}`);
}

/** A request whose session is named after its first spans have begun. */
function requestNamedLate(session) {
  const request = start(session, { isNamed: false });
  const early = start(session, { parent: request.span, isNamed: false });
  end(early, false);
  if (random() < 0.5) {
    const naming = start(session, { parent: request.span });
    for (const { span } of [request, early]) print(`n ${ids(span)} ${session}`);
    end(naming);
  } else request.span.setAttribute("session.id", session);
  if (random() < 0.8) {
    end(request);
    print(`n ${ids(early.span)} ${session}`);
  } else open.push(request);
}

let isEnding = false;
createInterface({ input: process.stdin }).on("line", () => {
  isEnding = true;
});
while (!isEnding) {
  const session = sessions[Math.floor(random() * sessions.length)];
  const what = random();
  if (what < 0.5) open.push(start(session));
  else if (what < 0.8 && open.length > 0) end(open.splice(Math.floor(random() * open.length), 1)[0]);
  else if (what < 0.9 && version === "new") requestNamedLate(session);
  else if (what < 0.92 && version === "new") process.kill(process.pid, "SIGTERM");
  else if (what < 0.94) await processor.forceFlush();
  else if (what < 0.95) await recoverTraces(dir);
  if (random() < 0.4) await new Promise((resolve) => setImmediate(resolve));
}
for (const span of open) end(span);
await processor.shutdown();
print("bye");
process.exit(0);
