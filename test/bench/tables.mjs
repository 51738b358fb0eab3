/** The results as tables for people. */

import { colors, right, table } from "../support/text-output.mjs";
import { contenders, missing } from "./contenders.mjs";
import { contents } from "./contents.mjs";
import { amplificationOf, figureOf, ratioOf, survivingOf } from "./figures.mjs";
import { goals } from "./goals.mjs";
import { workloadNamed } from "./workloads.mjs";

/** For a page of documentation, with --markdown. */
const isMarkdown = process.argv.includes("--markdown");

/** A table as text. Titles and alignments of its columns, then its rows. */
function tableText(head, aligns, rows) {
  const columns = head.map((title, at) => (aligns[at] === "right" ? right(title) : title));
  if (!isMarkdown) return table(columns, rows).join("\n");
  const line = (cells) => `| ${cells.map((cell) => cell ?? "").join(" | ")} |`;
  return [head, aligns.map((align) => (align === "right" ? "--:" : "---")), ...rows].map(line).join("\n");
}

const none = "–";
const shown = (value, show) => (Number.isFinite(value) ? show(value) : none);
/** Only significant digits. */
const digits = (value) => {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  if (value >= 1) return value.toFixed(value >= 10 ? 0 : 1);
  return value >= 0.1 || value === 0 ? value.toFixed(2) : value.toPrecision(1);
};
const micros = (value) => `${digits(value)} µs`;
const millis = (value) => `${digits(value)} ms`;
const megabytes = (value) => `${digits(value / 1e6)} MB`;
const kilobytes = (value) => `${digits(value / 1e3)} KB`;
const percent = (value) => `${(value * 100).toFixed(value < 1 && value > 0.99 ? 2 : 0)} %`;

/** Columns of workloads that run with every contender: ratios to the floor, and the floor's own figure. */
const spanColumns = [
  ["span", "call", micros],
  ["p99", "callP99", micros],
  ["start", "start", micros, "own"],
  ["main thread", "main", micros],
  ["CPU", "processor", micros],
  ["wall", "wall", millis],
  ["gap", "gap", millis, "own"],
  ["flush", "flush", millis, "own"],
  ["RSS", "memory", megabytes, "own"],
  ["heap", "heap", megabytes, "own"],
];

const recordColumns = [
  ["few behind", "few", micros],
  ["many behind", "many", micros],
  ["start", "start", micros, "own"],
  ["many / few", "flat", (value) => value.toFixed(2), "own"],
];

function cell(result, name, [, key, show, is]) {
  const own = figureOf(result, name, key);
  if (name === "floor" || is === "own") return shown(own, show);
  return shown(ratioOf(result, name, key), (value) => `${digits(value)}x`);
}

function comparison(result, columns, hasKills) {
  const bytes = ["bytes"];
  const alive = ["survive"];
  const head = ["", ...columns.map(([title]) => title), ...(hasKills ? [...bytes, ...alive] : [])];
  const rows = [];
  const marks = [];
  for (const { name, title } of contenders) {
    const note = result.notes[name];
    if (note) marks.push(`${name}: ${note}`);
    if (name === "alone" || !result.samples[name]) continue;
    const surviving = survivingOf(result, name);
    const isOurs = name.startsWith("ours");
    const spans = result.samples[name][0].spans;
    const share = spans < result.settings.spans ? ` (${spans.toLocaleString("en")} spans)` : "";
    rows.push([
      (isOurs ? colors.bold(title) : title) + share,
      ...columns.map((column) => cell(result, name, column)),
      ...(hasKills
        ? [
            shown(amplificationOf(result, name), (value) => value.toFixed(1)),
            shown(surviving, (value) => (value === 1 ? colors.green : colors.red)(percent(value))),
          ]
        : []),
    ]);
  }
  const text = tableText(head, ["left", ...head.slice(1).map(() => "right")], rows);
  return [text, ...marks.map((mark) => colors.dim(`  ${mark}`))].join("\n");
}

/** The floor of the altimate entry. */
const before = "model of the tracer before";

