/**
 * Where the modules of the build under test are. This is the one place that knows; `npm run bench -- --build <dir>`
 * measures another build than this project's.
 */
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const build = process.env.BENCH_BUILD ?? fileURLToPath(new URL("../../build/", import.meta.url));

const load = (file) => import(pathToFileURL(join(build, file)).href);

/** An entry of the package: `index`, `reader`, `session`. */
export const entry = (name = "index") => load(`${name}.mjs`);

/** A module behind the entries, for what no entry gives. */
export const inner = (name) => load(`${name}.js`);
