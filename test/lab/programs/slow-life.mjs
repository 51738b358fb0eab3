// Lives with slow system calls: the crash fence comes during a publish, and events come without a later event.
import { readdirSync, readFileSync } from "node:fs";
import { Host, pause, plan, print, ready } from "./child.mjs";

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
/** Ended spans of this life in the present document. */
const endedIn = ({ spans }) =>
  spans.filter(({ kind, endTime }) => kind !== "session" && endTime !== undefined).length;

const isPublishing = () => readdirSync(plan.dir).some((name) => name.includes(".tmp."));

/** Resolves when the first copy of the document has started. */
let tellCopy;
const publishing = new Promise((resolve) => {
  tellCopy = resolve;
});

/** At a random moment of the writes, the sync and the renames that follow. */
const aMoment = () => pause(plan.fraction * plan.delayMillis * 6);

/** Fences, and reads the document in the same turn. */
function fence(host, ended) {
  print("fencing", isPublishing());
  void host.crash("SIGTERM");
  const text = textNow();
  const fenced = document(text);
  const { status, error } = fenced.summary;
  if (status !== "crashed" || error !== "SIGTERM")
    print("broken", `the fence returned, and the document is ${status} (${error})`);
  if (endedIn(fenced) < ended)
    print("broken", `the fence returned, and ${endedIn(fenced)} of ${ended} spans are there`);
  print("over", text);
}

const lives = {
  // M1: the crash flush during a snapshot.
  M1: async (host) => {
    host.work("alpha", 2);
    await publishing;
    await aMoment();
    host.work("alpha", 1);
    fence(host, 3);
  },
  // M2: events during a snapshot, and none after them.
  M2: async (host) => {
    host.work("alpha", 1);
    await publishing;
    host.work("alpha", 4);
    const until = performance.now() + plan.patienceMillis;
    while (endedIn(document()) < 5 && performance.now() < until) await pause(5);
    if (endedIn(document()) < 5)
      print("broken", `no event came any more, and ${endedIn(document())} of 5 spans are there`);
  },
  // M3: the final export during the crash flush.
  M3: async (host) => {
    host.work("alpha", 3);
    print("closing", "alpha", "completed");
    // The fence overtakes it, unless it was faster.
    void host.exporter.endSession("alpha").catch(() => {});
    await aMoment();
    const text = textNow();
    if (document(text).summary.status === "completed") {
      print("closed", "alpha", "completed");
      print("over", text);
    } else fence(host, 3);
  },
  // A flush that the fence overtakes resolves nevertheless, by the document of the fence.
  "flush, fence": async (host) => {
    host.work("alpha", 2);
    await publishing;
    host.work("alpha", 1);
    const flushed = host.flush();
    await aMoment();
    fence(host, 3);
    if (!(await flushed))
      print("broken", "the fence wrote what was to be flushed, and the flush was rejected");
  },
  flush: async (host) => {
    for (let round = 1; round <= 2; round++) {
      host.work("alpha", 2);
      await aMoment();
      const isFlushed = await host.flush();
      if (!isFlushed) print("broken", "a flush was rejected, and nothing failed");
      if (endedIn(document()) < 2 * round)
        print("broken", `flushed, and ${endedIn(document())} of ${2 * round} spans are there`);
    }
  },
};

await ready();
// An agent that waits for its model keeps the process alive, so that no exit flush runs.
const alive = setInterval(() => {}, 60_000);
await lives[plan.life](new Host({}, tellCopy));
clearInterval(alive);
print("complete");
// Where an end was the last call, the process ends by itself, when all work in flight has ended.
if (plan.life === "M2" || plan.life === "flush") process.exit(0);