const contentRows = contents.flatMap((kind) => [
  ...["start", "end", "both"].flatMap((place) => {
    const at = { start: "at the start", end: "at the end", both: "half and half" }[place];
    const key = `${kind}-${place}`;
    return [
      [`onEnd, ${kind} ${at}`, `onEnd-${key}`, micros, `floor-${key}`, "stringify + writeSync"],
      [`onStart, ${kind} ${at}`, `onStart-${key}`, micros, `floor-${key}`, "the same"],
    ];
  }),
  [`logToolCall, ${kind}`, `tool-${kind}`, micros, `floor-tool-${kind}`, "the same"],
]);

/** Phases of this package next to the same phase with plain files, where one exists. */
const phases = [
  ["recover", "recover", millis, "plainCopy", "copy and sync the file"],
  ["… in a second", "recoverRate", (value) => `${digits(value)} MB`],
  ["… longest gap", "recoverGap", millis],
  ["read", "read", millis, "plainRead", "readFileSync + JSON.parse"],
  ["resume, until published", "resume", millis, "plainCopy", "copy and sync the file"],
  ["… longest gap", "resumeGap", millis],
  ["publish", "publish", millis, "plainCopy", "copy and sync the file"],
  ["… longest gap", "publishGap", millis],
  ["fence", "fence", millis, "plainWrite", "stringify + writeFileSync"],
  ["heap growth while filling", "heapGrown", (value) => `${digits(value)} MB`],
  ["list", "list", millis, "plainParse", "read and parse all"],
  [
    "… by the command, processor",
    "commandList",
    millis,
    "plainList",
    "read and parse the first and last lines",
  ],
  ["start of the command, processor", "commandStart", millis, "bareStart", "a program of one line"],
  ["end all sessions", "endMany", millis, "plainFiles", "create, write, sync and rename as many files"],
  ["… longest gap", "endManyGap", millis],
  ["recover all sessions", "recoverMany", millis, "plainFiles", "the same"],
  ["logToolCall", "toolCall", micros, "plainRecord", "stringify + writeSync"],
  ["… with many behind / few", "flat", (value) => value.toFixed(2)],
  ["setSpanAttributes", "attributes", micros, "plainAttributes", "stringify + writeSync"],
  ["… with many behind / few", "attributesFlat", (value) => value.toFixed(2)],
  ["span with redactSecrets()", "redacted", micros, "unredacted", "the same without"],
  ["… prose in a second", "redactProse", (value) => `${digits(value)} MB`],
  ["… code in a second", "redactCode", (value) => `${digits(value)} MB`],
  ["… JSON in a second", "redactJson", (value) => `${digits(value)} MB`],
  ["… with a secret every 450 bytes", "redactSecret", (value) => `${digits(value)} MB`],
  ...contentRows,
  ["memory of an open session", "sessionMemory", kilobytes],
  ["… of the heap", "sessionHeap", kilobytes],
  ["descriptors, at most", "sessionDescriptors", (value) => value.toFixed(0)],
  ["crash fence, each session", "sessionFence", millis],
  ["span, 1,000 sessions in turn, CPU", "turnsOfMany", micros, "turnsOfOne", "in one session"],
  ["end of one session, main thread", "endMain", millis],
  ["… until its document has its name", "endOne", millis],
  ["start, with a first document", "besideStart", millis],
  ["… longest gap", "besideStartGap", millis],
  ["list the first 20", "besideList", millis],
  ["… longest gap", "besideListGap", millis],
  ["replay of nothing", "besideReplay", millis],
  ["… longest gap", "besideReplayGap", millis],
  ["one of 8 MB: written / (4 x kept + R x time)", "openLarge", (value) => value.toFixed(2)],
  ["500 of 2 KB: the same", "openMany", (value) => value.toFixed(2)],
  ["bytes written", "hourWritten", megabytes],
  ["… of the document", "hourKept", megabytes],
  ["… / (4 x kept + R x time)", "hourBudget", (value) => value.toFixed(2)],
  ["readFile, p99", "hostRead", millis, "hostReadAlone", "the same alone"],
  ["readFile, median", "hostReadMedian", millis],
  ...["100", "1000", "5000"].flatMap((spans) => [
    [`tool call, ${spans} behind, CPU`, `eventOurs${spans}`, micros, `eventModel${spans}`, before],
    ["… bytes written", `eventBytesOurs${spans}`, kilobytes, `eventBytesModel${spans}`, before],
  ]),
  ["crash fence after them", "lastFenceOurs", millis, "lastFenceModel", before],
  ["first document, CPU", "first-document", millis, "first-model", before],
  ["… without OpenTelemetry's API", "first-document-alone", millis, "first-model", before],
  ["first span, CPU", "first-span", millis],
  ["… without OpenTelemetry's SDK", "first-span-alone", millis],
];

