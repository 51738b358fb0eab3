/**
 * Follows the README and each recipe as a new user does: an empty directory, the commands and files of the page as they stand,
 * and what the page says that they print.
 *
 *   npm run test:recipes             all pages, on this Node
 *   npm run test:recipes -- bun      some, by the beginning of their names
 *   npm run test:recipes -- --ci     without those that install many packages
 *
 * A block names its file after the language. Lines of a `sh` block are run one after the other, `npm install` with the packed
 * tarball in the place of the package's name. Each line of a `text` block stands in what the commands printed before.
 * Ends with 1 when a page does not do what it says.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { closeModels, origin } from "../fixtures/capture/fake-models.mjs";
import { installRuntimes, runtimes } from "../matrix/runtimes.mjs";
import { colors, printTable, right, shortDuration } from "../support/text-output.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const packageName = "opentelemetry-exporter-crash-safe-file";
const hungMillis = 180_000;
/** Their clients bring hundreds of packages. */
const large = ["fastify", "langchain", "langfuse", "openai"];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { ci: { type: "boolean", default: false } },
});
const isWanted = (name) =>
  positionals.length > 0
    ? positionals.some((one) => name.startsWith(one))
    : !values.ci || !large.includes(name);

const reason = installRuntimes() ?? offline();
if (reason) {
  console.log(`SKIPPED the recipes: ${reason}`);
  process.exit(0);
}
const dir = mkdtempSync(join(tmpdir(), "recipes-"));
const rows = [];
try {
  execFileSync("npm", ["pack", "--silent", "--pack-destination", dir], { cwd: root, stdio: "pipe" });
  const tarball = join(
    dir,
    readdirSync(dir).find((name) => name.endsWith(".tgz")),
  );
  for (const page of pages().filter(({ name }) => isWanted(name))) rows.push(await follow(page, tarball));
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

/** The pages, each with its blocks in order: `{ language, file, text }`. */
function pages() {
  const recipes = join(root, "docs/recipes");
  return readdirSync(recipes)
    .filter((file) => file !== "README.md")
    .map((file) => ({
      name: basename(file, ".md"),
      blocks: [...readFileSync(join(recipes, file), "utf8").matchAll(/^```(\w+) ?(\S*)\n(.*?)^```$/gms)].map(
        ([, language, path, text]) => ({ language, file: path, text }),
      ),
    }));
}

async function follow({ name, blocks }, tarball) {
  const began = performance.now();
  const cwd = join(dir, name);
  mkdirSync(cwd);
  writeFileSync(join(cwd, "package.json"), '{ "private": true }\n');
  let printed = "";
  let commands = 0;
  let fault;
  for (const { language, file, text } of blocks) {
    if (file) writeFileSync(join(cwd, file), text);
    else if (language === "sh") {
      for (const line of text.trim().split("\n")) {
        const { status, output } = await run(cwd, line.replace(` ${packageName} `, ` ${tarball} `));
        printed += output;
        commands++;
        if (status !== 0) fault ??= `\`${line}\` ended with ${status}\n${output}`;
      }
    } else if (language === "text") {
      for (const line of text.trim().split("\n"))
        if (!printed.includes(line.trim())) fault ??= `"${line}" was not printed:\n${printed}`;
    }
    if (fault) break;
  }
  if (!fault && commands === 0) fault = "the page has no command";
  return { name, commands, fault, seconds: (performance.now() - began) / 1000 };
}

/** Runs a line of a shell as in a terminal of 120 columns, in a new user's environment. */
async function run(cwd, line) {
  const { BUN: _, NODE_OPTIONS: __, npm_config_prefix: ___, ...env } = process.env;
  const path = [join(cwd, "node_modules/.bin"), dirname(process.execPath), dirname(runtimes.bun), env.PATH];
  const child = spawn("sh", ["-c", line], {
    cwd,
    env: {
      ...env,
      PATH: path.join(":"),
      COLUMNS: "120",
      NO_COLOR: "1",
      LANGFUSE_PUBLIC_KEY: "none",
      LANGFUSE_SECRET_KEY: "none",
      LANGFUSE_BASE_URL: origin,
      OPENAI_API_KEY: "none",
      OPENAI_BASE_URL: `${origin}/v1`,
      npm_config_audit: "false",
      npm_config_fund: "false",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const hung = setTimeout(() => child.kill("SIGKILL"), hungMillis);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk) => {
      output += chunk;
    });
  const [code, signal] = await once(child, "close");
  clearTimeout(hung);
  return { status: code ?? signal, output };
}

function print() {
  printTable(
    ["recipe", right("commands"), "result", right("time")],
    rows.map(({ name, commands, fault, seconds }) => [
      name,
      commands,
      fault ? colors.red("FAILED") : "a trace, as the page says",
      shortDuration(seconds * 1_000),
    ]),
  );
  for (const { name, fault } of rows) if (fault) console.log(`\nFAILED ${name}: ${fault}`);
}
