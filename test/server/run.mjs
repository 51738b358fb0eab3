/**
 * A real server under load: express with every instrumentation, first with requests that name no session, under each
 * policy for them, then with requests that name their session late; after that, ends of the server by a signal.
 *
 *   npm run test:server              30 s of load for each row
 *   npm run test:server -- --ci      6 s
 *
 * Ends with 1 when something was not bounded, or a document is not what the server did. Skips, with the reason, where
 * the packages of the server cannot be installed, and the rows of PID 1 where no PID namespace can be made.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, styleText } from "node:util";
import Table from "cli-table3";

const here = fileURLToPath(new URL(".", import.meta.url));
const { values } = parseArgs({ options: { ci: { type: "boolean", default: false } } });
const seconds = values.ci ? 6 : 30;
const settleMillis = 12_000;

/** Documents of traces without a session that retention keeps by default; as many may wait to be written. */
const keptByDefault = 1_000;
/** Upper bounds under load. */
const bounds = { openSessions: keptByDefault + 100, descriptors: 400, megabytes: 400 };

const skipped = installed();
if (skipped) {
  console.log(`SKIPPED the server under load: ${skipped}`);
  process.exit(0);
}
const autocannon = createRequire(import.meta.url)("autocannon");
const canUnshare = spawnSync("unshare", ["-p", "-f", "--mount-proc", "true"]).status === 0;
const faults = [];
const children = new Set();
const root = mkdtempSync(join(tmpdir(), "server-under-load-"));
try {
  const loads = [];
  for (const policy of ["trace", "process", "drop"]) await row(loads, () => underLoad(policy, "/plain"));
  await row(loads, () => underLoad("trace", "late names"));
  printLoads(loads);
  const ends = [];
  await row(ends, () => ended({ drains: true, isInit: false }));
  await row(ends, () => ended({ drains: false, isInit: false }));
  if (canUnshare) {
    await row(ends, () => ended({ drains: true, isInit: true }));
    await row(ends, survivedAsInit);
  } else console.log("SKIPPED the rows of PID 1: this machine makes no PID namespace");
  printEnds(ends);
} finally {
  rmSync(root, { recursive: true, force: true, maxRetries: 5 });
}
for (const fault of faults) console.log(styleText("red", `FAILED: ${fault}`));
if (faults.length === 0)
  console.log("The server kept every bound, and each document is what the server did.");
process.exitCode = faults.length > 0 ? 1 : 0;

/** Installs the packages of the server. Returns why that is impossible. */
function installed() {
  if (existsSync(join(here, "node_modules/express"))) return undefined;
  const args = ["install", "--prefix", here, "--no-package-lock", "--no-audit", "--no-fund"];
  const { status, stderr } = spawnSync("npm", args, { encoding: "utf8" });
  return status === 0 ? undefined : `npm install ended with ${status}: ${stderr.trim().split("\n").at(-1)}`;
}

async function row(rows, measure) {
  try {
    rows.push(await measure());
  } catch (error) {
    faults.push(error.stack);
  } finally {
    for (const child of children) child.kill("SIGKILL");
    children.clear();
  }
}

function expect(isTrue, fault) {
  if (!isTrue) faults.push(fault);
}

/** Starts a server. As PID 1 it runs in a PID namespace of its own. */
async function start(policy, { drains = false, isInit = false } = {}) {
  const dir = mkdtempSync(join(root, "traces-"));
  const [command, ...args] = [
    ...(isInit ? ["unshare", "-p", "-f", "--mount-proc", "--kill-child"] : []),
    process.execPath,
    join(here, "app.cjs"),
  ];
  const child = spawn(command, args, {
    env: {
      ...process.env,
      SERVER_DIR: dir,
      SERVER_POLICY: policy,
      ...(drains && { SERVER_DRAINS: "1" }),
    },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  children.add(child);
  const exit = once(child, "exit");
  const [{ port }] = await once(child, "message");
  const pid = isInit ? childOf(child.pid) : child.pid;
  return { child, pid, dir, exit, url: `http://127.0.0.1:${port}` };
}

/** The process that `unshare` made, by its number in our own namespace. */
function childOf(pid) {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
}

/** The counters of the exporter. A server that does not answer in 30 s is killed. */
async function stats({ child }) {
  const limit = setTimeout(() => child.kill("SIGKILL"), 30_000);
  child.send("stats");
  const answer = await Promise.race([once(child, "message"), once(child, "exit")]);
  clearTimeout(limit);
  if (!answer[0]?.stats) throw new Error(`the server did not answer in 30 s, or ended: ${answer.join(" ")}`);
  return answer[0].stats;
}

/** What the server holds now. */
async function measured(server) {
  const { openSessions } = await stats(server);
  const descriptors = readdirSync(`/proc/${server.pid}/fd`).length;
  const megabytes =
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))[1]) / 1024;
  return {
    openSessions,
    descriptors,
    megabytes,
    files: existsSync(server.dir) ? readdirSync(server.dir).length : 0,
  };
}

