/**
 * The spelling of the pages, the API reference, where every export of the entries has a description, and whether axe-core finds
 * the HTML of both accessible.
 *
 *   npm run test:docs            checks all, and writes pages and reference into `build/docs`
 *   npm run test:docs -- --ci    axe looks at one page of six
 *
 * Ends with 1 when a word is unknown (`words.txt` lists those of this project), an export has no description, or axe has a
 * serious finding. Skips, with the reason, where the tools cannot be installed or there is no Chromium.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inaccessible } from "./accessible.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = fileURLToPath(new URL("../../", import.meta.url));
const tool = (path) => join(here, "node_modules", path);

if (!existsSync(tool("typedoc/bin/typedoc")) || !existsSync(tool("cspell/bin.mjs"))) {
  const flags = ["install", "--no-package-lock", "--no-audit", "--no-fund"];
  const { status, stderr } = spawnSync("npm", flags, { cwd: here, encoding: "utf8" });
  if (status !== 0) {
    console.log(`SKIPPED the pages: their tools cannot be installed: ${stderr.trim().split("\n").at(-1)}`);
    process.exit(0);
  }
}

const pages = ["*.md", "docs/**/*.md", "{src,examples}/**/*.md", "test/*/README.md"];

/** Runs a tool. Returns whether it found nothing, and prints the lines that it found, but for those that `isFine`. */
function isClean(args, isFine = () => false) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  const found = `${stdout}${stderr}`.split("\n").filter((line) => line !== "" && !isFine(line));
  if (found.length > 0) console.log(found.join("\n"));
  return status === 0 && found.length === 0;
}

const spelling = [
  "--config",
  join(here, "cspell.json"),
  "--no-color",
  "--no-progress",
  "--no-summary",
  ...pages,
];
/** Members of a member are described with the whole; the span is OpenTelemetry's; links may lead to directories of the checkout. */
const isDescribedElsewhere = (line) =>
  /__type|\bReadableSpan\b|Found 0 errors|is not a file and will not be copied/.test(line);

const results = [
  isClean([tool("cspell/bin.mjs"), ...spelling]),
  isClean([tool("typedoc/bin/typedoc"), "--options", join(here, "typedoc.json")], isDescribedElsewhere),
];
const faults = await inaccessible(process.argv.includes("--ci"));
if (faults.length > 0) console.log(faults.join("\n"));
const isFine = results.every(Boolean) && faults.length === 0;
console.log(isFine ? "The pages are spelt well and accessible, and each export is described." : "FAILED");
process.exit(isFine ? 0 : 1);
