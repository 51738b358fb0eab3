/** `stats`: what sessions used, by model, day and tool; how the context grew; what loops and retries cost. */

import {
  knownCost,
  money,
  oneLine,
  plural,
  shortDuration,
  shortNumber,
  timeInColumn,
} from "../text/display-text.js";
import { type Column, tableLines } from "../text/table.js";
import { analyse } from "./analysis.js";
import { defineCommand, type Options, timeOrDuration } from "./command.js";
import { findSessions } from "./session-catalog.js";
import { readSession, resolveSessions } from "./session-reference.js";
import type { Terminal } from "./terminal.js";
import { type ContextPoint, Usage, type UsageReport } from "./usage.js";

const options = {
  since: {
    value: "<time>",
    parse: timeOrDuration,
    help: "only sessions that began since: 7d, or a date",
  },
} as const satisfies Options;

export const statsCommand = defineCommand({
  usage: "[session…]",
  about:
    "Sums tokens, cost and time of sessions, by default of all, by model, day and tool; of one session also the growth of its context.",
  examples: [
    ["stats --since 7d", "all sessions of the last week"],
    ["stats ses_1", "one session, with the growth of its context"],
    ["stats --json | jq .models", "for programs"],
  ],
  options,
  maxArgs: Number.POSITIVE_INFINITY,
  async run({ terminal, dir, json, args, values }) {
    const found = args.length > 0 ? await resolveSessions(args, dir, terminal.cwd) : findSessions(dir);
    const progress = terminal.progress("reading", found.length);
    const usage = new Usage();
    const after = values.since?.(terminal.now()) ?? Number.NEGATIVE_INFINITY;
    for (const one of found) {
      try {
        const session = await readSession(one);
        const analysis = analyse(session.trace);
        if (analysis.from >= after) usage.add(session.id, analysis);
      } catch (error) {
        if (args.length > 0) throw error;
        usage.addUnreadable();
      }
      progress.step();
    }
    progress.end();
    const report = usage.report(args.length === 1);
    if (json) terminal.printJson("stats/1", report);
    else terminal.print(...statsLines(report, terminal));
    if (report.unreadable > 0)
      terminal.note(
        terminal.colors.dim(`${plural(report.unreadable, "file")} left out: damaged, or of other programs`),
      );
    return 0;
  },
});

const mostRows = 15;

function statsLines(report: UsageReport, terminal: Terminal): string[] {
  const { colors, columns } = terminal;
  const { sessions, total, models, days, tools, loops, retries, context, elidedSpans } = report;
  const lines = [
    [
      colors.bold(plural(sessions, "session")),
      plural(total.tokens.total, "token"),
      ...knownCost(total.cost).map(colors.bold),
      plural(total.calls, "model call"),
      `cache hits ${percent(total.cacheHitRatio)}`,
    ].join(" · "),
  ];
  const amounts = (title: string, rows: readonly (readonly [string, UsageReport["total"]])[]) => {
    if (rows.length === 0) return;
    const header: Column[] = [
      { title, fewest: 12 },
      ...["CALLS", "ERRORS", "INPUT", "OUTPUT", "CACHED", "HITS", "TIME", "COST"].map((name, at) => ({
        title: name,
        align: "right" as const,
        ...([1, 4, 6].includes(at) && { dropOrder: at }),
      })),
    ];
    const cells = rows.map(([name, { calls, errors, tokens, cacheHitRatio, durationMs, cost }]) => [
      oneLine(name),
      shortNumber(calls),
      errors ? shortNumber(errors) : "",
      shortNumber(tokens.input + tokens.cacheWrite),
      shortNumber(tokens.output + tokens.reasoning),
      shortNumber(tokens.cacheRead),
      percent(cacheHitRatio),
      shortDuration(durationMs),
      ...(total.cost > 0 ? [money(cost)] : [""]),
    ]);
    lines.push("", ...tableLines(header, cells, columns, [undefined, undefined, colors.red], colors.dim));
  };
  amounts(
    "MODEL",
    models.slice(0, mostRows).map(({ model, ...amount }) => [model, amount]),
  );
  if (days.length > 1)
    amounts(
      "DAY",
      days.slice(-mostRows).map(({ day, ...amount }) => [day, amount]),
    );
  if (tools.length > 0) {
    const header: Column[] = [
      { title: "TOOL", fewest: 12 },
      ...["CALLS", "ERRORS", "INTERRUPTED", "TIME", "MEAN", "SLOWEST"].map((name) => ({
        title: name,
        align: "right" as const,
      })),
    ];
    const cells = tools
      .slice(0, mostRows)
      .map(({ tool, calls, errors, interrupted, durationMs, isLeast, slowestMs, meanMs }) => [
        oneLine(tool),
        shortNumber(calls),
        errors ? shortNumber(errors) : "",
        interrupted ? shortNumber(interrupted) : "",
        timeInColumn(durationMs, isLeast),
        meanMs === null ? "-" : shortDuration(meanMs),
        slowestMs === null ? "-" : shortDuration(slowestMs),
      ]);
    lines.push(
      "",
      ...tableLines(header, cells, columns, [undefined, undefined, colors.red, colors.yellow], colors.dim),
    );
  }
  if (context && context.length > 1) lines.push("", ...contextLines(context, terminal));
  const waste = wasteLines(loops, retries);
  if (waste.length > 0) lines.push("", colors.bold("Loops and retries"), ...waste.map((line) => `  ${line}`));
  if (elidedSpans > 0)
    lines.push(
      "",
      colors.dim(
        `${plural(elidedSpans, "span")} were left out by a limit: they count in the first line, and in no table`,
      ),
    );
  return lines;
}

