/** This package as it is meant to be used, in each durability. */
import { openOurs, oursSurvivors } from "../ours.mjs";

const slow = { spans: 1_000, why: "two disk syncs per span" };
const manyDocuments = { runs: 2, why: "two runs: each syncs 500 documents" };

const ours = (durability, title, share) => ({
  name: durability === "process" ? "ours" : `ours-${durability}`,
  title,
  share,
  open: (job) =>
    openOurs(
      job,
      { durability },
      ({ exporter, CrashSafeSpanProcessor }) => new CrashSafeSpanProcessor(exporter),
    ),
  survivors: oursSurvivors,
});

export default [
  ours("process", "ours"),
  ours("interval", "ours, durability interval", { sessions: manyDocuments }),
  ours("each", "ours, durability each", {
    burst: slow,
    turns: slow,
    small: slow,
    sessions: { ...slow, ...manyDocuments },
  }),
];
