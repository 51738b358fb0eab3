// On Windows: what a user does with the package beside recording. Prints a row for each use, with what is wrong.
import fs from "node:fs";
import { createRequire } from "node:module";
import { commandRun } from "../../support/command-run.mjs";

const plan = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const words = fs.openSync(plan.words, "a");
const print = (...given) => void fs.writeSync(words, `${JSON.stringify(given)}\n`);

const fromBuild = createRequire(`${plan.build}\\index.js`);
const load = (file) => fromBuild(`${plan.build}\\${file}`);
const { diag } = fromBuild("@opentelemetry/api");
const { BasicTracerProvider, InMemorySpanExporter } = fromBuild("@opentelemetry/sdk-trace-base");
const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } = load("index.js");
const { listTraces, readTrace, recoverTraces } = load("reader.js");
const { replayTraces } = load("replay\\replay-traces.js");
const { FileExporter, Trace } = load("altimate.js");
const { runCommandLine } = load("cli\\command-line.js");

let logged = [];
const take = (message) => void logged.push(message);
diag.setLogger({ error: take, warn: take, info() {}, debug() {}, verbose() {} });

/** Records sessions in a directory, and shuts down. Returns the exporter. */
async function record(dir, ids, options = {}) {
  const exporter = new CrashSafeFileSpanExporter({ dir, ...options });
  const processor = new CrashSafeSpanProcessor(exporter);
  const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("uses");
  for (const id of ids) tracer.startSpan("used", { attributes: { "session.id": id } }).end();
  await processor.forceFlush();
  await processor.shutdown();
  return exporter;
}

const json = (path) => JSON.parse(fs.readFileSync(path, "utf8"));
const must = (condition, text) => {
  if (!condition) throw new Error(text);
};

/** A session is recorded, resumed, listed and read in this directory, and nothing else is in it. */
async function everyUse(dir, seenAs = dir) {
  await record(dir, ["s"]);
  await record(dir, ["s"]);
  must(fs.readdirSync(seenAs).join() === "s.json", `there is ${fs.readdirSync(seenAs)}`);
  must(json(`${seenAs}\\s.json`).spans.filter(({ name }) => name === "used").length === 2, "a span is lost");
  const { traces } = await listTraces(dir);
  must(traces.length === 1, `${traces.length} sessions are listed`);
  const { trace } = await readTrace(traces[0].path);
  must(trace.spans.length === 3, `${trace.spans.length} spans are read`);
  must((await recoverTraces(dir)).failures.length === 0, "recovery fails");
}

async function command(dir, args) {
  let out = "";
  const { code, err } = await commandRun(runCommandLine, dir, args, (text) => {
    out += text;
  });
  must(!err.includes("report this as a bug"), err);
  return { code, out, err };
}

const base = plan.dir;
const drive = `C:\\lab traces ${process.pid}`;
const hardIds = [
  "CON",
  "nul",
  "com1",
  "a:b",
  "trailing ",
  "trailing.",
  "a/b",
  "a\\b",
  "*?<>|",
  'quote"d',
  "漢字",
  "Case",
  "cASE",
];

