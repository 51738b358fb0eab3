/** The goals: figures of a run with their limits. */
import { contents } from "./contents.mjs";
import { amplificationOf, figureOf, ratioOf } from "./figures.mjs";

const bytesPerSecond = 1e6;
const ms = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const times = (value) => `${value.toFixed(value < 10 ? 2 : 0)}x`;
const rate = (value) => `${value.toFixed(0)} MB/s`;
const plain = (value) => Math.round(value).toLocaleString("en");
const megabytes = (value) => `${value.toFixed(0)} MB`;

const atMost = (what, limit, show, measure) => ({
  what,
  limit,
  show,
  measure,
  isReached: (value) => value <= limit,
});
const atLeast = (what, limit, show, measure) => ({
  ...atMost(what, limit, show, measure),
  isLeast: true,
  isReached: (value) => value >= limit,
});

const sizes = [25, 100, 500];
const document = (size) => `document-${size}`;
const ofDocument = (size, key) => (of) => figureOf(of[document(size)], "ours", key);

/** Promised for 5,000 spans. A quick run of fewer proves nothing. */
const ofAllSpans = (measure) => (of) => (of.paced?.settings.spans >= 5_000 ? measure(of) : Number.NaN);

/** Bytes written beyond three times the kept bytes, and beyond R times the time. */
const pacedBytes = ({ paced }) => {
  const kept = figureOf(paced, "ours", "kept");
  const allowed = 3 * kept + bytesPerSecond * figureOf(paced, "ours", "seconds");
  return figureOf(paced, "ours", "written") / allowed;
};

