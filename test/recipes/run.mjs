/**
 * Follows the README and each recipe as a new user does: an empty directory, the commands and files of the page as they stand,
 * and what the page says that they print.
 *
 *   npm run test:recipes                     all pages, on this Node
 *   npm run test:recipes -- bun              some, by the beginning of their names
 *   npm run test:recipes -- --runtimes all   on this Node, and on Node 20, Node 24 and Bun in its place
 *   npm run test:recipes -- --ci             without those that install many packages; few on the other runtimes
 *
 * A block names its file after the language. Lines of a `sh` block are run one after the other, `npm install` with the packed
 * tarball in the place of the package's name. Each line of a `text` block stands in what the commands printed before.
 * Packages are installed once, and the rest is done on each runtime. After its packages are installed, a page shows a trace
 * within three commands. Ends with 1 when a page does not do what it says.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { closeModels, origin } from "../fixtures/capture/fake-models.mjs";
import { installRuntimes, runtimes, versionOf } from "../matrix/runtimes.mjs";
import { colors, printTable, right, shortDuration } from "../support/text-output.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const packageName = "opentelemetry-exporter-crash-safe-file";
const hungMillis = 300_000;
/** Commands until there is a trace. */
const mostCommands = 3;
/** They bring hundreds of packages, or a browser. The README has the largest of them, too. */
const large = [
  "deno",
  "electron",
  "express",
  "fastify",
  "langchain",
  "langfuse",
  "mastra",
  "nextjs",
  "openai",
];
/** Small, and followed on every runtime in CI. */
const onEveryRuntime = ["cli-agent", "nodesdk"];
/** Pages that do not run with another runtime in the place of Node, and why. */
const onNodeOnly = {
  bun: "it is about Bun",
  deno: "it is about Deno",
  electron: "it brings a Node along",
};
const notOnBun = {
  "in-memory": "node --test is of Node",
  express: "/register instruments modules of Node",
  fastify: "/register instruments modules of Node",
  nextjs: "Next.js starts processes of Node",
};
/** Pages whose packages need a newer Node than the oldest that this package runs on. */
const onNewerNode = ["mastra"];
/** What a page prints where a part of it cannot be had here, and why that is. */
const missing = {
  electron: [
    /Electron failed to install|RequestError|getaddrinfo|ECONN|EAI_AGAIN|status code/i,
    "npm has no binary of Electron",
  ],
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { ci: { type: "boolean", default: false }, runtimes: { type: "string", default: "" } },
});
const isWanted = (name) =>
  positionals.length > 0
    ? positionals.some((one) => name.startsWith(one))
    : !values.ci || !large.includes(name);

/** The names of the runtimes for a page: `this`, and those of the matrix. */
function runtimesFor(name) {
  if (onNewerNode.includes(name)) return ["node24"];
  if (name in onNodeOnly || (values.runtimes !== "all" && !(values.ci && onEveryRuntime.includes(name))))
    return ["this"];
  const others = ["node20", "node24", "bun"].filter((runtime) => runtime !== "bun" || !(name in notOnBun));
  return ["this", ...others.filter((runtime) => versionOf(runtime) !== `Node ${process.versions.node}`)];
}

const reason = installRuntimes() ?? offline();
if (reason) {
  console.log(`SKIPPED the recipes: ${reason}`);
  process.exit(0);
}
const dir = mkdtempSync(join(tmpdir(), "recipes-"));
const rows = [];
try {
  for (const [name, path] of Object.entries({ this: process.execPath, ...runtimes })) {
    mkdirSync(join(dir, "bin", name), { recursive: true });
    symlinkSync(path, join(dir, "bin", name, "node"));
  }
  execFileSync("npm", ["pack", "--silent", "--pack-destination", dir], { cwd: root, stdio: "pipe" });
  const tarball = join(
    dir,
    readdirSync(dir).find((name) => name.endsWith(".tgz")),
  );
  for (const page of [readme(), ...pages()].filter(({ name }) => isWanted(name)))
    for (const [at, runtime] of runtimesFor(page.name).entries())
      rows.push(await follow(page, { runtime, isInstalled: at > 0, tarball }));
} finally {
  closeModels();
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}
print();
process.exitCode = rows.some(({ fault }) => fault) ? 1 : 0;

/** Why no package can be installed. */
function offline() {
  try {
    execFileSync("npm", ["view", "@opentelemetry/api", "version"], { stdio: "pipe", timeout: 60_000 });
    return undefined;
  } catch {
    return "the package registry does not answer";
  }
}

/** The blocks of a page in order: `{ language, file, text }`. */
function blocksOf(path) {
  return [...readFileSync(join(root, path), "utf8").matchAll(/^```(\w+) ?(\S*)\n(.*?)^```$/gms)].map(
    ([, language, file, text]) => ({ language, file, text }),
  );
}

/** The recipes. */
function pages() {
  return readdirSync(join(root, "docs/recipes"))
    .filter((file) => file !== "README.md")
    .map((file) => ({ name: basename(file, ".md"), blocks: blocksOf(`docs/recipes/${file}`) }));
}

/**
 * The README: its packages, the way without code on a program of the reader, the session tracer, and a look at the traces.
 * The second way is a recipe.
 */
