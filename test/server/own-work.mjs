/** A host with every instrumentation: no span is of our own making, whatever the package does in the background. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const program = fileURLToPath(new URL("./own-work.cjs", import.meta.url));

export const hosts = [true, false].flatMap((manager) =>
  ["ours", "batch", "simple"].map((processor) => ({ processor, manager })),
);

/** Runs all hosts at once. Returns a row for each. */
export async function ownWork(root, seconds, expect) {
  const backend = createServer((request, response) => request.resume().on("end", () => response.end("{}")));
  backend.listen(0, "127.0.0.1");
  await once(backend, "listening");
  const url = `http://127.0.0.1:${backend.address().port}/v1/traces`;
  try {
    return await Promise.all(hosts.map((host) => oneHost({ ...host, root, seconds, url }, expect)));
  } finally {
    backend.closeAllConnections();
    backend.close();
  }
}

async function oneHost({ processor, manager, root, seconds, url }, expect) {
  const dir = join(mkdtempSync(join(root, "host-")), "traces");
  const plan = JSON.stringify({ processor, manager, seconds, dir, url });
  const options = { timeout: seconds * 1_000 + 120_000, killSignal: "SIGKILL", maxBuffer: 64_000_000 };
  const { stdout } = await promisify(execFile)(process.execPath, [program, plan], options);
  const threads = JSON.parse(stdout);
  const sum = { app: 0, made: 0, requests: 0, recovered: 0, strangers: 0 };
  const what = `${processor}, ${manager ? "a" : "no"} context manager`;
  for (const { started, made, strangers, recovered, recorded, faults } of threads) {
    const { app = 0, ...requests } = started;
    sum.app += app;
    sum.made += made;
    sum.requests += Object.values(requests).reduce((total, count) => total + count, 0);
    sum.recovered += recovered;
    sum.strangers += strangers.length;
    expect(`${what}: spans of the host`, app, made);
    expect(`${what}: other spans than of requests`, strangers.slice(0, 3), []);
    // Without a context manager nothing shows the instrumentation that a request is ours; our processor leaves its span out.
    if (manager) expect(`${what}: spans of our requests`, requests, {});
    else expect(`${what}: spans of files`, requests.fs, undefined);
    expect(`${what}: faults`, faults, 0);
    if (manager || processor === "ours") expect(`${what}: spans recorded`, recorded, app);
  }
  expect(`${what}: recovered sessions`, sum.recovered > 0, true);
  return { processor, manager, ...sum };
}
