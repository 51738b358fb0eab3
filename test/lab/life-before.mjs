/** Directories in which a life starts: empty, or as an earlier life left them. */
import { spawnSync } from "node:child_process";
import { TracedProcess } from "./traced-process.mjs";

/**
 * Runs a life of `lives.mjs`, to its end or until it is killed before a call of the main thread, such as `write
 * 13`. Returns its directory and its lines.
 */
export async function lifeBefore(life, killedAt, { runtime, build, fault, scratch }) {
  const dir = scratch.newDirectory();
  const words = [];
  const plan = { life, dir, build, fault, sessions: ["alpha"] };
  const child = new TracedProcess(runtime, "lives.mjs", plan, { hear: (word) => words.push(word) });
  await child.heard("ready");
  const [call, n] = killedAt?.split(" ") ?? [];
  if (call) await child.attach("main", [`trace=${call}`, `inject=${call}:signal=SIGKILL:when=${n}`]);
  child.send("go");
  const { code, signal } = await child.ended();
  if (killedAt ? signal !== "SIGKILL" : code !== 0)
    throw new Error(`"${life}" ended with ${signal ?? code}, killed at ${killedAt}: ${child.stderr}`);
  return { dir, words };
}

/** A new directory: a copy of what the earlier life left, with its times and links. */
export function directoryAfter(before, scratch) {
  const dir = scratch.newDirectory();
  if (before && spawnSync("cp", ["-a", `${before.dir}/.`, dir]).status !== 0)
    throw new Error(`${before.dir} cannot be copied`);
  return dir;
}

/** Adds the lines of the earlier life, whose writer is dead. */
export function recall(before, acknowledged) {
  for (const word of before?.words ?? []) acknowledged.take(word);
  acknowledged.died();
}
