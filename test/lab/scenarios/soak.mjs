/**
 * Ten minutes of 50 sessions: every acknowledged record is in the documents, and nothing grows without need.
 *
 * Several processes write one directory, as spans and through the session tracer. Sessions start, change their
 * writers, are shared, fenced, ended and resumed; processes die in many ways and are replaced; the wall clock is
 * set forward and back by up to some hours, and the machine sleeps: all processes pause, and continue some hours
 * later. A directory with a cap and one with retention run at the same time.
 *
 * What must be flat: sessions grow, so each ends after some hundred records, is compared, moved away and replaced.
 * At any time there are as many sessions, of all ages. Then these must not grow with time.
 *
 * The memory of a permanent process, measured after a collection, with no write in flight: the median of the last
 * third of the time against that of the second. The first third is for caches and code to warm up. In the second,
 * the memory of traces and ended sessions for late spans may grow to 10,000 of each, which is 2 MB. A session that
 * was not released is found by its count.
 *
 * The descriptors of a process: those before its first session, three for each open session, and a few in flight.
 *
 * The files of the directory besides documents: side files of open sessions, and of dead processes until they are
 * recovered, by number and by bytes against those of the documents. At the end there are none.
 */
import { join } from "node:path";
import { randomOf } from "../lanes.mjs";
import { directoryNote, directoryProblems, processNote, processProblems } from "../soak-flatness.mjs";
import { SoakRun } from "../soak-run.mjs";
import { runtimes } from "../tools.mjs";
import { WallClock } from "../wall-clock.mjs";

/** `least` is the minimum of each count before the end, on a busy machine, too. */
const sizes = {
  full: {
    seconds: 600,
    least: { deaths: 60, sleeps: 15, samples: 30 },
    sessions: 50,
    spans: 250,
    pauseMillis: 12,
    moveMillis: 400,
    deathMillis: 2_500,
    sampleMillis: 2_000,
    weatherMillis: 3_000,
    sleepMillis: 2_500,
  },
  ci: {
    seconds: 12,
    least: { deaths: 3, sleeps: 2, samples: 9 },
    sessions: 50,
    spans: 60,
    pauseMillis: 8,
    moveMillis: 120,
    deathMillis: 900,
    sampleMillis: 200,
    weatherMillis: 500,
    sleepMillis: 600,
  },
};
/** The factor of time on a busy machine. */
const patience = 5;
/** A broken writer is caught in 5 to 30 seconds. Once, one that records late was not within a minute. */
const short = { seconds: 180, sessions: 20, spans: 30, pauseMillis: 3, weatherMillis: 300, deathMillis: 600 };

const writers = {
  traces: [
    { name: "n", runtime: "node" },
    { name: "b", runtime: "bun" },
    { name: "m", runtime: "node", isMortal: true },
    { name: "o", runtime: "bun", isMortal: true },
  ],
  capped: [{ name: "c", runtime: "node", isMortal: true }],
  pruned: [{ name: "p", runtime: "node", isMortal: true }],
};

function runsOf(common, { size, broken, scratch }) {
  const here = writers.traces.filter(({ runtime }) => runtimes[runtime].lacks() === undefined);
  const runOf = (name, own) =>
    new SoakRun({
      ...common,
      dir: join(scratch.dir, name),
      writers: writers[name],
      ...own,
      options: { maxSpans: 0, maxFiles: 0, ...own.options },
    });
  const traces = runOf("traces", {
    writers: broken ? here.filter(({ name }) => name === "n" || name === "m") : here,
    sessions: size.sessions,
  });
  if (broken) return { traces };
  return {
    traces,
    // No other process writes its sessions. Where one does, all spans stay.
    capped: runOf("capped", { options: { maxSpans: 30 }, sessions: 4, front: "span" }),
    pruned: runOf("pruned", { options: { maxFiles: 8 }, sessions: 6 }),
  };
}

async function run({ size: kind, seed, build, broken, scratch, report }) {
  const size = { ...sizes[kind], ...(broken && short), ...broken?.size };
  const clock = new WallClock(join(scratch.dir, "clock"));
  const runs = runsOf({ clock, random: randomOf(seed), build, size }, { size, broken, scratch });
  const all = Object.values(runs);
  const { traces } = runs;
  const began = performance.now();
  const isOver = () => {
    const seconds = (performance.now() - began) / 1000;
    report(`${seconds.toFixed(0)} of ${size.seconds} s, ${traces.ledger.started} records`);
    const found = all.flatMap(({ failures }) => failures);
    // A broken writer may cause other problems before the one that catches it.
    if (broken)
      found.push(...[...traces.samples.values()].flatMap((samples) => processProblems(samples, kind)));
    if (found.some((text) => !broken || broken.catches.test(text))) return true;
    const { deaths, sleeps } = traces.counts;
    const { least } = size;
    const samples = Math.min(...[...traces.samples.values()].map(({ length }) => length));
    const isEnough = deaths >= least.deaths && sleeps >= least.sleeps && samples > least.samples;
    return seconds > (isEnough || broken ? 1 : patience) * size.seconds;
  };
  await Promise.all(all.map((one) => one.run(isOver)));
  const failures = Object.entries(runs).flatMap(([name, one]) =>
    one.failures.map((text) => `${name}: ${text} [seed ${seed}]`),
  );
  const { ledger, counts, samples } = traces;
  if (counts.spans !== ledger.started + ledger.unacknowledged)
    failures.push(
      `${counts.spans} spans are in the documents, of ${ledger.started} acknowledged and ${ledger.unacknowledged} unacknowledged`,
    );
  for (const [name, measured] of samples)
    failures.push(...processProblems(measured, kind).map((text) => `process ${name} ${text}`));
  failures.push(...directoryProblems(traces.sizes, size.sessions));
  return { trials: ledger.started, failures, notes: notesOf(runs, clock) };
}

