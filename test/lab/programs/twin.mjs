// What the programs of the twins share, as processes and as threads: their plan, their words, chance, and a liveness
// that can be told to be wrong about the living.
import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { isMainThread, workerData } from "node:worker_threads";

export const plan = isMainThread ? JSON.parse(process.argv[2]) : workerData;
const load = (file) => import(`${plan.build}/${file}`);
// The copy of the build has the packages beside it.
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
  });

/** The pipe to the lab; what threads print would make the one for that return before it has all. */
const pipe = 3;
/** One synchronous write each: what was said is out when the thread or the process dies. */
export const sayAs = (who, ...words) => writeSync(pipe, `${JSON.stringify([who, ...words])}\n`);
export const say = (...words) => sayAs(plan.who, ...words);
export const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

let state = plan.seed | 0;
export function random() {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  return (state >>> 0) / 4_294_967_296;
}
export const upTo = (count) => Math.floor(random() * count);

/** The machine's answer; where the plan lies, living owners other than us are dead now and then. */
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

// Nothing fails here but what we do to one another.
const tell = (...told) => say("fault", told.map(String).join(" "));
diag.setLogger({ error: tell, warn: tell, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);
for (const event of ["uncaughtException", "unhandledRejection"])
  process.on(event, (error) => say("fault", String(error?.stack ?? error)));
