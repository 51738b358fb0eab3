/**
 * Runs every bench in a process of its own and prints one table. A bench's figure is a ratio to a floor measured
 * in the same run, unless it says its unit. `npm run bench -- record fence` runs some of them.
 */
import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs, styleText } from "node:util";

const all = ["record", "tool-call", "fence", "bytes", "hour", "memory", "loop", "host"];
const { positionals } = parseArgs({ allowPositionals: true });
const chosen = positionals.length > 0 ? positionals : all;

console.log(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? "?"}, ${process.platform}\n`);
const results = [];
for (const name of chosen) {
  process.stdout.write(styleText("dim", `  ${name} …\n`));
  const bench = fileURLToPath(new URL(`${name}.mjs`, import.meta.url));
  const { stdout, status } = spawnSync(process.execPath, ["--expose-gc", bench], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) process.exit(status ?? 1);
  for (const line of stdout.trim().split("\n")) results.push(JSON.parse(line));
}

const width = Math.max(...results.map(({ what }) => what.length));
console.log();
for (const { what, measured, limit, detail } of results) {
  const isReached = measured <= limit;
  const verdict = styleText(isReached ? "green" : "red", isReached ? "reached" : "missed ");
  const figures = `${measured.toFixed(2).padStart(7)}  of at most ${String(limit).padEnd(5)}`;
  console.log(`${what.padEnd(width)}  ${figures} ${verdict}  ${styleText("dim", detail)}`);
}
const missed = results.filter(({ measured, limit }) => measured > limit).length;
console.log(`\n${results.length - missed} of ${results.length} reached`);
