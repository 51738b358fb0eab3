// A life in which spans move to the sessions that are named late: from the unnamed log, with the document of their trace, and
// one open span from one session to another. Trace ids are those of the plan, so that the parent knows all file names.
import { createRequire } from "node:module";
import { live, plan, print, ready } from "./child.mjs";

const fromBuild = createRequire(`${plan.build}/index.js`);
const { ROOT_CONTEXT, trace } = fromBuild("@opentelemetry/api");
const { BasicTracerProvider, SimpleSpanProcessor } = fromBuild("@opentelemetry/sdk-trace-base");
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } = await import(`${plan.build}/index.js`);

let [traces, spans] = [0, 0];
const idGenerator = {
  generateTraceId: () => plan.traces[traces++],
  generateSpanId: () => (++spans).toString(16).padStart(16, "0"),
};
const exporter = new CrashSafeFileSpanExporter({ dir: plan.dir });
const processor =
  plan.life === "stock" ? new SimpleSpanProcessor(exporter) : new CrashSafeSpanProcessor(exporter);
const tracer = new BasicTracerProvider({ spanProcessors: [processor], idGenerator }).getTracer("lab");

function start(name, parent, session) {
  const attributes = session ? { "session.id": session } : {};
  const span = tracer.startSpan(
    name,
    { attributes },
    parent ? trace.setSpan(ROOT_CONTEXT, parent) : ROOT_CONTEXT,
  );
  print("started", name);
  return span;
}

function end(span) {
  span.end();
  print("ended", span.name);
}

async function flush() {
  await processor.forceFlush();
  await exporter.forceFlush();
}

const lives = {
  ours: async () => {
    const root = start("root");
    end(start("early", root));
    await flush();
    const chat = start("chat", root, "alpha");
    await flush();
    end(chat);
    root.setAttribute("session.id", "beta");
    end(root);
    await flush();
    await wholeDocument();
  },
  stock: async () => {
    const root = start("root");
    end(start("early", root));
    await flush();
    end(start("chat", root, "alpha"));
    await flush();
    end(root);
    await flush();
    await wholeDocument();
  },
};

/** A trace that has ended with a document of its own names a session. */
async function wholeDocument() {
  const other = start("other root");
  end(start("other early", other));
  end(other);
  await flush();
  end(start("other chat", other, "alpha"));
  await flush();
}

await ready({ hasOneThread: true });
await live(lives[plan.life]);
