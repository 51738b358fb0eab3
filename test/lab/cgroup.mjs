/** A limit on the memory of a process, by cgroup of version 1 or 2. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { undoLater } from "./interruption.mjs";
import { lacksRoot } from "./tools.mjs";

const kinds = [
  { root: "/sys/fs/cgroup/memory", has: "memory.limit_in_bytes", limit: "memory.limit_in_bytes" },
  { root: "/sys/fs/cgroup", has: "cgroup.controllers", limit: "memory.max" },
];
const kind = kinds.find(({ root, has }) => existsSync(join(root, has)));

export function lacksMemoryCgroup() {
  if (process.platform !== "linux") return `cgroups are for Linux, and this is ${process.platform}`;
  const reason = lacksRoot();
  if (reason) return reason;
  if (!kind) return "there is no memory cgroup here";
  const probe = join(kind.root, `proof-lab-probe-${process.pid}`);
  try {
    mkdirSync(probe);
    try {
      if (!existsSync(join(probe, kind.limit))) return "cgroups here do not limit memory";
    } finally {
      rmdirSync(probe);
    }
  } catch (error) {
    return `no cgroup can be made here: ${error.code}`;
  }
  return undefined;
}

const cell = new Int32Array(new SharedArrayBuffer(4));

export class MemoryLimit {
  #path;
  #remove;

  constructor(scratch, bytes) {
    const name = `proof-lab-${process.pid}-${Math.random().toString(36).slice(2)}`;
    this.#path = join(kind.root, name);
    mkdirSync(this.#path);
    this.#remove = undoLater(scratch, () => {
      for (let attempt = 0; attempt < 100 && existsSync(this.#path); attempt++) {
        for (const pid of this.#members) process.kill(pid, "SIGKILL");
        if (this.#members.length === 0) rmdirSync(this.#path);
        else Atomics.wait(cell, 0, 0, 20);
      }
    });
    writeFileSync(join(this.#path, kind.limit), String(bytes));
  }

  /** The program and arguments that run another program within the limit. */
  wrap(program, ...args) {
    return ["sh", ["-c", `echo $$ > "$0" && exec "$@"`, join(this.#path, "cgroup.procs"), program, ...args]];
  }

  /** Whether the kernel killed a process for the limit. */
  get hasKilled() {
    const counts = readFileSync(
      join(this.#path, kinds[0] === kind ? "memory.oom_control" : "memory.events"),
      "utf8",
    );
    return Number(/oom_kill (\d+)/.exec(counts)?.[1] ?? 0) > 0;
  }

  /** The processes within must be dead. They leave the group when they are reaped. */
  async remove() {
    for (let attempt = 0; attempt < 100 && this.#members.length > 0; attempt++) await wait(20);
    this.#remove();
  }

  get #members() {
    return readFileSync(join(this.#path, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
  }
}