function notesOf({ traces, ...others }, clock) {
  const { ledger, counts, reader } = traces;
  const counted = (word) => `${counts[word]} ${word}`;
  const beside = Object.entries(others).map(
    ([name, { ledger, counts }]) =>
      `${ledger.started} in ${name}${counts.elided > 0 ? ` (${counts.elided} left out)` : ""}`,
  );
  const noBun = runtimes.bun.lacks();
  return [
    `${ledger.started} spans acknowledged, ${ledger.ended} of them ended, ${ledger.unacknowledged} unacknowledged; ` +
      `${counts.spans} in ${counts.documents} documents; ${beside.join(", ")}`,
    `${["deaths", "fences", "moves", "sleeps", "naps"].map(counted).join(", ")}, ${clock.jumps} jumps of the clock; ` +
      `${reader.looks} looks of a reader`,
    ...[...traces.samples].map(([name, samples]) => processNote(name, samples)),
    directoryNote(traces.sizes),
    ...(noBun ? [`without Bun: ${noBun}`] : []),
  ];
}

export default {
  name: "soak",
  title: "50 sessions, with deaths, resumes, a clock that jumps, and sleep",
  promise: "P1–P8",
  needs: () => (process.platform === "linux" ? undefined : `it needs /proc, and this is ${process.platform}`),
  run,
  brokenWriters: [
    {
      name: "one that leaks descriptors",
      patch: [
        {
          file: "platform/descriptor.js",
          from: "&& --this.#holders === 0)",
          to: "&& --this.#holders === 0 && Math.random() < 0.5)",
        },
      ],
      catches: /descriptors with \d+ sessions/,
    },
    {
      name: "one that keeps ended sessions in memory",
      size: { spans: 8, moveMillis: 40 },
      patch: [
        {
          file: "directory/ends.js",
          from: /if \(await finalize\(entry, together\)\)\s+this\.#sessions\.delete\(entry\);/,
          to: "if (await finalize(entry, together)) {\n                (this.kept ??= []).push(entry);\n                this.#sessions.delete(entry);\n            }",
        },
      ],
      catches: /keeps \d+ writers/,
    },
    {
      name: "one that keeps what it has copied",
      patch: [
        {
          file: "storage/lines.js",
          from: "for (let position = 0; position < end;) {",
          to: "(globalThis.kept ??= []).push(Buffer.alloc(400_000));\n    for (let position = 0; position < end;) {",
        },
      ],
      catches: /heap that grew/,
    },
    {
      name: "a resume that forgets what was",
      patch: [
        { file: "storage/merge.js", from: 'if (body.type === "lines")', to: 'if (body.type === "none")' },
      ],
      catches: /lost \d+/,
    },
    {
      name: "a resume that forgets what was counted",
      patch: [
        {
          file: "storage/session-state.js",
          from: /this\.#totals = \(0, \w+\.totalsOf\)\(tail, .*\);/,
          to: "",
        },
      ],
      catches: /counts \d+ tool calls/,
    },
    {
      name: "publishing by the wall clock",
      size: { patienceMillis: 2_000, onlySetBack: true },
      patch: [
        {
          file: "directory/publish-scheduler.js",
          from: "const { clock } = this.#writer.ports;",
          to: `const { clock: machine } = this.#writer.ports;
        const clock = {
            monotonic: () => machine.monotonic(),
            after(millis, run) {
                const due = Date.now() + millis;
                const timer = setInterval(() => {
                    if (Date.now() < due) return;
                    clearInterval(timer);
                    run();
                }, 5);
                return { cancel: () => clearInterval(timer) };
            },
        };`,
        },
      ],
      catches: /is behind for good|is open, and has no document/,
    },
    {
      name: "sessions that are idle by the wall clock",
      // No other process opens them. They are compared at the end.
      size: { seconds: 25, moveMillis: 600_000, deathMillis: 600_000, spans: 2_000 },
      patch: [
        {
          file: "platform/clock.js",
          from: "    monotonic,",
          to: "    monotonic: () => Date.now(),",
        },
      ],
      catches: /ran again|is completed, not/,
    },
    {
      name: "one that records a turn later",
      patch: [
        {
          file: "directory/trace-directory.js",
          from: "const outcome = writer.recordEnd(span);",
          to: 'setTimeout(() => writer.recordEnd(span), 20);\n        const outcome = "written";',
        },
      ],
      catches: /which had ended|lost \d+|was put away|crashed, not/,
    },
  ],
};
