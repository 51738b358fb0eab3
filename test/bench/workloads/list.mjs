/** Listing a directory of 1,000 sessions, as a function and by the command, against reading and parsing them. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { command, entry } from "../build.mjs";
import { timed } from "../meter.mjs";
import { openOurs } from "../ours.mjs";
import { SpanMaker } from "../spans.mjs";

const files = 1_000;
const idOf = (number) => `ses_${String(number).padStart(4, "0")}`;

async function prepare({ dir }) {
  const maker = new SpanMaker("tools", [idOf(0)]);
  const ours = await openOurs(
    { dir },
    {},
    ({ exporter, CrashSafeSpanProcessor }) => new CrashSafeSpanProcessor(exporter),
  );
  for (let number = 0; number < 20; number++) ours.end(maker.ended(number));
  await ours.close();
  const first = readFileSync(join(dir, `${idOf(0)}.json`), "utf8");
  // Ids of one length, so that the offset of the last line stays valid.
  for (let number = 1; number < files; number++)
    writeFileSync(join(dir, `${idOf(number)}.json`), first.replaceAll(idOf(0), idOf(number)), {
      mode: 0o600,
    });
  return {};
}

async function list({ dir }) {
  const { listTraces } = await entry("reader");
  let found = [];
  const plain = () =>
    readdirSync(dir).map((name) => JSON.parse(readFileSync(join(dir, name), "utf8")).summary);
  const parse = await timed(plain);
  const millis = await timed(async () => {
    found = (await listTraces(dir, { limit: files })).traces;
  });
  if (found.length !== files) throw new Error(`${found.length} sessions were listed`);
  // 0.1.0 has no command.
  if (!existsSync(command)) return { list: millis, plainParse: parse };
  const empty = join(dir, "empty");
  mkdirSync(empty);
  const start = processorOf(command, "list", "--dir", empty);
  const bare = processorOf(nothing);
  return {
    list: millis,
    plainParse: parse,
    commandList: processorOf(command, "list", "--limit", "0", "--dir", dir) - start,
    plainList: processorOf(plainList, dir) - bare,
    commandStart: start - bare,
    bareStart: bare,
  };
}

const nothing = fileURLToPath(new URL("../processor-at-exit.cjs", import.meta.url));
const plainList = fileURLToPath(new URL("../plain-list.cjs", import.meta.url));

/** Milliseconds of the processor that a program takes; the least of some runs. */
function processorOf(...program) {
  const runs = Array.from({ length: 5 }, () => {
    const stdio = ["ignore", "ignore", "inherit", "pipe"];
    const { status, output } = spawnSync(process.execPath, ["--require", nothing, ...program], { stdio });
    if (status !== 0) throw new Error(`${program.join(" ")} ended with ${status}`);
    return Number(output[3]);
  });
  return Math.min(...runs);
}

export default {
  name: "list",
  title: "listing 1,000 sessions of 100 KB",
  kind: "phases",
  contenders: ["ours"],
  stages: ["prepare", "list"],
  run: (job) => (job.stage === "prepare" ? prepare(job) : list(job)),
  settings: () => ({}),
};
