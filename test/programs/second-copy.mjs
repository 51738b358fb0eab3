// Another copy of the package in this process, as when two versions are installed.
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const build = fileURLToPath(new URL("../../build/", import.meta.url));

/** A file of the build, loaded once more with everything it requires of the package. */
export function secondCopyOf(file) {
  for (const path of Object.keys(require.cache)) if (path.startsWith(build)) delete require.cache[path];
  return require(`${build}${file}`);
}
