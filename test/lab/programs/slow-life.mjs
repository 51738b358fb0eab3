// Lives beside slow system calls: the fence comes while a document is on its way, and events come that no later event
// follows.
import { readdirSync, readFileSync } from "node:fs";
import { Host, pause, plan, ready, say } from "./child.mjs";

const textNow = () => {
  try {
    return readFileSync(`${plan.dir}/alpha.json`, "utf8");
  } catch {
    // Not written yet.
    return `{"spans":[],"summary":{}}`;
  }
};
const document = (text = textNow()) => {
  try {
    return JSON.parse(text);
  } catch (error) {
    return { spans: [], summary: { error } };
  }
};
/** Spans of this life that are over, in the document as it is now. */
const endedIn = ({ spans }) =>
  spans.filter(({ kind, endTime }) => kind !== "session" && endTime !== undefined).length;

const isPublishing = () => readdirSync(plan.dir).some((name) => name.includes(".tmp."));

/** Resolves when the first copy of the document is on its way. */
let tellCopy;
const publishing = new Promise((resolve) => {
  tellCopy = resolve;
});

/** At some moment of the writes, the sync and the renames that follow. */
const aMoment = () => pause(plan.fraction * plan.delayMillis * 6);

/** Fences, and looks in that very turn at what stands in the document. */
function fence(host, ended) {
  say("fencing", isPublishing());
  void host.crash("SIGTERM");
  const text = textNow();
  const fenced = document(text);
  const { status, error } = fenced.summary;
  if (status !== "crashed" || error !== "SIGTERM")
    say("broken", `the fence returned, and the document is ${status} (${error})`);
  if (endedIn(fenced) < ended)
    say("broken", `the fence returned, and ${endedIn(fenced)} of ${ended} spans are there`);
  say("over", text);
}

const lives = {
  // M1: the crash flush against a snapshot on its way.
  M1: async (host) => {
    host.work("alpha", 2);
    await publishing;
    await aMoment();
    host.work("alpha", 1);
    fence(host, 3);
  },
  // M2: events during a snapshot on its way, and none after them.
  M2: async (host) => {
    host.work("alpha", 1);
    await publishing;
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
    const text = textNow();
    if (document(text).summary.status === "completed") {
      say("closed", "alpha", "completed");
      say("over", text);
    } else fence(host, 3);
  },
  // A flush that the fence overtakes: settled all the same, and by the document of the fence.
  "flush, fence": async (host) => {
    host.work("alpha", 2);
    await publishing;
    host.work("alpha", 1);
    const flushed = host.flush();
    await aMoment();
    fence(host, 3);
    if (!(await flushed)) say("broken", "the fence wrote what was to be flushed, and the flush was rejected");
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
// An agent that waits for its model is alive: nothing is flushed for it because nothing else is to be done.
const alive = setInterval(() => {}, 60_000);
await lives[plan.life](new Host({}, tellCopy));
clearInterval(alive);
say("complete");
// Where an end was the last word, the process ends by itself: when all that was on its way has arrived.
if (plan.life === "M2" || plan.life === "flush") process.exit(0);
