/** A server under load: what it holds meanwhile and when it has settled, and the documents that it leaves. */
import { createRequire } from "node:module";
import { Server } from "./server.mjs";

/** Documents of traces without a session that retention keeps by default; as many may wait to be written. */
const keptByDefault = 1_000;
/** Upper bounds under load. */
export const bounds = { openSessions: keptByDefault + 100, descriptors: 400, megabytes: 400 };
export const connections = 10;
const lateSessions = 20;
/** Retention has a round every ten seconds; on a busy machine a round takes longer than that. */
const settleMillis = 120_000;
const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

/** The loads: requests, and what is in the directory once the server has nothing left to do. */
export const loads = [
  {
    what: 'withoutSession: "trace"',
    policy: "trace",
    paths: ["/plain"],
    isSettled: ({ openSessions, files }) => openSessions === 0 && files <= keptByDefault,
    check(documents, _counts, expect) {
      expect("documents", documents.size > 0 && documents.size <= keptByDefault, true);
    },
  },
  {
    what: 'withoutSession: "process"',
    policy: "process",
    paths: ["/plain"],
    isSettled: ({ openSessions, files }) => openSessions === 1 && files <= 3,
    check: (documents, _counts, expect) => expect("documents", documents.size, 1),
  },
  {
    what: 'withoutSession: "drop"',
    policy: "drop",
    paths: ["/plain"],
    isSettled: ({ openSessions, files }) => openSessions === 0 && files === 0,
    check: (documents, _counts, expect) => expect("documents", documents.size, 0),
  },
  {
    what: "sessions named late",
    policy: "trace",
    paths: Array.from({ length: lateSessions }, (_, at) => `/chat/ses_${at}`),
    isSettled: ({ openSessions, files }) => openSessions === lateSessions && files <= 3 * lateSessions,
    check(documents, { generations }, expect) {
      const names = Array.from({ length: lateSessions }, (_, at) => `ses_${at}`);
      expect("documents", [...documents.keys()].sort(), names.sort());
      let found = 0;
      for (const { spans } of documents.values())
        found += spans.filter(({ name }) => name === "chat gpt").length;
      expect("generations", found, generations);
    },
  },
];

/**
 * Loads a server, and returns what it held. `settled` of the result resolves when the server has settled and ended: the
 * next load needs not wait.
 */
export async function underLoad(root, { policy, paths, isSettled, check }, seconds, expect) {
  const autocannon = createRequire(import.meta.url)("autocannon");
  const server = await Server.start(root, policy);
  const most = { openSessions: 0, descriptors: 0, megabytes: 0, files: 0 };
  let isLoaded = true;
  const load = Promise.resolve(
    autocannon({
      url: server.url,
      connections,
      duration: seconds,
      requests: paths.map((path) => ({ method: "GET", path })),
    }),
  ).finally(() => {
    isLoaded = false;
  });
  const watch = async () => {
    while (isLoaded) {
      await pause(250);
      const held = await server.held();
      for (const name of Object.keys(most)) most[name] = Math.max(most[name], held[name]);
    }
  };
  const [result] = await Promise.all([load, watch()]);
  expect("failed requests", result.errors + result.non2xx, 0);
  for (const [name, bound] of Object.entries(bounds))
    expect(`${name} ${Math.round(most[name])} <= ${bound}`, most[name] <= bound, true);
  const settled = settle(server, isSettled, expect).then(async (rest) => {
    const counts = await server.counts();
    server.signal("SIGTERM");
    await server.gone;
    const { documents, others } = server.left;
    expect("other files", others, []);
    check(documents, counts, expect);
    for (const [id, document] of documents) checkDocument(id, document, server.dir, expect);
    return { ...rest, documents: documents.size };
  });
  return { perSecond: result.requests.average, most, settled };
}

async function settle(server, isSettled, expect) {
  const from = performance.now();
  for (;;) {
    const held = await server.held();
    const millis = performance.now() - from;
    if (isSettled(held) || millis > settleMillis) {
      expect(`settled: ${held.openSessions} sessions, ${held.files} files`, isSettled(held), true);
      return { ...held, seconds: millis / 1_000 };
    }
    await pause(250);
  }
}

function checkDocument(id, { spans, summary }, dir, expect) {
  const own = spans.filter(({ attributes }) => String(attributes?.["file.path"] ?? "").startsWith(dir));
  expect(`spans of our own calls in ${id}`, own.length, 0);
  expect(`status of ${id}`, summary.status, "completed");
}
