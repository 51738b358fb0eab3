/**
 * Work on whole documents. One process fills a session and is killed. The next recovers the session, reads it,
 * resumes it, publishes it, and crashes. The floor does the same with plain files: parse, copy, write.
 */
import {
  closeSync,
  copyFileSync,
  fdatasyncSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { entry } from "../build.mjs";
import { median, settledHeap, timed, watched } from "../meter.mjs";
import { openOurs } from "../ours.mjs";
import { SpanMaker } from "../spans.mjs";

const id = "ses_bench";
const bytesPerSpan = 5_020;
const nextTurn = () => new Promise(setImmediate);

const open = (dir) =>
  openOurs({ dir }, {}, ({ exporter, CrashSafeSpanProcessor }) => new CrashSafeSpanProcessor(exporter));

/** Fills a session and dies. */
async function victim({ dir, megabytes }) {
  const ours = await open(dir);
  const maker = new SpanMaker("tools", [id]);
  const spans = Math.round((megabytes * 1e6) / bytesPerSpan);
  let before = 0;
  for (let number = 0; number < spans; number++) {
    if (number === 100) before = settledHeap();
    ours.end(maker.ended(number));
    if (number % 100 === 0) await nextTurn();
  }
  const grown = (settledHeap() - before) / 1e6;
  writeSync(1, JSON.stringify({ heapGrown: grown }));
  process.kill(process.pid, "SIGKILL");
}

async function survivor({ dir, publishes }) {
  const { recoverTraces, readTrace } = await entry("reader");
  const path = join(dir, `${id}.json`);
  const recover = await watched(() => recoverTraces(dir));
  const bytes = statSync(path).size;
  const floor = plain(path);
  const read = await timed(() => readTrace(path));

  const ours = await open(dir);
  const maker = new SpanMaker("tools", [id]);
  let number = 10_000_000;
  const resume = await watched(async () => {
    ours.end(maker.ended(number++));
    await ours.flush();
  });
  const published = [];
  for (let i = 0; i < publishes; i++) {
    ours.end(maker.ended(number++));
    published.push(await watched(() => ours.flush()));
  }
  // The background sync has caught up. The tool calls of one turn are what the fence finds unsynced.
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (let i = 0; i < 8; i++) ours.end(maker.ended(number++));
  const fence = await timed(() => ours.exporter.crash("bench"));
  return {
    bytes,
    recover: recover.millis,
    recoverGap: recover.gap,
    recoverRate: bytes / 1e6 / (recover.millis / 1000),
    read,
    resume: resume.millis,
    resumeGap: resume.gap,
    publish: median(published.map(({ millis }) => millis)),
    publishGap: median(published.map(({ gap }) => gap)),
    fence,
    ...floor,
  };
}

/** The document as plain bytes. */
function plain(path) {
  const copy = `${path}.copy`;
  const time = (run) => {
    const begin = performance.now();
    run();
    return performance.now() - begin;
  };
  const plainCopy = time(() => {
    copyFileSync(path, copy);
    const fd = openSync(copy, "r+");
    fdatasyncSync(fd);
    closeSync(fd);
  });
  rmSync(copy);
  let document;
  const plainRead = time(() => {
    document = JSON.parse(readFileSync(path, "utf8"));
  });
  // The work of a crash handler that has the document in memory. From 500 MB on such a string is impossible.
  const plainWrite = time(() => writeFileSync(copy, JSON.stringify(document)));
  rmSync(copy);
  return { plainCopy, plainRead, plainWrite };
}

const workload = (megabytes) => ({
  name: `document-${megabytes}`,
  title: `a session of ${megabytes} MB: recover, read, resume, publish, fence`,
  kind: "phases",
  contenders: ["ours"],
  stages: ["victim", "survivor"],
  run: (job) => (job.stage === "victim" ? victim(job) : survivor(job)),
  settings: () => ({ megabytes, publishes: megabytes > 100 ? 2 : 5 }),
  // A quick run leaves this out.
  isSlow: megabytes > 25,
});

export default [workload(25), workload(100), workload(500)];