async function underLoad(policy, path) {
  const server = await start(policy);
  const isLate = path === "late names";
  const load = autocannon({
    url: server.url,
    connections: 10,
    duration: seconds,
    requests: isLate
      ? Array.from({ length: 20 }, (_, at) => ({ method: "GET", path: `/chat/ses_${at}` }))
      : [{ method: "GET", path }],
  });
  const most = { openSessions: 0, descriptors: 0, megabytes: 0, files: 0 };
  let isLoaded = true;
  const watch = async () => {
    while (isLoaded) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const now = await measured(server);
      for (const name of Object.keys(most)) most[name] = Math.max(most[name], now[name]);
    }
  };
  const loaded = Promise.resolve(load).finally(() => {
    isLoaded = false;
  });
  const [result] = await Promise.all([loaded, watch()]);
  // Longer than the five seconds after which a trace without a name is decided, and than the ten between two retentions.
  await new Promise((resolve) => setTimeout(resolve, settleMillis));
  const settled = await measured(server);
  const what = isLate ? "late names" : `withoutSession: "${policy}"`;
  for (const name of Object.keys(bounds))
    expect(
      most[name] <= bounds[name],
      `${what}: ${name} reached ${Math.round(most[name])}, bound ${bounds[name]}`,
    );
  expect(result.errors + result.non2xx === 0, `${what}: ${result.errors + result.non2xx} requests failed`);
  server.child.kill("SIGTERM");
  await server.exit;
  const documents = left(server.dir, what);
  const names = documents.map(({ name }) => name);
  if (isLate) {
    expect(
      documents.length === 20 && names.every((name) => name.startsWith("ses_")),
      `${what}: the documents are ${names.slice(0, 25).join(" ")}`,
    );
    const generations = documents.reduce(
      (sum, { trace }) => sum + trace.spans.filter(({ name }) => name === "chat gpt").length,
      0,
    );
    expect(
      generations === result["2xx"],
      `${what}: ${generations} generations for ${result["2xx"]} requests`,
    );
  } else if (policy === "drop") {
    expect(documents.length === 0, `${what}: ${documents.length} documents`);
  } else if (policy === "process") {
    expect(documents.length === 1, `${what}: ${documents.length} documents`);
  } else {
    expect(
      documents.length > 0 && documents.length <= keptByDefault,
      `${what}: ${documents.length} documents`,
    );
  }
  for (const { name, trace } of documents) {
    const own = trace.spans.filter(({ attributes }) =>
      String(attributes?.["file.path"] ?? "").startsWith(server.dir),
    );
    expect(own.length === 0, `${what}: ${own.length} spans of our own calls in ${name}`);
    expect(trace.summary.status === "completed", `${what}: ${name} has status ${trace.summary.status}`);
  }
  return {
    what,
    requests: result["2xx"],
    perSecond: result.requests.average,
    most,
    settled,
    documents: documents.length,
  };
}

/** The documents that a server left. Each file must be one. */
function left(dir, what) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir).flatMap((file) => {
    if (!file.endsWith(".json")) {
      faults.push(`${what}: ${file} is left`);
      return [];
    }
    return [{ name: file.slice(0, -5), trace: JSON.parse(readFileSync(join(dir, file), "utf8")) }];
  });
}

