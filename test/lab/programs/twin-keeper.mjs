// Keeps the directory that its peers write to, one round for each line: recovers, or recovers and prunes as the
// housekeeping of an exporter does.
import { createInterface } from "node:readline";
import {
  joinDirectory,
  liveness,
  nodeFileSystem,
  plan,
  print,
  recoverDirectory,
  recoverTraces,
  systemClock,
} from "./twin.mjs";

const ports = { fileSystem: nodeFileSystem, clock: systemClock, liveness };

async function recover() {
  const recovery = plan.lies ? recoverDirectory(ports, plan.dir) : recoverTraces(plan.dir);
  const { running, sessions, failures } = await recovery;
  for (const { path, error } of failures) print("fault", `recovery of ${path}: ${error?.stack ?? error}`);
  print("kept", { running, sessions: sessions.map(({ id, status }) => [id, status]) });
}

async function retain() {
  const limits = {
    maxFiles: plan.maxFiles,
    maxSpans: 0,
    durability: "process",
    sessionIdleMillis: Number.MAX_SAFE_INTEGER,
    clock: systemClock,
  };
  const listener = {
    onFault: (error, path) => print("fault", `retention: ${path}: ${error}`),
    onRemoved() {},
    onReleased() {},
    onRefused() {},
  };
  const user = joinDirectory(plan.dir, limits, listener);
  await user.maintain();
  user.release();
  print("kept", {});
}

for await (const _ of createInterface({ input: process.stdin })) await (plan.maxFiles ? retain() : recover());
process.exit(0);
