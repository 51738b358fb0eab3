/**
 * One session, and the work on a directory, beside many documents of others: the end of a session, the start of an exporter,
 * a listing of the first page, and a replay that finds nothing to send.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { entry } from "../build.mjs";
import { mainThreadMillis, median, timed, watched } from "../meter.mjs";
import { openOurs } from "../ours.mjs";
import { SpanMaker } from "../spans.mjs";

const ends = 30;
const nothing = {
  export: (_, done) => done({ code: 0 }),
  shutdown: async () => {},
};

const open = (dir) =>
  openOurs(
    { dir },
    { maxFiles: 0 },
    ({ exporter, CrashSafeSpanProcessor }) => new CrashSafeSpanProcessor(exporter),
  );

/** Fills a directory with documents of ended sessions. */
async function fill(dir, count) {
  mkdirSync(dir, { recursive: true });
  if (count === 0) return;
  const idOf = (number) => `old_${String(number).padStart(6, "0")}`;
  const ours = await open(dir);
  ours.end(new SpanMaker("small", [idOf(0)]).ended(0));
  await ours.close();
  const first = readFileSync(join(dir, `${idOf(0)}.json`), "utf8");
  for (let number = 1; number < count; number++)
    writeFileSync(join(dir, `${idOf(number)}.json`), first.replaceAll(idOf(0), idOf(number)), {
      mode: 0o600,
    });
}

/** Milliseconds of the main thread, and of the clock, for the end of one session. */
async function oneEnd(ours, number) {
  const id = `new_${number}`;
  const maker = new SpanMaker("small", [id]);
  const span = maker.start(0);
  ours.start(span, ROOT_CONTEXT);
  ours.end(maker.end(span, 0));
  await ours.exporter.forceFlush();
  const main = mainThreadMillis();
  const millis = await timed(() => ours.exporter.endSession(id));
  return { main: mainThreadMillis() - main, millis };
}

async function run({ dir, count }) {
  await fill(dir, count);
  const { listTraces } = await entry("reader");
  const { replayTraces } = await entry("session");
  // The directory is in the cache of the kernel.
  await listTraces(dir);
  let ours;
  const start = await watched(async () => {
    ours = await open(dir);
    const maker = new SpanMaker("small", ["first"]);
    ours.end(maker.ended(0));
    await ours.flush();
  });
  const found = [];
  for (let number = 0; number < ends; number++) found.push(await oneEnd(ours, number));
  const list = await watched(() => listTraces(dir));
  await replayTraces(dir, nothing);
  const replay = await watched(() => replayTraces(dir, nothing));
  await ours.close();
  return {
    endMain: median(found.map(({ main }) => main)),
    endOne: median(found.map(({ millis }) => millis)),
    besideStart: start.millis,
    besideStartGap: start.gap,
    besideList: list.millis,
    besideListGap: list.gap,
    besideReplay: replay.millis,
    besideReplayGap: replay.gap,
  };
}

export default [0, 10_000, 100_000].map((count) => ({
  name: `beside-${count}`,
  title: `one session beside ${count.toLocaleString("en")} documents`,
  kind: "phases",
  contenders: ["ours"],
  isSlow: count > 10_000,
  runs: 1,
  run,
  settings: () => ({ count }),
}));
