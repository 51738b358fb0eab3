// The first process of a pid namespace: starts a writer, recovers, kills the writer, and gives its number to another,
// as it is told. In there, numbers are few and at our command.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { plan, recoverTraces, say } from "./twin.mjs";

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

/** Another process with the number of one that is gone. */
async function reuse(pid) {
  for (let tries = 1; tries <= 50; tries++) {
    // The kernel gives the next one: pid_namespaces(7).
    writeFileSync("/proc/sys/kernel/ns_last_pid", String(pid - 1));
    if ((await begin(["-e", "setInterval(() => {}, 1000)"])) === pid) return tries;
    await kill();
  }
  return say("fault", `${pid} is not given again`);
}

const orders = {
  // Its words go where ours go.
  begin: (who) => begin([writer, JSON.stringify({ ...plan, who })]),
  kill,
  reuse,
  recover: () => recoverTraces(plan.dir),
};
for await (const line of createInterface({ input: process.stdin })) {
  const [order, given] = JSON.parse(line);
  say("done", await orders[order](given));
}
process.exit(0);
