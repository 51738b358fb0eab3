/** Workloads of spans that go through every contender. */
import { drive } from "../drive.mjs";

const one = ["ses_bench"];
const sessions = (count) => Array.from({ length: count }, (_, index) => `ses_${index}`);

const workload = (name, title, full, quick, rest) => ({
  name,
  title,
  kind: "spans",
  run: drive,
  settings: (isQuick) => ({
    shape: "agent",
    sessions: one,
    spans: isQuick ? quick : full,
    spansPerTurn: 1,
    everyMillis: 0,
    hasTurns: true,
    ...rest,
  }),
});

const paced = workload("paced", "an agent session, a span each 10 ms", 5_000, 300, { everyMillis: 10 });

export default [
  workload("burst", "an agent session as fast as possible: one turn for all spans", 5_000, 1_000, {
    spansPerTurn: Number.MAX_SAFE_INTEGER,
    hasTurns: false,
  }),
  workload("turns", "an agent session, a span per turn of the loop", 5_000, 1_000),
  {
    ...paced,
    contenders: ["alone", "floor", "ours", "ours-interval", "ours-each", "ours-batch", "rewriter"],
    // These processes sleep nearly all the time.
    atOnce: 12,
    isAlone: (contender) => contender === "rewriter",
  },
  workload("small", "spans of 200 B, 100 per turn", 100_000, 10_000, { shape: "small", spansPerTurn: 100 }),
  workload("huge", "spans of 1 MB, one per turn", 200, 20, { shape: "huge" }),
  workload("sessions", "500 sessions in turns, 9 spans per turn", 5_000, 1_500, {
    sessions: sessions(500),
    spansPerTurn: 9,
  }),
];
