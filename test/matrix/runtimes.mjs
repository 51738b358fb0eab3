/** The runtimes of the matrix. `npm install --prefix test/matrix` installs them. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const dir = fileURLToPath(new URL(".", import.meta.url));
const binary = (path) => fileURLToPath(new URL(`node_modules/${path}`, import.meta.url));

/** All of them, by name. */
export const runtimes = {
  node20: binary("node20/bin/node"),
  node22: binary("node22/bin/node"),
  node24: binary("node24/bin/node"),
  bun: binary("@oven/bun-linux-x64/bin/bun"),
};

/** Installs missing runtimes. Returns the reason when it cannot. */
export function installRuntimes() {
  if (process.platform !== "linux" || process.arch !== "x64")
    return `the runtimes are for linux x64, and this is ${process.platform} ${process.arch}`;
  if (Object.values(runtimes).every((path) => existsSync(path))) return undefined;
  const args = ["install", "--prefix", dir, "--no-package-lock", "--no-audit", "--no-fund"];
  const { status, stderr } = spawnSync("npm", args, {
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
  });
  return status === 0 ? undefined : `the runtimes cannot be installed: ${stderr.trim().split("\n").at(-1)}`;
}

/** The version that a runtime prints. */
export const versionOf = (name) =>
  `${name === "bun" ? "Bun " : "Node "}${execFileSync(runtimes[name], ["--version"], { encoding: "utf8" }).trim().replace(/^v/, "")}`;