function readme() {
  const [install, withoutCode, look] = blocksOf("README.md").filter(({ language }) => language === "sh");
  const [tracer] = blocksOf("README.md").filter(({ language }) => language === "ts");
  const app = `require("node:http").get("http://127.0.0.1:9").on("error", () => console.log("no answer"));`;
  return {
    name: "README",
    blocks: [
      install,
      { file: "app.js", text: app },
      withoutCode,
      { file: "agent.mjs", text: tracer.text },
      { language: "sh", text: "node agent.mjs" },
      look,
      { language: "text", text: "ses_2\n✓ completed\nread_file\nhttp://127.0.0.1:" },
    ],
  };
}

/** Follows a page. On a runtime after the first one, its packages are installed. */
async function follow({ name, blocks }, { runtime, isInstalled, tarball }) {
  const began = performance.now();
  const cwd = join(dir, name);
  rmSync(join(cwd, "traces"), { recursive: true, force: true });
  mkdirSync(cwd, { recursive: true });
  if (!isInstalled) writeFileSync(join(cwd, "package.json"), '{ "private": true }\n');
  let printed = "";
  let commands = 0;
  let fault;
  let skipped;
  for (const { language, file, text } of blocks) {
    if (file) {
      mkdirSync(dirname(join(cwd, file)), { recursive: true });
      writeFileSync(join(cwd, file), text);
    } else if (language === "sh") {
      for (const line of text.trim().replaceAll("\\\n", "").split("\n")) {
        commands++;
        if (isInstalled && line.startsWith("npm install ")) continue;
        const { status, output } = await run(cwd, line.replace(` ${packageName} `, ` ${tarball} `), runtime);
        printed += output;
        const [sign, why] = missing[name] ?? [];
        if (status !== 0 && sign?.test(output)) skipped = why;
        else if (status !== 0) fault ??= `\`${line}\` ended with ${status}\n${output}`;
        if (commands === mostCommands && !hasTrace(cwd) && name !== "in-memory" && !skipped)
          fault ??= `${commands} commands made no trace:\n${printed}`;
        if (fault || skipped) break;
      }
    } else if (language === "text") {
      for (const line of text.trim().split("\n"))
        if (!printed.includes(line.trim())) fault ??= `"${line}" was not printed:\n${printed}`;
    }
    if (fault || skipped) break;
  }
  if (!fault && commands === 0) fault = "the page has no command";
  return { name, runtime, commands, fault, skipped, seconds: (performance.now() - began) / 1000 };
}

function hasTrace(cwd) {
  try {
    return readdirSync(join(cwd, "traces")).some((file) => file.endsWith(".json"));
  } catch {
    return false;
  }
}

/**
 * Runs a line of a shell as in a terminal of 120 columns, in a new user's environment. `npm`, and what it starts to install
 * packages, runs on this Node; `open` runs until it has printed its address.
 */
async function run(cwd, line, runtime) {
  const { BUN: _, NODE_OPTIONS: __, npm_config_prefix: ___, ...env } = process.env;
  const path = [
    join(cwd, "node_modules/.bin"),
    join(dir, "bin", line.startsWith("npm ") ? "this" : runtime),
    dirname(process.execPath),
    dirname(runtimes.bun),
    env.PATH,
  ];
  const isServer = /^npx crash-safe-file open\b/.test(line);
  // `npx` is a program of Node itself, and would run on the other runtime.
  const command = line.replace(/^npx crash-safe-file open\b/, "$& --no-open").replace(/^npx /, "");
  const child = spawn("sh", ["-c", command], {
    cwd,
    detached: true,
    env: {
      ...env,
      PATH: path.join(":"),
      COLUMNS: "120",
      NO_COLOR: "1",
      LANGFUSE_PUBLIC_KEY: "none",
      LANGFUSE_SECRET_KEY: "none",
      LANGFUSE_BASE_URL: origin,
      NEXT_TELEMETRY_DISABLED: "1",
      OPENAI_API_KEY: "none",
      OPENAI_BASE_URL: `${origin}/v1`,
      npm_config_audit: "false",
      npm_config_fund: "false",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const hung = setTimeout(() => process.kill(-child.pid, "SIGKILL"), hungMillis);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk) => {
      output += chunk;
      if (isServer && output.includes("http://127.0.0.1:")) process.kill(-child.pid, "SIGINT");
    });
  const [code, signal] = await once(child, "close");
  clearTimeout(hung);
  return { status: isServer ? 0 : (code ?? signal), output };
}

function print() {
  printTable(
    ["recipe", "runtime", right("commands"), "result", right("time")],
    rows.map(({ name, runtime, commands, fault, skipped, seconds }) => [
      name,
      runtime === "this" ? `Node ${process.versions.node}` : versionOf(runtime),
      commands,
      fault ? colors.red("FAILED") : skipped ? `SKIPPED: ${skipped}` : "a trace, as the page says",
      shortDuration(seconds * 1_000),
    ]),
  );
  if (values.runtimes === "all")
    for (const [name, why] of Object.entries({ ...onNodeOnly, ...notOnBun }))
      if (isWanted(name))
        console.log(`not on ${name in onNodeOnly ? "other runtimes" : "Bun"}: ${name} (${why})`);
  for (const { name, runtime, fault } of rows)
    if (fault) console.log(`\nFAILED ${name} on ${runtime}: ${fault}`);
}
