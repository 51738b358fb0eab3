/**
 * A real server under load, its ends by a signal, and hosts in which only our own work could make spans. All have every
 * instrumentation of `@opentelemetry/auto-instrumentations-node`.
 *
 *   npm run test:server              30 s of load in each row, a minute of our own work, and requests per second beside
 *                                    a server without this package
 *   npm run test:server -- --ci      4 s, and 8 s
 *   npm run test:server -- --rates   the requests per second only
 *
 * Exits with 1 when something is not bounded, or a document is not what the server did. Skips, with the reason, where the
 * packages of the server cannot be installed, and the rows of PID 1 where no PID namespace can be made.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { colors, right, shortDuration, table } from "../support/text-output.mjs";
import { ended, survivedAsInit } from "./ends.mjs";
import { bounds, connections, loads, underLoad } from "./loads.mjs";
import { ownWork } from "./own-work.mjs";
import { throughput } from "./throughput.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const { values } = parseArgs({
  options: { ci: { type: "boolean", default: false }, rates: { type: "boolean", default: false } },
});
const seconds = values.ci ? { load: 4, ownWork: 8 } : { load: 30, ownWork: 60, throughput: 10 };

const reason = installed();
if (reason) {
  console.log(`SKIPPED the server under load: ${reason}`);
  process.exit(0);
}
const faults = [];
const began = performance.now();
const root = mkdtempSync(join(tmpdir(), "server-under-load-"));
try {
  if (!values.rates) await everything();
  // After all others: no server that settles takes a part of the machine.
  if (!values.ci) printRates(await throughput(root, seconds.throughput));
} finally {
  rmSync(root, { recursive: true, force: true, maxRetries: 5 });
}
if (values.rates) process.exit(0);
for (const fault of faults) console.log(colors.red(`FAILED ${fault}`));
const took = `${shortDuration(performance.now() - began)}, Node ${process.version}`;
console.log(
  faults.length > 0
    ? `${faults.length} failed (${took})`
    : `Every bound holds, each document is what the server did, and no span is of our own making (${took}).`,
);
process.exit(faults.length > 0 ? 1 : 0);

/** All but the requests per second. */
async function everything() {
  const settling = [];
  for (const load of loads)
    await row(load.what, async (expect) => {
      const { settled, ...loaded } = await underLoad(root, load, seconds.load, expect);
      settling.push(row(load.what, async () => ({ ...load, ...loaded, ...(await settled) })));
    });
  const ends = await endRows();
  const hosts = await row("our own work", (expect) => ownWork(root, seconds.ownWork, expect));
  printLoads(await Promise.all(settling));
  printEnds(ends);
  printHosts(hosts ?? []);
}

/** Installs the packages of the server. Returns why that is impossible. */
function installed() {
  if (existsSync(join(here, "node_modules/@opentelemetry/exporter-trace-otlp-proto"))) return undefined;
  const args = ["install", "--prefix", here, "--no-package-lock", "--no-audit", "--no-fund"];
  const { status, stderr } = spawnSync("npm", args, { encoding: "utf8" });
  return status === 0 ? undefined : `npm install ended with ${status}: ${stderr.trim().split("\n").at(-1)}`;
}

/** Runs `measure` with a function that compares what it found. A fault fails the run; the other rows are measured. */
async function row(what, measure) {
  try {
    return await measure((name, found, expected) => {
      if (isDeepStrictEqual(found, expected)) return;
      faults.push(`${what}: ${name} is ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
    });
  } catch (error) {
    faults.push(`${what}: ${error.stack}`);
    return undefined;
  }
}

async function endRows() {
  const canUnshare = spawnSync("unshare", ["-p", "-f", "--mount-proc", "true"]).status === 0;
  const rows = [
    ["SIGTERM, a listener that drains", (expect) => ended(root, { drains: true }, expect)],
    ["SIGTERM, no listener", (expect) => ended(root, {}, expect)],
  ];
  if (canUnshare)
    rows.push(
      [
        "as PID 1: SIGTERM, a listener that drains",
        (expect) => ended(root, { drains: true, isInit: true }, expect),
      ],
      ["as PID 1: SIGTERM, no listener, then SIGKILL", (expect) => survivedAsInit(root, expect)],
    );
  else console.log("SKIPPED the rows of PID 1: this machine makes no PID namespace");
  const ends = [];
  for (const [what, measure] of rows) ends.push({ what, ...(await row(what, measure)) });
  return ends;
}

function print(title, head, rows) {
  const isNumber = (at) => typeof rows[0]?.[at] === "number";
  const columns = head.map((text, at) => (isNumber(at) ? right(text) : text));
  const cells = rows.map((row) => row.map((cell) => cell ?? "?"));
  console.log(`\n${colors.bold(title)}\n${table(columns, cells).join("\n")}`);
}

function printLoads(rows) {
  const head = ["load", "requests/s", "open sessions", "descriptors", "MB", "files", "later", "documents"];
  print(`express, ${connections} connections, ${seconds.load} s: the most at any time`, head, [
    ...rows
      .filter((one) => one !== undefined)
      .map(({ what, perSecond, most, openSessions, files, seconds: after, documents }) => [
        what,
        Math.round(perSecond),
        most.openSessions,
        most.descriptors,
        Math.round(most.megabytes),
        most.files,
        `${openSessions} sessions, ${files} files after ${after.toFixed(1)} s`,
        documents,
      ]),
    [colors.dim("bound"), "", bounds.openSessions, bounds.descriptors, bounds.megabytes, "", "", ""],
  ]);
}

function printRates(rows) {
  const cells = rows.map(({ what, perSecond, part, goal }) => [
    what,
    Math.round(perSecond),
    part.toFixed(2),
    goal === undefined ? "" : `>= ${goal}: ${part >= goal ? "reached" : "missed"}`,
  ]);
  const head = ["the same server", "requests/s", "of the first", "goal"];
  print(`Requests per second, median of three runs of ${seconds.throughput} s`, head, cells);
}

function printEnds(rows) {
  const head = ["end", "the process", "the request", "documents"];
  print(
    "Ends of the server, a request in flight",
    head,
    rows.map(({ what, end, answer, documents }) => [what, end, answer, documents]),
  );
}

function printHosts(rows) {
  const head = ["processor", "context manager", "spans of the host", "of our requests", "of our own making"];
  print(
    `A minute of our own work in ${seconds.ownWork} s: spans that start, in two threads`,
    head,
    rows.map(({ processor, manager, app, requests, strangers }) => [
      processor,
      manager ? "yes" : "no",
      app,
      requests,
      strangers,
    ]),
  );
  console.log(
    colors.dim(
      "Without a context manager nothing shows an instrumentation that a request is ours. Our processor leaves its span out.",
    ),
  );
}
