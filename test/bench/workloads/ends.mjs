/** The end of many open sessions of one span at once, and their recovery after a kill; against files made as they are. */
import { mkdirSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { join } from "node:path";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { entry } from "../build.mjs";
import { timed, watched } from "../meter.mjs";
import { openOurs } from "../ours.mjs";
import { SpanMaker } from "../spans.mjs";

/** Files that are written at a time: half of the threads of the pool. */
const atOnce = 2;

async function openSessions(dir, count) {
  const maker = new SpanMaker(
    "small",
    Array.from({ length: count }, (_, number) => `ses_${number}`),
  );
  const ours = await openOurs(
    { dir },
    {},
    ({ exporter, CrashSafeSpanProcessor }) => new CrashSafeSpanProcessor(exporter),
  );
  for (let number = 0; number < count; number++) {
    const span = maker.start(number);
    ours.start(span, ROOT_CONTEXT);
    ours.end(maker.end(span, number));
  }
  return ours;
}

/** Creates, writes, syncs and renames as many files. */
async function plainFiles(dir, count) {
  mkdirSync(dir);
  let next = 0;
  const write = async () => {
    for (let number = next++; number < count; number = next++) {
      const path = join(dir, `${number}.json`);
      const file = await open(`${path}.tmp`, "wx");
      await file.write("x".repeat(1_200));
      await file.datasync();
      await file.close();
      await rename(`${path}.tmp`, path);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, write));
}

async function run({ dir, stage, count }) {
  if (stage === "victim") {
    await openSessions(join(dir, "dead"), count);
    process.kill(process.pid, "SIGKILL");
  }
  if (stage === "recover") {
    const { recoverTraces } = await entry("reader");
    let found;
    const recoverMany = await timed(async () => {
      found = await recoverTraces(join(dir, "dead"));
    });
    if (found.sessions.length !== count) throw new Error(`${found.sessions.length} sessions were recovered`);
    return { recoverMany };
  }
  const plainFilesMillis = await timed(() => plainFiles(join(dir, "plain"), count));
  const ours = await openSessions(join(dir, "ours"), count);
  const { millis, gap } = await watched(() => ours.close());
  return { endMany: millis, endManyGap: gap, plainFiles: plainFilesMillis };
}

export default [1_000, 4_000, 10_000].map((count) => ({
  name: `ends-${count}`,
  title: `the end and the recovery of ${count.toLocaleString("en")} sessions of one span`,
  kind: "phases",
  contenders: ["ours"],
  stages: ["end", "victim", "recover"],
  isSlow: count > 1_000,
  runs: 1,
  run,
  settings: () => ({ count }),
}));
