// Lives beside slow system calls: the fence comes while a document is on its way, and events come that no later event
// follows.
import { readdirSync, readFileSync } from "node:fs";
import { Host, pause, plan, ready, say, turn } from "./child.mjs";

const path = `${plan.dir}/alpha.json`;
const document = () => {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    return { summary: {}, spans: [], error };
  }
};
/** Spans of this life that are over, in the document as it is now. */
const endedIn = ({ spans }) =>
  spans.filter(({ kind, endTime }) => kind !== "session" && endTime !== undefined).length;

/** Until a copy of the document is on its way. */
async function publishing() {
  const until = performance.now() + 10_000;
  while (performance.now() < until) {
    if (readdirSync(plan.dir).some((name) => name.includes(".tmp."))) return;
    await turn();
  }
  say("broken", "nothing was published for ten seconds");
}

/** At some moment of the writes, the sync and the renames that follow. */
const aMoment = () => pause(plan.fraction * plan.delayMillis * 6);

/** Fences, and tells what stands in the document in that very turn. */
function fence(host, ended) {
  void host.crash("SIGTERM");
  const fenced = document();
  const { status, error } = fenced.summary;
  if (status !== "crashed" || error !== "SIGTERM")
    say("broken", `the fence returned, and the document is ${status} (${error})`);
  if (endedIn(fenced) < ended)
    say("broken", `the fence returned, and ${endedIn(fenced)} of ${ended} spans are there`);
}

const lives = {
  // M1: the crash flush against a snapshot on its way.
  M1: async (host) => {
    host.work("alpha", 2);
    await publishing();
    await aMoment();
    host.work("alpha", 1);
    fence(host, 3);
  },
  // M2: events during a snapshot on its way, and none after them.
  M2: async (host) => {
    host.work("alpha", 1);
    await publishing();
    host.work("alpha", 4);
    const until = performance.now() + plan.patienceMillis;
    while (endedIn(document()) < 5 && performance.now() < until) await pause(5);
    if (endedIn(document()) < 5)
      say("broken", `no event came any more, and ${endedIn(document())} of 5 spans are there`);
  },
  // M3: the final export against the crash flush.
  M3: async (host) => {
    host.work("alpha", 3);
    say("closing", "alpha", "completed");
    // The fence overtakes it, unless it was faster.
    void host.exporter.endSession("alpha").catch(() => {});
    await aMoment();
    if (document().summary.status === "completed") say("closed", "alpha", "completed");
    else fence(host, 3);
  },
  flush: async (host) => {
    for (let round = 1; round <= 2; round++) {
      host.work("alpha", 2);
      await aMoment();
      const isFlushed = await host.flush();
      if (!isFlushed) say("broken", "a flush was rejected, and nothing failed");
      if (endedIn(document()) < 2 * round)
        say("broken", `flushed, and ${endedIn(document())} of ${2 * round} spans are there`);
    }
  },
};

await ready();
await lives[plan.life](new Host());
say("over", plan.life === "M1" || plan.life === "M3" ? readFileSync(path, "utf8") : "");
// What is on its way has its time to arrive: the process ends when nothing is left to do.
await pause(plan.delayMillis * 12 + 50);
say("complete");
process.exit(0);
