/** The programs of a matrix project, as text: one records a session until it is killed, one reads it. */

const library = "opentelemetry-exporter-crash-safe-file";

/** Its last argument is the directory. Records a session of spans, and a session of log calls. */
export const recording = ({ from, name, text }) => `import { trace } from "@opentelemetry/api";
import { ${name} } from "${from}";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, setSessionId } from "${library}";
import { createSessionTracing } from "${library}/session";

const dir = process.argv.at(-1) ?? "";
const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
${text}
const attributes = { "session.id": "of spans" };
tracer.startSpan("ended", { attributes }).end();
tracer.startSpan("running", { attributes });

const logged = createSessionTracing({ dir }).tracer("logged", { agent: "matrix" });
logged.logUserMessage("Does it work here?");
logged.logStepStart({ id: "step" });
logged.logToolCall({ tool: "look", callID: "call", state: { status: "completed", input: {}, output: "it does" } });

console.log("recorded", typeof trace, typeof setSessionId);
setInterval(() => {}, 1_000);
`;

/** The code that takes the tracer of the provider that `register` has set up. */
export const registered = 'void processor;\nconst tracer = api.getTracer("matrix");';

/** The code that takes the tracer of a session tracing. */
export const traced =
  'void [processor, api];\nconst tracer = createSessionTracing({ dir }).tracerProvider.getTracer("matrix");';

/** Its last argument is the list of exporters. Prints which package is missing, if one is. */
export const advised = `import { createSessionTracing } from "${library}/session";

process.env.OTEL_TRACES_EXPORTER = process.argv.at(-1);
try {
  await createSessionTracing({ dir: "advised" }).shutdown();
} catch ({ message }) {
  console.log(message);
}
`;

/** Recovers the directory, and prints what each document holds. */
export const reading = `import { listTraces, readTrace, recoverTraces } from "${library}/reader";

async function main() {
  const dir = process.argv.at(-1) ?? "";
  const { failures } = await recoverTraces(dir);
  const { traces } = await listTraces(dir);
  const found: Record<string, string> = { failures: String(failures.length) };
  for (const { path } of traces) {
    const { trace } = await readTrace(path);
    const spans = trace.spans.map(({ name, interrupted }) => name + (interrupted ? " interrupted" : ""));
    found[trace.sessionId] = [trace.summary.status, ...spans.sort()].join(", ");
  }
  console.log(JSON.stringify(found));
}
void main();
`;

/** The output of a read. */
export const expected = {
  failures: "0",
  "of spans": "crashed, ended, of spans interrupted, running interrupted",
  logged: "crashed, generation-step interrupted, logged interrupted, look, user-message",
};

/**
 * Compiled, not run: the types of this package fit where the SDK wants its own, and the SDK's spans fit this
 * package.
 */
export const typing = (from) => `import type { ReadableSpan, SpanExporter, SpanProcessor } from "${from}";
import {
  CrashSafeFileSpanExporter,
  CrashSafeSpanProcessor,
  type ReadableSpan as Accepted,
  type SpanExporter as AcceptedExporter,
} from "${library}";
import { createSessionTracing } from "${library}/session";

export const exporter: SpanExporter = new CrashSafeFileSpanExporter({ dir: "traces" });
export const processor: SpanProcessor = new CrashSafeSpanProcessor(exporter);
export const accepted = (span: ReadableSpan): Accepted => span;
export const acceptedExporter = (theirs: SpanExporter): AcceptedExporter => theirs;
export const tracing = (theirs: SpanExporter) => createSessionTracing({ exporter: theirs, processors: [processor] });
`;

/** An ES module as JavaScript: without the one type that it names. */
export const asModule = (text) => text.replace(": Record<string, string>", "");

/** The program for `require`. */
export const asCommonJs = (text) =>
  asModule(text).replace(/^import \{([^}]*)\} from ("[^"]+");$/gm, "const {$1} = require($2);");