export const goals = [
  atMost("record a 5 KB span / floor", 1.5, times, ({ record }) => ratioOf(record, "ours", "few")),
  atMost("… with 100,000 spans behind it / floor", 1.5, times, ({ record }) =>
    ratioOf(record, "ours", "many"),
  ),
  atMost("… in a burst / floor", 1.5, times, ({ burst }) => ratioOf(burst, "ours", "call")),
  atMost("… one per turn / floor", 1.5, times, ({ turns }) => ratioOf(turns, "ours", "call")),
  atMost("flat: with 100,000 spans behind / with 100", 1.25, times, ({ record }) =>
    figureOf(record, "ours", "flat"),
  ),
  atMost("logToolCall of 5 KB / floor", 2.5, times, (of) =>
    ratioOf(of["tool-call"], "ours", "toolCall", "ours", "plainRecord"),
  ),
  atMost("logToolCall with 50,000 calls behind / with 100", 1.25, times, (of) =>
    figureOf(of["tool-call"], "ours", "flat"),
  ),
  atMost("setSpanAttributes, microseconds", 20, plain, (of) =>
    figureOf(of["tool-call"], "ours", "attributes"),
  ),
  atMost("setSpanAttributes with 4,000 calls behind / with 400", 1.25, times, (of) =>
    figureOf(of["tool-call"], "ours", "attributesFlat"),
  ),
  atMost("bytes written / kept, as fast as possible", 3, times, ({ burst }) =>
    amplificationOf(burst, "ours"),
  ),
  atMost("bytes written / kept, one per turn", 3, times, ({ turns }) => amplificationOf(turns, "ours")),
  atMost("bytes written, paced / (3 x kept + R x time)", 1, times, pacedBytes),
  atMost("bytes written in an hour / (4 x kept + R x time)", 1, times, ({ hour }) =>
    figureOf(hour, "ours", "hourBudget"),
  ),
  ...sizes.map((size) => atMost(`fence at ${size} MB`, 5, ms, ofDocument(size, "fence"))),
  atMost(
    "fence at 500 MB / at 25 MB",
    1.5,
    times,
    (of) => ofDocument(500, "fence")(of) / ofDocument(25, "fence")(of),
  ),
  atMost("event-loop gap of a publish at 100 MB", 5, ms, ofDocument(100, "publishGap")),
  ...sizes.map((size) => atLeast(`recover ${size} MB`, 300, rate, ofDocument(size, "recoverRate"))),
  ...[1_000, 4_000, 10_000].flatMap((count) => [
    atMost(`end ${count} sessions at once / as many files`, 1.5, times, (of) =>
      ratioOf(of[`ends-${count}`], "ours", "endMany", "ours", "plainFiles"),
    ),
    atMost(`recover ${count} sessions / as many files`, 2, times, (of) =>
      ratioOf(of[`ends-${count}`], "ours", "recoverMany", "ours", "plainFiles"),
    ),
  ]),
  ...contents.flatMap((kind) => [
    atMost(`onEnd of 5 KB of ${kind} / floor`, 1.5, times, (of) =>
      ratioOf(of.contents, "ours", `onEnd-${kind}-end`, "ours", `floor-${kind}-end`),
    ),
    atMost(`onStart with 5 KB of ${kind} / floor`, 1.3, times, (of) =>
      ratioOf(of.contents, "ours", `onStart-${kind}-start`, "ours", `floor-${kind}-start`),
    ),
    atMost(`logToolCall of 5 KB of ${kind} / floor`, 2, times, (of) =>
      ratioOf(of.contents, "ours", `tool-${kind}`, "ours", `floor-tool-${kind}`),
    ),
  ]),
  ...[1_000, 10_000].flatMap((count) => {
    const figure = (key) => (of) => figureOf(of[`sessions-${count}`], "ours", key);
    const many = count.toLocaleString("en");
    return [
      atMost(`crash fence of ${many} sessions, each`, 1, ms, figure("sessionFence")),
      atMost(`heap of one of ${many} open sessions, bytes`, 8_000, plain, figure("sessionHeap")),
      atMost(`descriptors of ${many} open sessions`, 128, plain, figure("sessionDescriptors")),
    ];
  }),
  ...[10_000, 100_000].flatMap((count) => {
    const beside = `beside ${count.toLocaleString("en")} documents`;
    const figure = (key) => (of) => figureOf(of[`beside-${count}`], "ours", key);
    return [
      atMost(
        `end of one session ${beside} / beside none`,
        1.25,
        times,
        (of) => figure("endMain")(of) / figureOf(of["beside-0"], "ours", "endMain"),
      ),
      ...["Start", "List", "Replay"].flatMap((what) => [
        atMost(`${what.toLowerCase()} ${beside}`, 2_000, ms, figure(`beside${what}`)),
        atMost("… longest gap", 20, ms, figure(`beside${what}Gap`)),
      ]),
    ];
  }),
  ...["Large", "Many"].map((what) =>
    atMost(
      `bytes written, ${what === "Large" ? "one span of 8 MB" : "500 spans of 2 KB"} open / budget`,
      1,
      times,
      (of) => figureOf(of["open-spans"], "ours", `open${what}`),
    ),
  ),
  atMost("list 1,000 sessions", 150, ms, ({ list }) => figureOf(list, "ours", "list")),
  atMost("… by the command, after its start", 150, ms, ({ list }) => figureOf(list, "ours", "commandList")),
  atMost("start of the command, beyond the runtime", 60, ms, ({ list }) =>
    figureOf(list, "ours", "commandStart"),
  ),
  atLeast(
    "main-thread time of the rewriter, paced / ours",
    100,
    times,
    ofAllSpans(({ paced }) => ratioOf(paced, "rewriter", "main", "ours")),
  ),
  atLeast(
    "bytes written by the rewriter, paced / by ours",
    200,
    times,
    ofAllSpans(({ paced }) => ratioOf(paced, "rewriter", "written", "ours")),
  ),
  atMost("heap growth over a session of 100 MB", 40, megabytes, ofDocument(100, "heapGrown")),
  atMost("host's readFile with 60 busy sessions, p99", 10, ms, ({ host }) =>
    figureOf(host, "ours", "hostRead"),
  ),
];