/** A request is in flight when the server gets SIGTERM. */
async function ended({ drains, isInit }) {
  const what = `SIGTERM, ${drains ? "a handler that drains" : "no handler"}${isInit ? ", as PID 1" : ""}`;
  const server = await start("trace", { drains, isInit });
  await (await fetch(`${server.url}/chat/finished`)).text();
  const slow = fetch(`${server.url}/slow/in-flight`).then(
    (response) => response.text(),
    () => "no answer",
  );
  await new Promise((resolve) => setTimeout(resolve, 150));
  process.kill(server.pid, "SIGTERM");
  const answer = await slow;
  const [code, signal] = await server.exit;
  const documents = left(server.dir, what);
  const of = (name) => documents.find((document) => document.name === name)?.trace;
  const [finished, inFlight] = [of("finished"), of("in-flight")];
  expect(documents.length === 2, `${what}: ${documents.map(({ name }) => name).join(" ")}`);
  expect(finished?.summary.status === "completed", `${what}: finished is ${finished?.summary.status}`);
  const interrupted = inFlight?.spans.filter((span) => span.interrupted && span.kind !== "session") ?? [];
  if (drains) {
    expect(answer === "chat" && code === 0, `${what}: answer ${answer}, code ${code}, signal ${signal}`);
    expect(inFlight?.summary.status === "completed", `${what}: in-flight is ${inFlight?.summary.status}`);
    expect(interrupted.length === 0, `${what}: ${interrupted.length} spans are interrupted`);
  } else {
    expect(signal === "SIGTERM" || code === 143, `${what}: code ${code}, signal ${signal}`);
    expect(inFlight?.summary.status === "crashed", `${what}: in-flight is ${inFlight?.summary.status}`);
    expect(
      inFlight?.summary.detector === "SIGTERM",
      `${what}: the detector is ${inFlight?.summary.detector}`,
    );
    expect(interrupted.length > 0, `${what}: no span is interrupted`);
  }
  return {
    what,
    end: signal ?? `exit ${code}`,
    answer,
    documents: documents.map(({ name, trace }) => `${name} ${trace.summary.status}`).join(", "),
  };
}

/** PID 1 has no default effect of a signal: the server goes on, and what it does then must be recorded. */
async function survivedAsInit() {
  const what = "SIGTERM, no handler, as PID 1: the server goes on";
  const server = await start("trace", { isInit: true });
  const slow = fetch(`${server.url}/slow/in-flight`).then((response) => response.text());
  await new Promise((resolve) => setTimeout(resolve, 150));
  process.kill(server.pid, "SIGTERM");
  const answer = await slow;
  await (await fetch(`${server.url}/chat/after`)).text();
  process.kill(server.pid, "SIGKILL");
  await server.exit;
  const recover = `import { recoverTraces } from ${JSON.stringify(new URL("../../build/reader.mjs", import.meta.url).href)};
    await recoverTraces(${JSON.stringify(server.dir)});`;
  execFileSync(process.execPath, ["--input-type=module", "-e", recover]);
  const documents = left(server.dir, what);
  const after = documents.find(({ name }) => name === "after")?.trace;
  const inFlight = documents.find(({ name }) => name === "in-flight")?.trace;
  expect(answer === "chat", `${what}: answer ${answer}`);
  expect(
    after?.spans.some(({ name }) => name === "chat gpt"),
    `${what}: the request after the signal is not recorded`,
  );
  expect(after?.summary.status === "completed", `${what}: after is ${after?.summary.status}`);
  const generation = inFlight?.spans.find(({ name }) => name === "chat gpt");
  expect(generation && !generation.interrupted, `${what}: the end of the request in flight is not recorded`);
  return {
    what,
    end: "SIGKILL",
    answer,
    documents: documents.map(({ name, trace }) => `${name} ${trace.summary.status}`).join(", "),
  };
}

function printLoads(loads) {
  const table = new Table({
    head: [
      "load",
      "requests/s",
      "most open sessions",
      "descriptors",
      "memory",
      "files",
      `${settleMillis / 1_000} s later`,
      "documents",
    ],
    style: { head: [], border: [] },
    colAligns: ["left", ...Array(7).fill("right")],
  });
  for (const { what, perSecond, most, settled, documents } of loads) {
    const later = `${settled.openSessions} sessions, ${settled.files} files`;
    const memory = `${Math.round(most.megabytes)} MB`;
    table.push([
      what,
      Math.round(perSecond),
      most.openSessions,
      most.descriptors,
      memory,
      most.files,
      later,
      documents,
    ]);
  }
  console.log(`\nexpress with every instrumentation, ten connections, ${seconds} s each\n${table}`);
}

function printEnds(ends) {
  const table = new Table({
    head: ["end", "the process", "the request", "documents"],
    style: { head: [], border: [] },
  });
  for (const { what, end, answer, documents } of ends) table.push([what, end, answer, documents]);
  console.log(`\nEnds of the server, a request in flight\n${table}`);
}
