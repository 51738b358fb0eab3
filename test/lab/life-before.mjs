/** Directories in which a life begins: empty, or as the life before left them. */
import { spawnSync } from "node:child_process";
import { TracedProcess } from "./traced-process.mjs";

/**
 * Lives a life of `lives.mjs`, to its end or until it is killed.
 *
 * @param killedAt before which call of the main thread: `write 13`
 * @returns its directory, and what it said
 */
export async function lifeBefore(life, killedAt, { runtime, build, fault, scratch }) {
  const dir = scratch.newDirectory();
  const words = [];
  const plan = { life, dir, build, fault, sessions: ["alpha"] };
  const child = new TracedProcess(runtime, "lives.mjs", plan, { hear: (word) => words.push(word) });
  await child.heard("ready");
  const [call, n] = killedAt?.split(" ") ?? [];
  if (call) await child.attach("main", [`trace=${call}`, `inject=${call}:signal=SIGKILL:when=${n}`]);
  child.tell("go");
  const { code, signal } = await child.ended();
  if (killedAt ? signal !== "SIGKILL" : code !== 0)
    throw new Error(`"${life}" ended with ${signal ?? code}, killed at ${killedAt}: ${child.stderr}`);
  return { dir, words };
}

/** A new directory: a copy of what the life before left, with times and links as they are. */
export function directoryAfter(before, scratch) {
  const dir = scratch.newDirectory();
  if (before && spawnSync("cp", ["-a", `${before.dir}/.`, dir]).status !== 0)
    throw new Error(`${before.dir} cannot be copied`);
  return dir;
}

/** Takes in what the life before had said, which is settled: its writer is dead. */
export function recall(before, said) {
  for (const word of before?.words ?? []) said.take(word);
  said.died();
}
