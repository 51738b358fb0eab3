// The first process of a pid namespace: starts a writer, recovers, kills the writer, and gives its number to
// another process, on request. In the namespace, process numbers are small and can be chosen.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { plan, print, recoverTraces } from "./twin.mjs";

const writer = fileURLToPath(new URL("twin-writer.mjs", import.meta.url));
let child;

async function begin(what) {
  child = spawn(plan.path, what, { stdio: ["pipe", "ignore", "inherit", 3] });
  await once(child, "spawn");
  return child.pid;
}

async function kill() {
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** Starts another process with the number of one that has ended. */
async function reuse(pid) {
  for (let tries = 1; tries <= 50; tries++) {
    // The kernel assigns the next number: pid_namespaces(7).
    writeFileSync("/proc/sys/kernel/ns_last_pid", String(pid - 1));
    if ((await begin(["-e", "setInterval(() => {}, 1000)"])) === pid) return tries;
    await kill();
  }
  return print("fault", `${pid} was not reused`);
}

const orders = {
  // It inherits this process's stdout.
  begin: (who) => begin([writer, JSON.stringify({ ...plan, who })]),
  kill,
  reuse,
  recover: () => recoverTraces(plan.dir),
};
for await (const line of createInterface({ input: process.stdin })) {
  const [order, given] = JSON.parse(line);
  print("done", await orders[order](given));
}
process.exit(0);
