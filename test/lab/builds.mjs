/**
 * Private copies of the built package: one that no concurrent build changes, and deliberately broken ones. Programs
 * of the lab import `<copy>/index.js`.
 */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("../../", import.meta.url));

/**
 * Copies the build to `to` and returns where its modules are.
 *
 * @param patch lines to be replaced: `{ file: "storage/commit.js", from: "…", to: "…" }`. `from` is text or a pattern;
 *   one that is not found breaks the lab, so that no mutation silently becomes none.
 */
export function copyBuild(to, patch = [], from = join(project, "build")) {
  mkdirSync(to, { recursive: true });
  cpSync(from, join(to, "build"), { recursive: true });
  cpSync(join(project, "package.json"), join(to, "package.json"));
  symlinkSync(join(project, "node_modules"), join(to, "node_modules"));
  const build = join(to, "build");
  for (const { file, from: line, to: replacement } of patch) {
    const path = join(build, file);
    const before = readFileSync(path, "utf8");
    const after = before.replace(line, () => replacement);
    if (after === before) throw new Error(`nothing to break: ${line} is not in ${file}`);
    writeFileSync(path, after);
  }
  return build;
}
