/** Requests that a server answers in a second with this package, beside a server without it and one with the stock batches. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { connections } from "./loads.mjs";
import { Server } from "./server.mjs";

const rounds = 3;
const warmSeconds = 2;
const spanServer = fileURLToPath(new URL("../bench/span-server.mjs", import.meta.url));

/** The servers; `goal`: least part of the requests that the first one answers. */
const servers = [
  { policy: "none", what: "spans for no processor" },
  { policy: "otlp", what: "stock batches, OTLP to a server on this machine" },
  { policy: "drop", what: 'withoutSession: "drop"', goal: 0.9 },
  { policy: "process", what: 'withoutSession: "process"', goal: 0.9 },
  { policy: "trace", what: 'withoutSession: "trace"', goal: 0.6 },
];

/** Each server in turn, several times. Returns the median of its requests per second, and their part of the first one's. */
export async function throughput(root, seconds) {
  const collector = spawn(process.execPath, [spanServer], { stdio: ["pipe", "pipe", "inherit"] });
  const found = servers.map(() => []);
  try {
    const [text] = await once(collector.stdout.setEncoding("utf8"), "data");
    const url = text.trim();
    for (let round = 0; round < rounds; round++)
      for (const [at, { policy }] of servers.entries())
        found[at].push(await requestsPerSecond(root, policy, url, seconds));
  } finally {
    collector.kill();
  }
  const medians = found.map((values) => values.sort((a, b) => a - b)[Math.floor(rounds / 2)]);
  return servers.map((one, at) => ({ ...one, perSecond: medians[at], part: medians[at] / medians[0] }));
}

async function requestsPerSecond(root, policy, collector, seconds) {
  const autocannon = createRequire(import.meta.url)("autocannon");
  const server = await Server.start(root, policy, { collector });
  const load = (duration) => autocannon({ url: `${server.url}/plain`, connections, duration });
  try {
    await load(warmSeconds);
    const { requests } = await load(seconds);
    return requests.average;
  } finally {
    server.kill();
    await server.gone;
  }
}
