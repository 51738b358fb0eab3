// Shared by the programs of the peer writers, as processes and as threads: their plan, their words, random numbers,
// and a liveness that can report live owners as dead.
import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { isMainThread, workerData } from "node:worker_threads";

export const plan = isMainThread ? JSON.parse(process.argv[2]) : workerData;
const load = (file) => import(`${plan.build}/${file}`);
// The copy of the build is next to the packages.
const fromBuild = createRequire(`${plan.build}/index.js`);

export const { diag, DiagLogLevel } = fromBuild("@opentelemetry/api");
export const { BasicTracerProvider } = fromBuild("@opentelemetry/sdk-trace-base");
export const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, recoverTraces } = await load("index.js");
export const { recoverDirectory } = await load("recovery/recover-directory.js");
export const { joinDirectory } = await load("directory/registry.js");
export const { nodeFileSystem } = await load("platform/file-system.js");
export const { systemClock } = await load("platform/clock.js");
const { SystemLiveness } = await load("platform/liveness.js");

// As in a session of many megabytes: the document is far behind, and what there is is in the side files.
if (plan.publishesSeldom)
  Object.assign((await load("directory/publish-scheduler.js")).defaultPace, {
    bytesPerSecond: 1,
    maxBytes: 1,
    startBytes: 0,
  });

/** The pipe to the lab. The stream of a thread would return before all is written. */
const pipe = 3;
/** One synchronous write each, so that every printed word is out when the thread or the process dies. */
export const printAs = (who, ...words) => writeSync(pipe, `${JSON.stringify([who, ...words])}\n`);
export const print = (...words) => printAs(plan.who, ...words);
export const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

let state = plan.seed | 0;
export function random() {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  return (state >>> 0) / 4_294_967_296;
}
export const upTo = (count) => Math.floor(random() * count);

/** The machine's verdict. Where the plan lies, live owners other than this one are sometimes dead. */
class TwinLiveness extends SystemLiveness {
  own = [];
  newToken() {
    this.own.push(super.newToken());
    return this.own.at(-1);
  }
  verdict(token) {
    const truth = super.verdict(token);
    const isOther = !this.own.some((own) => token.startsWith(own));
    return truth === "alive" && isOther && random() < (plan.lies ?? 0) ? "dead" : truth;
  }
}
export const liveness = new TwinLiveness(nodeFileSystem.sync);

// No call fails here except by the actions of peers.
const report = (...words) => print("fault", words.map(String).join(" "));
diag.setLogger({ error: report, warn: report, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);
for (const event of ["uncaughtException", "unhandledRejection"])
  process.on(event, (error) => print("fault", String(error?.stack ?? error)));
