// Meets a signal or an exception with a span open, and lives on in the way named by its argument, for as long as that way
// says. The session of each document is named by its spans. Arguments: way, directory.
import domain from "node:domain";
import { writeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import exitHook, { asyncExitHook } from "exit-hook";
import { onExit } from "signal-exit";
import onExit3 from "signal-exit-3";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, installCrashFence } from "../../build/index.mjs";

const [, , way, dir] = process.argv;
const exporter = new CrashSafeFileSpanExporter({ dir });
const isStock = way.startsWith("stock");
const processor = isStock ? new BatchSpanProcessor(exporter) : new CrashSafeSpanProcessor(exporter);
const provider = new BasicTracerProvider({ spanProcessors: [processor] });
const tracer = provider.getTracer("test");
const start = (name, session = "s") => tracer.startSpan(name, { attributes: { "session.id": session } });
const soon = () => new Promise((resolve) => setTimeout(resolve, 20));
const stay = () => setInterval(() => {}, 1000);
const raise = (signal = "SIGTERM") => process.kill(process.pid, signal);

/** What a server does that got a signal: it answers the request that is open, and one more. */
async function drain(open) {
  await soon();
  start("drained").end();
  start("other", "t").end();
  open.end();
  await provider.shutdown();
}

/** The process goes on: the open span ends, others start in the old session and in a new one. */
async function goOn(open) {
  open.end();
  start("later").end();
  const other = start("other", "t");
  await soon();
  other.end();
  await provider.shutdown();
}

const ways = {
  async "drain after the fence"(install, open) {
    install();
    process.on("SIGTERM", () => void drain(open).then(() => process.exit(0)));
    raise();
  },
  async "drain before the fence"(install, open) {
    process.on("SIGTERM", () => void drain(open).then(() => process.exit(0)));
    install();
    raise();
  },
  "drain, then exit without a shutdown"(install, open) {
    install();
    process.on("SIGTERM", async () => {
      await soon();
      start("drained").end();
      open.end();
      process.exit(0);
    });
    raise();
  },
  "end, then exit"(install, open) {
    install();
    process.on("SIGTERM", async () => {
      await soon();
      open.end();
      process.exit(0);
    });
    raise();
  },
  "exit in the handler"(install) {
    install();
    process.on("SIGTERM", () => process.exit(0));
    raise();
  },
  "exit while a span of the drain is open"(install) {
    install();
    process.on("SIGTERM", async () => {
      await soon();
      start("drained");
      process.exit(0);
    });
    raise();
  },
  "end the session in the handler"(install, open) {
    install();
    process.on("SIGTERM", async () => {
      open.end();
      await exporter.endSession("s");
      process.exit(0);
    });
    raise();
  },
  "no other listener"(install) {
    install();
    raise();
  },
  "no other listener, and nothing under way"(install, open) {
    open.end();
    install();
    raise();
  },
  "signal-exit 3"(install) {
    install();
    onExit3((_, signal) => writeSync(1, `exits by ${signal}\n`));
    raise();
  },
  "signal-exit 4"(install) {
    onExit((_, signal) => void writeSync(1, `exits by ${signal}\n`));
    install();
    raise();
  },
  "exit-hook"(install) {
    exitHook((code) => writeSync(1, `exits with ${code}\n`));
    install();
    raise();
  },
  "exit-hook that drains"(install, open) {
    install();
    asyncExitHook(() => drain(open), { wait: 2_000 });
    raise();
  },
  "survived exception"(install, open) {
    install();
    process.on("uncaughtException", () => void goOn(open));
    setTimeout(() => {
      throw new TypeError("boom");
    });
  },
  "survived rejection"(install, open) {
    install();
    process.on("uncaughtException", () => void goOn(open));
    void Promise.reject(new RangeError("boom"));
  },
  "error in a domain"(install, open) {
    install();
    const guarded = domain.create();
    guarded.on("error", () => void goOn(open));
    guarded.run(() => {
      setTimeout(() => {
        throw new TypeError("boom");
      });
    });
  },
  exception(install) {
    install();
    setTimeout(() => {
      throw new TypeError("boom");
    });
  },
  "survived SIGINT"(install, open) {
    install();
    process.once("SIGINT", () => setImmediate(() => void goOn(open)));
    raise("SIGINT");
  },
  "process 1"(install, open) {
    install();
    raise();
    setTimeout(() => void goOn(open), 50);
  },
  "killed before anything follows"(install) {
    install();
    process.on("SIGTERM", () => setImmediate(() => raise("SIGKILL")));
    raise();
  },
  "killed after a span has ended"(install, open) {
    start("also open");
    install();
    process.on("SIGTERM", () =>
      setImmediate(() => {
        open.end();
        raise("SIGKILL");
      }),
    );
    raise();
  },
  "killed after a span has started"(install, open) {
    install();
    process.on("SIGTERM", () =>
      setImmediate(() => {
        open.end();
        start("drained");
        raise("SIGKILL");
      }),
    );
    raise();
  },
  "explicit before"(install) {
    install();
    processor.crash("by hand");
    process.on("SIGTERM", () => setImmediate(() => start("late").end() ?? process.exit(0)));
    raise();
  },
  "explicit after"(install, open) {
    install();
    process.on("SIGTERM", () =>
      setImmediate(() => {
        processor.crash("by hand");
        open.end();
        process.exit(0);
      }),
    );
    raise();
  },
  "stock batch that exports later"(install, open) {
    open.end();
    install();
    process.on("SIGTERM", async () => {
      await processor.forceFlush();
      process.exit(0);
    });
    raise();
  },
  "stock batch that drains"(install, open) {
    install();
    process.on("SIGTERM", () => void drain(open).then(() => process.exit(0)));
    raise();
  },
  async "worker thread"(install, open) {
    install();
    const worker = new Worker(new URL("./thread-writer.mjs", import.meta.url), {
      workerData: { dir, sessionId: "w" },
    });
    await new Promise((resolve) => worker.once("message", resolve));
    process.on("SIGTERM", () => {
      worker.postMessage("end");
      worker.once("exit", () => void drain(open));
    });
    raise();
    worker.once("exit", () => clearInterval(staying));
  },
};

start("ended").end();
const open = start("open");
if (!isStock) await exporter.forceFlush();
const staying = stay();
const shutdown = provider.shutdown.bind(provider);
provider.shutdown = async () => {
  await shutdown();
  clearInterval(staying);
};
ways[way](() => installCrashFence(isStock ? exporter : processor), open);