function phaseTable(result) {
  const rows = [];
  for (const [title, key, show, baseKey, base] of phases) {
    const value = figureOf(result, "ours", key);
    if (!Number.isFinite(value)) continue;
    rows.push([
      title,
      show(value),
      baseKey ? shown(figureOf(result, "ours", baseKey), show) : "",
      baseKey ? shown(ratioOf(result, "ours", key, "ours", baseKey), (ratio) => `${digits(ratio)}x`) : "",
      base ? colors.dim(base) : "",
    ]);
  }
  const failed = Object.values(result.notes).map((note) => colors.red(`\n  ${note}`));
  const text = tableText(
    ["", "ours", "floor", "ratio", ""],
    ["left", "right", "right", "right", "left"],
    rows,
  );
  return text + failed.join("");
}

export function printWorkload(name, result) {
  const { title, kind } = workloadNamed(name);
  const runs = Math.max(0, ...Object.values(result.samples).map((list) => list.length));
  console.log(`\n${colors.bold(name)}  ${title}  ${colors.dim(`median of ${runs}, ${result.seconds} s`)}`);
  if (kind === "phases") console.log(phaseTable(result));
  else if (kind === "record") console.log(comparison(result, recordColumns, false));
  else console.log(comparison(result, spanColumns, true));
}

export function printGoals(byRuntime) {
  const runtimes = Object.keys(byRuntime);
  const head = ["goal", "limit", ...runtimes.flatMap((title) => [title, ""])];
  const rows = [];
  let [reached, measured] = [0, 0];
  for (const { what, limit, show, measure, isReached, isLeast } of goals) {
    const cells = Object.values(byRuntime).flatMap(({ workloads }) => {
      const value = measure(workloads);
      if (!Number.isFinite(value)) return [none, ""];
      measured++;
      if (isReached(value)) reached++;
      return [show(value), isReached(value) ? colors.green("reached") : colors.red("missed")];
    });
    if (cells.some((text) => text !== none && text !== ""))
      rows.push([what, `${isLeast ? "≥" : "≤"} ${show(limit)}`, ...cells]);
  }
  if (measured === 0) return;
  const text = tableText(head, ["left", "right", ...runtimes.flatMap(() => ["right", "left"])], rows);
  console.log(`\n${text}\n${reached} of ${measured} goals reached`);
}

export function printCheck(rows, tolerance) {
  const text = tableText(
    ["check", "", "committed", "now", `at most ${tolerance}x`],
    ["left", "left", "right", "right", "left"],
    rows.map(({ workload, what, before, value, isKept }) => [
      workload,
      what,
      before,
      shown(value, (now) => now.toPrecision(3)),
      isKept ? colors.green("kept") : colors.red("WORSE"),
    ]),
  );
  console.log(`\n${text}`);
}

export function printLegend() {
  console.log(
    colors.dim(
      [
        "\nRatios are to the floor, whose own figures are shown. span: one onEnd, median; start: one onStart; main thread and",
        "CPU: per span, with all that is done later; gap: the longest stillness of the event loop (in a burst: of its flush);",
        "RSS, heap: at most, above the application's own; bytes: written over kept; survive: spans found after SIGKILL in the",
        `turn of the last.\n${missing}.`,
      ].join("\n"),
    ),
  );
}
