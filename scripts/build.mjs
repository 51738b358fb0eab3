// Two plain tsc passes: ES modules for `import`, CommonJS for `require`, types beside both.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
const compile = (...options) =>
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json", ...options], { stdio: "inherit" });

rmSync("build", { recursive: true, force: true });
compile("--outDir", "build/esm");
compile("--outDir", "build/cjs", "--module", "commonjs", "--moduleResolution", "bundler");
mkdirSync("build/cjs", { recursive: true });
writeFileSync("build/cjs/package.json", '{"type":"commonjs"}\n');