const uses = {
  "a path with spaces": () => everyUse(`${base}\\with spaces\\and Umlaute äöü`),
  slashes: () => everyUse(`${base.replaceAll("\\", "/")}/slashes`, `${base}\\slashes`),
  "a drive letter": () => everyUse(`${drive}\\upper`),
  "a drive letter in lower case": () => everyUse(`${drive.replace("C:", "c:")}\\lower`),
  "a path of a namespace": () => everyUse(`\\\\?\\${base}\\namespace`, `${base}\\namespace`),
  "a relative path": async () => {
    const before = process.cwd();
    process.chdir(base);
    await everyUse("relative\\traces");
    process.chdir(before);
  },
  "a path of 300 characters": () => everyUse(`${base}\\${Array(6).fill("d".repeat(49)).join("\\")}`),
  "a session id of 200 characters": async () => {
    await record(`${base}\\long id`, ["n".repeat(200)]);
    must(fs.readdirSync(`${base}\\long id`).length === 1, "there is no document");
  },
  "names that Windows reserves or refuses": async () => {
    const dir = `${base}\\names`;
    await record(dir, hardIds);
    const documents = fs.readdirSync(dir).filter((name) => name.endsWith(".json"));
    const ids = documents.map((name) => json(`${dir}\\${name}`).id);
    const missing = hardIds.filter((id) => !ids.includes(id));
    must(missing.length === 0, `there is no document of ${JSON.stringify(missing)}: ${logged.slice(0, 2)}`);
    must(fs.readdirSync(dir).length === hardIds.length, `there is ${fs.readdirSync(dir)}`);
  },
  "a document with line ends of Windows": async () => {
    const dir = `${base}\\lines`;
    await record(dir, ["s"]);
    fs.writeFileSync(`${dir}\\s.json`, fs.readFileSync(`${dir}\\s.json`, "utf8").replaceAll("\n", "\r\n"));
    must((await readTrace(`${dir}\\s.json`)).trace.spans.length === 2, "the span is not read");
    await record(dir, ["s"]);
    must(json(`${dir}\\s.json`).spans.length === 3, "the span before is lost");
  },
  retention: async () => {
    const dir = `${base}\\retention`;
    await record(dir, ["a", "b", "c", "d"]);
    new FileExporter(dir, 2).pruneSync();
    must(fs.readdirSync(dir).length === 2, `${fs.readdirSync(dir)} are left over`);
  },
  "the drop-in": async () => {
    const dir = `${base}\\drop in`;
    const exporter = new FileExporter(dir, 100);
    for (const name of ["one", "two"]) {
      const span = {
        spanId: "1",
        parentSpanId: null,
        name,
        kind: "session",
        startTime: 1,
        endTime: 2,
        status: "ok",
      };
      const path = await exporter.export({
        version: 2,
        traceId: "t",
        sessionId: "d",
        spans: [span],
        summary: {},
      });
      must(path === `${dir}\\d.json` || path === `${dir}/d.json`, `the path is ${path}`);
    }
    must(json(`${dir}\\d.json`).spans[0].name === "two", "the document is not replaced");
    const trace = Trace.withExporters([exporter]);
    trace.startTrace("t");
    trace.logStepStart({ id: "1" });
    const path = await trace.endTrace();
    must(json(path).sessionId === "t", "the trace has no document");
    must((await Trace.listTraces(dir)).length === 2, "a trace is not listed");
    must((await Trace.loadTrace("t", dir)) !== null, "a trace is not loaded");
    exporter.pruneSync();
  },
  "a replay": async () => {
    const dir = `${base}\\replay`;
    const exporter = new CrashSafeFileSpanExporter({ dir });
    const processor = new CrashSafeSpanProcessor(exporter);
    const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("uses");
    tracer.startSpan("used", { attributes: { "session.id": "s" } }).end();
    tracer.startSpan("open", { attributes: { "session.id": "s" } });
    processor.crash("fenced");
    for (const sessions of [1, 0]) {
      const report = await replayTraces(dir, new InMemorySpanExporter());
      must(report.failures.length === 0, `${report.failures[0]?.error}`);
      must(report.sessions.length === sessions, `${report.sessions.length} sessions are sent`);
    }
  },
  "the command line": async () => {
    const dir = `${base}\\commands`;
    await record(dir, ["one", "two"]);
    const commands = [
      ["list"],
      ["show", "one"],
      ["tail", "one", "--exit"],
      ["postmortem", "one"],
      ["stats"],
      ["export", "one", "--format", "jsonl"],
      ["share", "one", "-o", `${base}\\shared.html`],
      ["verify"],
      ["verify", "--ground"],
      ["recover"],
      ["replay", "--otlp", "http://127.0.0.1:9", "--dry-run"],
      ["prune", "--keep", "1"],
    ];
    for (const args of commands) {
      const { code, out, err } = await command(dir, args);
      must(code === 0, `${args.join(" ")} ended with ${code}: ${out}${err}`);
    }
    must(fs.readdirSync(dir).filter((name) => name.endsWith(".json")).length === 1, "nothing was pruned");
  },
  "a document that another program holds": async () => {
    const dir = `${base}\\held`;
    await record(dir, ["s"]);
    const fd = fs.openSync(`${dir}\\s.json`, "r");
    logged = [];
    const failed = await record(dir, ["s"]).catch((error) => error);
    fs.closeSync(fd);
    const texts = [...logged, String(failed?.message)].join("\n");
    must(/close the program that holds the file open/.test(texts), `the advice is ${texts}`);
    const { sessions, failures } = await recoverTraces(dir);
    must(failures.length === 0, `${failures[0]?.error}`);
    must(
      json(`${dir}\\s.json`).spans.filter(({ name }) => name === "used").length === 2,
      `a span is lost: ${sessions.length}`,
    );
  },
};

for (const [name, use] of Object.entries(uses)) {
  logged = [];
  try {
    await use();
    print("used", name);
  } catch (error) {
    print("problem", `${name}: ${error?.message}`);
  }
}
fs.rmSync(drive, { recursive: true, force: true });
process.exit(0);
