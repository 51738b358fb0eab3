/**
 * The location of the modules of the build under test, in this file only. `npm run bench -- --build <dir>` measures
 * another build than this project's.
 */
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const { BENCH_BUILD } = process.env;
const build = BENCH_BUILD ?? fileURLToPath(new URL("../../build/", import.meta.url));

const load = (file) => import(pathToFileURL(join(build, file)).href);

/** An entry as it is shipped, for what a program pays once: the build has a file for each source. */
export const shipped = (name) =>
  BENCH_BUILD ? entry(name) : import(new URL(`../../dist/${name}.mjs`, import.meta.url).href);

/** The command, as it is shipped. */
export const command = BENCH_BUILD
  ? join(build, "cli.js")
  : fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

/** An entry of the package: `index`, `reader`, `session`. */
export const entry = (name = "index") => load(`${name}.mjs`);

/** A module that no entry exports, by its path in `src`. The build of 0.1.0 has no folders. */
export const inner = (path) => load(`${path}.js`).catch(() => load(`${basename(path)}.js`));
