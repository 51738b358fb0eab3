/** The tools of the machine. Each function returns the reason why one is missing, or `undefined`. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Whether a program can be started. */
export function lacks(program, args = ["--version"]) {
  const { error, status } = spawnSync(program, args, { stdio: "ignore" });
  if (error) return `there is no ${program} here`;
  return status === 0 ? undefined : `${program} does not work here`;
}

/** Linux, with strace allowed to trace. */
export function lacksStrace() {
  if (process.platform !== "linux") return `strace is for Linux, and this is ${process.platform}`;
  const { error, status, stderr } = spawnSync(
    "strace",
    ["-qq", "-o", "/dev/null", "-e", "trace=write", "-e", "inject=write:delay_enter=1", "true"],
    { encoding: "utf8" },
  );
  if (error) return "strace is not installed";
  return status === 0 ? undefined : `strace cannot trace here: ${stderr.trim().split("\n")[0]}`;
}

/** Whether this is the superuser, as mounting needs. */
export const lacksRoot = () => (process.getuid?.() === 0 ? undefined : "it needs root");

const bun = fileURLToPath(new URL("../matrix/node_modules/@oven/bun-linux-x64/bin/bun", import.meta.url));

/** Programs that run the lab's writers, by name. */
export const runtimes = {
  node: { title: "Node", path: process.execPath, lacks: () => undefined },
  bun: {
    title: "Bun",
    path: bun,
    lacks: () => (existsSync(bun) ? undefined : "Bun is not installed: npm install --prefix test/matrix"),
  },
};
