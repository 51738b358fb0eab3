// One of several processes that write to one session. Acknowledges on stdout, in the same turn: `s <span id>` when
// onStart returned, `e <span id>` when onEnd returned, `bye` when shutdown resolved.
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";

const { build, dir, sessionId, seed, lies } = JSON.parse(process.argv[2]);
const engine = (file) => import(new URL(`${file}.js`, build));
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } = await engine("index");
const { nodeFileSystem } = await engine("platform/file-system");
const { systemClock } = await engine("platform/clock");
const { SystemLiveness } = await engine("platform/liveness");
const { recoverDirectory } = await engine("recovery/recover-directory");

let state = seed;
const random = () => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
  return state / 0x7fff_ffff;
};
const print = (line) => writeSync(1, `${line}\n`);

const system = new SystemLiveness(nodeFileSystem.sync);
const own = new Set();
let isLying = false;
/** Reports live writers as dead in some calls. */
const liveness = {
  newToken() {
    const token = system.newToken();
    own.add(token);
    return token;
  },
  verdict(token) {
    const truth = system.verdict(token);
    return truth === "alive" && isLying && !own.has(token) && random() < lies ? "dead" : truth;
  },
};

// A disk that is slow at the worst moment: between the last check of the document and its replacement.
const cell = new Int32Array(new SharedArrayBuffer(4));
const sync = { ...nodeFileSystem.sync };
sync.rename = (from, to) => {
  if (to.endsWith(".json") && random() < 0.3) Atomics.wait(cell, 0, 0, random() * 10);
  nodeFileSystem.sync.rename(from, to);
};
const fileSystem = { ...nodeFileSystem, sync };

const pace = { bytesPerSecond: 1e9, maxBytes: 1e9, startBytes: 1e9 };
const exporter = new CrashSafeFileSpanExporter({ dir }, { pace, liveness, fileSystem });
const processor = new CrashSafeSpanProcessor(exporter);
const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("twins");

const open = [];
function start() {
  const span = tracer.startSpan(`work of ${process.pid}`, { attributes: { "session.id": sessionId } });
  open.push(span);
  print(`s ${span.spanContext().spanId}`);
}
function end() {
  const [span] = open.splice(Math.floor(random() * open.length), 1);
  span.setAttribute("gen_ai.tool.name", "grep").setAttribute("output.value", "x".repeat(random() * 200));
  span.end();
  print(`e ${span.spanContext().spanId}`);
}

let isEnding = false;
createInterface({ input: process.stdin }).on("line", () => {
  isEnding = true;
});
// From here on next to a writer of the same process: a recovery by mistake then finds that the session continues.
start();
isLying = lies > 0;
const ports = { fileSystem, clock: systemClock, liveness };
let recovery = Promise.resolve();
let isRecovering = false;
while (!isEnding) {
  const burst = 1 + random() * 6;
  for (let i = 0; i < burst; i++) {
    if (open.length < 4 && random() < 0.5) start();
    else if (open.length > 0) end();
  }
  if (random() < 0.02 && !isRecovering) {
    isRecovering = true;
    recovery = recoverDirectory(ports, dir).finally(() => {
      isRecovering = false;
    });
  }
  await new Promise((resolve) => setTimeout(resolve, random() * 8));
}
isLying = false;
while (open.length > 0) end();
await recovery;
await processor.shutdown();
print("bye");
process.exit(0);
