/**
 * One implementation, in CommonJS, so that a process which loads the package both ways has one copy of it. Beside each
 * entry an ES module gives the same exports by name. Comments are in the types. What no entry reaches is left out.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, posix } from "node:path";

const require = createRequire(import.meta.url);
const out = "build";
const tsc = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
const compile = (...options) =>
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json", "--outDir", out, ...options], {
    stdio: "inherit",
  });
const { exports } = JSON.parse(readFileSync("package.json", "utf8"));
/** Names of the entries, without the end of the file name. */
const entries = Object.values(exports)
  .filter((target) => typeof target === "object")
  .map(({ require: { default: file } }) => file.slice(`./${out}/`.length, -".js".length));

rmSync(out, { recursive: true, force: true });
mkdirSync(out);
writeFileSync(join(out, "package.json"), '{"type":"commonjs"}\n');
compile("--declaration", "false", "--removeComments");
compile("--emitDeclarationOnly");

/** Files of the build that the entries import, by their paths in it. */
const reached = new Set();
function reach(path) {
  if (reached.has(path)) return;
  reached.add(path);
  const text = readFileSync(join(out, path), "utf8");
  const end = path.endsWith(".d.ts") ? ".d.ts" : ".js";
  for (const [, file, kind] of text.matchAll(/(?:\bfrom |\bimport\(|\brequire\()"(\.[^"]+)(\.c?js)"/g)) {
    reach(posix.join(posix.dirname(path), file) + (kind === ".js" ? end : kind));
  }
}
for (const entry of entries) for (const end of [".js", ".d.ts"]) reach(entry + end);
for (const path of readdirSync(out, { recursive: true })) {
  const isKept = path === "package.json" || reached.has(path) || statSync(join(out, path)).isDirectory();
  if (!isKept) rmSync(join(out, path));
}

for (const entry of entries) {
  const names = Object.keys(require(`../${out}/${entry}.js`)).sort();
  writeFileSync(join(out, `${entry}.mjs`), `export { ${names.join(", ")} } from "./${entry}.js";\n`);
  writeFileSync(join(out, `${entry}.d.mts`), `export * from "./${entry}.js";\n`);
}
