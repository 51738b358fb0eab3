/**
 * The contenders. A contender is one object in a file of `contenders/`, which imports what it needs when it is opened,
 * so that its process holds nothing of other contenders:
 *
 *     name, title      on the command line; in tables
 *     share            workload → { spans, runs, kills, why }: a smaller part of slow workloads
 *     needsServer      a server for spans is started, and passed as `server`
 *     open(job)        → { start(span), prepare(span), end(span or what was prepared), flush(), close() }
 *     survivors(job)   the number of spans that are found after the process is dead
 *
 * `start`, `prepare` and `close` are optional. The time of `prepare` is not counted.
 */
import alone from "./contenders/alone.mjs";
import floor from "./contenders/floor.mjs";
import jsonLines from "./contenders/json-lines.mjs";
import otlpHttp from "./contenders/otlp-http.mjs";
import ours from "./contenders/ours.mjs";
import oursUnderStock from "./contenders/ours-under-stock.mjs";
import rewriter from "./contenders/rewriter.mjs";
import sonicBoom from "./contenders/sonic-boom.mjs";
import stockNoOp from "./contenders/stock-no-op.mjs";

export const contenders = [
  alone,
  floor,
  ...ours,
  ...oursUnderStock,
  rewriter,
  ...jsonLines,
  ...sonicBoom,
  stockNoOp,
  otlpHttp,
];

export const contenderNamed = (name) => contenders.find((one) => one.name === name);

/** An npm package that was considered as a contender, and why it is none. */
export const missing =
  "opentelemetry-exporter-trace-otlp-file 1.0.3 cannot run beside SDK 2.x: it calls a function of an undeclared\n" +
  "dependency, @opentelemetry/otlp-transformer, that its versions for SDK 2.x do not export, and each export() fails";