const percent = (ratio: number | null): string => (ratio === null ? "-" : `${Math.round(ratio * 100)}%`);

function wasteLines(loops: UsageReport["loops"], retries: UsageReport["retries"]): string[] {
  const lines = loops
    .slice(0, mostRows)
    .map(({ session, tool, count }) => `${oneLine(session)}: ${oneLine(tool)} ${count} times with one input`);
  const wasted = retries.reduce((sum, { wastedMillis }) => sum + wastedMillis, 0);
  const tokens = retries.reduce((sum, { wastedTokens }) => sum + wastedTokens, 0);
  const cost = retries.reduce((sum, { wastedCost }) => sum + wastedCost, 0);
  for (const { session, name, attempts, failed, isSolved } of retries.slice(0, mostRows))
    lines.push(
      `${oneLine(session)}: ${oneLine(name)} failed ${failed} of ${attempts} times, ${isSolved ? "then succeeded" : "and never succeeded"}`,
    );
  const spent = [shortDuration(wasted), ...(tokens > 0 ? [plural(tokens, "token")] : []), ...knownCost(cost)];
  if (retries.length > 0) lines.push(`spent on failed attempts: ${spent.join(", ")}`);
  return lines;
}

const bars = "▁▂▃▄▅▆▇█";

/** The size of the context at each model call, as a chart of one line, with a mark below each compaction. */
function contextLines(context: readonly ContextPoint[], { colors, columns }: Terminal): string[] {
  const width = Math.min(context.length, columns - 4);
  const most = context.reduce((max, { contextTokens }) => Math.max(max, contextTokens), 1);
  const cells = Array.from({ length: width }, (_, at) => {
    const from = Math.floor((at * context.length) / width);
    const to = Math.max(from + 1, Math.floor(((at + 1) * context.length) / width));
    const part = context.slice(from, to);
    const size = part.reduce((max, { contextTokens }) => Math.max(max, contextTokens), 0);
    return { size, isCompacted: part.some(({ isCompacted }) => isCompacted) };
  });
  const compactions = context.filter(({ isCompacted }) => isCompacted).length;
  const marks = cells
    .map(({ isCompacted }) => (isCompacted ? "^" : " "))
    .join("")
    .trimEnd();
  return [
    `${colors.bold("Context")} ${colors.dim(`of each model call: at most ${shortNumber(most)} tokens, now ${shortNumber(context.at(-1)?.contextTokens ?? 0)}, ${plural(compactions, "compaction")}`)}`,
    `  ${colors.cyan(cells.map(({ size }) => bars[Math.min(7, Math.floor((size / most) * 7.99))]).join(""))}`,
    ...(marks ? [`  ${colors.yellow(marks)}`] : []),
  ];
}
