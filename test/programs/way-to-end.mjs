// Records 100 spans and leaves two open, one of which is in the published document. Then ends in the way named by
// its argument.
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, installCrashFence } from "../../build/index.mjs";

const [, , dir, durability, way, fence] = process.argv;
const exporter = new CrashSafeFileSpanExporter({ dir, durability });
const processor = new CrashSafeSpanProcessor(exporter);
if (fence === "fenced") installCrashFence(processor);
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
const start = (name) => tracer.startSpan(name, { attributes: { "session.id": "s" } });

const raise = (signal) => () => {
  setInterval(() => {}, 1000);
  process.kill(process.pid, signal);
};
const ways = {
  shutdown: () => processor.shutdown(),
  exception() {
    throw new Error("boom");
  },
  "unhandled rejection": () => void Promise.reject(new Error("boom")),
  "process.exit": () => process.exit(3),
  "its end": () => {},
  SIGTERM: raise("SIGTERM"),
  SIGINT: raise("SIGINT"),
  SIGHUP: raise("SIGHUP"),
  SIGKILL: raise("SIGKILL"),
  SIGSEGV: raise("SIGSEGV"),
  abort: () => process.abort(),
  "out of memory"() {
    const hoard = [];
    for (;;) hoard.push(new Array(100_000).fill(hoard.length));
  },
};

const spans = (from, to) => {
  for (let i = from; i < to; i++) start(`ended ${i}`).end();
};
spans(0, 50);
start("running");
await exporter.forceFlush();
spans(50, 100);
start("just started");
ways[way]();
