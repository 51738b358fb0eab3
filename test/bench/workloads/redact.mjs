/**
 * What `redactSecrets()` costs: one span of 5 KB with it and without, in turns in one process; and how fast it goes
 * through texts of some kinds.
 */
import { readdirSync, readFileSync } from "node:fs";
import { entry } from "../build.mjs";
import { median } from "../meter.mjs";
import { openOurs } from "../ours.mjs";
import { SpanMaker, text } from "../spans.mjs";

const rounds = 40;
const perRound = 50;

/** 5 KB each. Flat in memory, as texts are that were read from a file. */
const pieces = (whole) =>
  Array.from({ length: Math.floor(whole.length / 5_000) }, (_, index) =>
    Buffer.from(whole.slice(index * 5_000, (index + 1) * 5_000)).toString(),
  );

function texts() {
  const folder = new URL("./", import.meta.url);
  const code = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), "utf8"));
  const rows = Array.from({ length: 3_000 }, (_, id) => ({
    id,
    path: `/src/${id}.ts`,
    size: id * 7,
    isOpen: true,
  }));
  const token = `ghp_${"a1B2c3D4e5F6".repeat(3)}`;
  const secrets = Array.from({ length: 300 }, (_, id) => `${text(400, id)}\nGITHUB_TOKEN=${token}\n`);
  return {
    redactProse: pieces(text(300_000, 1)),
    redactCode: pieces(code.join("\n").repeat(10)),
    redactJson: pieces(JSON.stringify(rows)),
    redactSecret: pieces(secrets.join("")),
  };
}

async function run({ dir, megabytes }) {
  const { CrashSafeSpanProcessor, redactSecrets } = await entry();
  const open = (name, options) =>
    openOurs({ dir: `${dir}/${name}` }, options, ({ exporter }) => new CrashSafeSpanProcessor(exporter));
  const sides = [];
  for (const [name, options] of [
    ["unredacted", {}],
    ["redacted", { redact: redactSecrets() }],
  ])
    sides.push({ contender: await open(name, options), maker: new SpanMaker("tools", [name]), took: [] });
  for (let round = -4, number = 0; round < rounds; round++) {
    for (let i = 0; i < perRound; i++, number++) {
      for (const { contender, maker, took } of sides) {
        const span = maker.start(number);
        contender.start(span);
        maker.end(span, number);
        const begin = performance.now();
        contender.end(span);
        if (round >= 0) took.push(performance.now() - begin);
      }
    }
    // No copy of a document is due in between. Otherwise the thread pool would be measured.
    await new Promise(setImmediate);
  }
  for (const { contender } of sides) await contender.close();
  const [unredacted, redacted] = sides.map(({ took }) => median(took) * 1000);
  const rates = Object.entries(texts()).map(([what, some]) => [
    what,
    rateOf(redactSecrets(), some, megabytes),
  ]);
  return { redacted, unredacted, ...Object.fromEntries(rates) };
}

/** Megabytes a second. */
function rateOf(redact, some, megabytes) {
  const times = Math.ceil((megabytes * 1e6) / (some.length * 5_000));
  const took = [];
  for (let i = 0; i < times; i++) {
    const begin = performance.now();
    for (const one of some) redact(one, "output");
    took.push(performance.now() - begin);
  }
  return (some.length * 5_000) / 1e6 / (median(took) / 1000);
}

export default {
  name: "redact",
  title: "redactSecrets: one 5 KB span with it, and without; and texts of 5 KB",
  kind: "phases",
  contenders: ["ours"],
  run,
  settings: (isQuick) => ({ megabytes: isQuick ? 3 : 20 }),
};
