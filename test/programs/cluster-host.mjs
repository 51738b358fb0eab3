/**
 * A cluster, as `node:cluster` and process managers run one: workers write to a session of their own and to a shared one; a
 * worker is killed and replaced. Prints each acknowledged span as `<session> <span id>`.
 */
import cluster from "node:cluster";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, installCrashFence } from "../../build/index.js";

const [dir] = process.argv.slice(2);
const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("cluster");
installCrashFence(processor);

function record(session) {
  const span = tracer.startSpan("work", { attributes: { "session.id": session } });
  span.end();
  return `${session} ${span.spanContext().spanId}`;
}

if (cluster.isPrimary) await lead();
else work();

async function lead() {
  console.log(record("primary"));
  const ended = Promise.all([1, 2, 3].map((number) => supervise(number)));
  await ended;
  console.log(record("primary"));
  await processor.shutdown();
}

/** Runs a worker to its end. The first one is killed after five spans, and started again. */
function supervise(number, isSecond = false) {
  return new Promise((resolve) => {
    const worker = cluster.fork();
    let spans = 0;
    worker.on("message", (acknowledged) => {
      console.log(acknowledged);
      if (number === 1 && !isSecond && ++spans === 5) worker.process.kill("SIGKILL");
    });
    worker.on("exit", (_, signal) => {
      if (signal === "SIGKILL") resolve(supervise(number, true));
      else resolve();
    });
  });
}

function work() {
  let left = 12;
  const next = () => {
    process.send(record(left % 2 === 0 ? "shared" : `worker ${cluster.worker.id}`));
    if (--left > 0) setImmediate(next);
    else void processor.shutdown().then(() => cluster.worker.disconnect());
  };
  next();
}
