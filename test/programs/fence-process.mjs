// Ends in the way named by its argument, with a crash fence installed. Prints what the fence did.
import { stat, writeSync } from "node:fs";
import { isMainThread, Worker } from "node:worker_threads";
import { installCrashFence } from "../../build/processor/crash-fence.js";
import { secondCopyOf } from "./second-copy.mjs";

const [, , way, signal = "SIGTERM"] = process.argv;

const print = (line) => writeSync(1, `${line}\n`);
const target = (name, more) => ({ crash: (reason) => print(`${name}: ${reason}`), ...more });
const waitForSignal = () => {
  setInterval(() => {}, 1000);
  print("ready");
};

const ways = {
  signal() {
    installCrashFence(target("a"));
    waitForSignal();
  },
  "two targets, one throws"() {
    installCrashFence({
      crash() {
        throw new Error("broken");
      },
    });
    installCrashFence(target("b"));
    waitForSignal();
  },
  "another listener"() {
    installCrashFence(target("a"), { exit: false });
    process.on(signal, () => {
      print("other");
      setTimeout(() => {
        print(`alive, ${process.listenerCount(signal)} listeners`);
        process.exit(7);
      }, 50);
    });
    waitForSignal();
  },
  "another listener, once and earlier"() {
    process.once(signal, () => {
      print("other");
      setTimeout(() => process.exit(7), 50);
    });
    installCrashFence(target("a"), { exit: false });
    waitForSignal();
  },
  "a listener that raises again when alone"() {
    installCrashFence(target("a"));
    process.on(signal, function polite() {
      if (process.listenerCount(signal) > 1) return;
      process.off(signal, polite);
      process.kill(process.pid, signal);
    });
    waitForSignal();
  },
  "signal after signal"() {
    installCrashFence(target("a"), { exit: false });
    let left = 2;
    process.on(signal, () => {
      if (--left === 0) process.exit(7);
      setImmediate(() => process.kill(process.pid, signal));
    });
    waitForSignal();
  },
  "stopped target"() {
    installCrashFence(target("a", { stopped: true }));
    waitForSignal();
  },
  uninstalled() {
    const fence = installCrashFence(target("a"));
    fence.uninstall();
    fence.uninstall();
    const whenGone = () => {
      if (process.listenerCount(signal) === 0) waitForSignal();
      else setImmediate(whenGone);
    };
    whenGone();
  },
  "uninstalled after it was caught"() {
    const fence = installCrashFence(target("a"));
    // After the event loop has read the signals of this turn.
    stat(".", () => {
      process.kill(process.pid, signal);
      fence.uninstall();
      setTimeout(() => print("still alive"), 500);
    });
  },
  "uninstalled before it was caught in a later turn"() {
    const fence = installCrashFence(target("a"));
    fence.uninstall();
    // The next turn reads its events, and a callback of one of them takes the signal: the loop reads it a turn later.
    setImmediate(() => {
      stat(".", () => process.kill(process.pid, signal));
      const end = performance.now() + 50;
      while (performance.now() < end);
      setTimeout(() => print("still alive"), 500);
    });
  },
  "uncaught exception"() {
    installCrashFence(target("a"));
    setImmediate(() => {
      throw new Error("boom");
    });
  },
  "uncaught hostile value"() {
    installCrashFence(target("a"), { exit: false });
    throw Object.create(null);
  },
  "unhandled rejection"() {
    installCrashFence(target("a"));
    Promise.reject(new Error("boom"));
  },
  "process.exit"() {
    installCrashFence(target("a"));
    process.exit(3);
  },
  "natural exit"() {
    installCrashFence(target("a"));
  },
  "natural exit, stopped"() {
    installCrashFence(target("a", { stopped: true }));
  },
  "each target its events"() {
    installCrashFence(target("a"), { signals: [signal], exit: false, uncaughtException: false });
    installCrashFence(target("b"), { signals: false });
    waitForSignal();
  },
  "two copies of the package"() {
    const copy = secondCopyOf("processor/crash-fence.js");
    if (copy.installCrashFence === installCrashFence) throw new Error("one copy");
    const shared = target("shared");
    installCrashFence(shared);
    copy.installCrashFence(shared);
    copy.installCrashFence(target("b"));
    print(`${process.listenerCount(signal)} listener`);
    waitForSignal();
  },
  worker() {
    new Worker(new URL(import.meta.url), { argv: ["in a worker"] }).on("exit", (code) =>
      print(`code ${code}`),
    );
  },
  "in a worker"() {
    installCrashFence(target("worker"));
    process.emit("SIGTERM", "SIGTERM");
    process.exit(5);
  },
};

if (ways[way] === undefined) throw new Error(`no such way: ${way} (main thread: ${isMainThread})`);
ways[way]();
