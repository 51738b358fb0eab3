/** The runtimes that workloads can run under, and how each is started. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The directory of runtimes that npm has installed. */
const homes = ["matrix", "runtimes"].map((name) => new URL(`../${name}/node_modules/`, import.meta.url));

const programs = {
  node20: "node20/bin/node",
  node22: "node22/bin/node",
  node24: "node24/bin/node",
  bun: "@oven/bun-linux-x64/bin/bun",
};

function pathOf(wanted) {
  if (wanted === "node") return process.execPath;
  if (!(wanted in programs)) return wanted;
  const places = homes.map((home) => fileURLToPath(new URL(programs[wanted], home)));
  return places.find((path) => existsSync(path)) ?? wanted;
}

/** A runtime by name, or by the path of its program. Its `title` has the version. */
export function findRuntime(wanted) {
  const path = pathOf(wanted);
  if (!existsSync(path)) {
    const names = ["node", ...Object.keys(programs)].join(", ");
    throw new Error(`there is no ${path}. Known: ${names}, when installed with the tests; or give a path`);
  }
  const { stdout, status } = spawnSync(
    path,
    [
      "-e",
      'console.log(process.versions.bun ? "Bun " + process.versions.bun : "Node " + process.versions.node)',
    ],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`${path} does not run here`);
  return { path, title: stdout.trim(), args: ["--expose-gc"] };
}
