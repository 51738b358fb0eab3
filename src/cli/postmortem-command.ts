/** `postmortem`: what a session was doing when it died, as text, Markdown or JSON. */
import { redactSecrets } from "../exporter/redact-secrets.js";
import {
  cut,
  dateTime,
  groupedNumber,
  knownCost,
  oneLine,
  plural,
  safeText,
  shortDuration,
  shortNumber,
  timeInWords,
  valueLine,
  wrap,
} from "../text/display-text.js";
import { analyse, gistOf, valueText } from "./analysis.js";
import { defineCommand, type Options } from "./command.js";
import { detectorWords } from "./detector-words.js";
import { escaped, fenced, inlineCode } from "./markdown-text.js";
import { type Postmortem, postmortemOf, type Step } from "./postmortem.js";
import { isFoundDead, nowOf } from "./session-header.js";
import { readSession, resolveSession } from "./session-reference.js";
import { stateSigns, stateStyle } from "./signs.js";
import type { Terminal } from "./terminal.js";

const options = {
  md: { help: "Markdown, without secrets of known shapes" },
  "no-redact": { help: "with --md: everything as it was recorded" },
} as const satisfies Options;

export const postmortemCommand = defineCommand({
  usage: "[session]",
  about:
    "Reports what a session, by default the latest, was doing when it died: the evidence, open and last steps, costs, and what is undone. Reads only; a session need not be recovered before.",
  examples: [
    ["postmortem", "of the latest session"],
    ["postmortem ses_1 --md", "to paste into an issue, or to give to the agent that resumes"],
    ["postmortem ses_1 --json", "for programs"],
  ],
  options,
  async run({ terminal, dir, json, args, values }) {
    const session = await readSession(await resolveSession(args[0] ?? "latest", dir, terminal.cwd), {
      terminal,
    });
    const report = postmortemOf(session, analyse(session.trace, nowOf(session, terminal)));
    if (json) terminal.printJson("postmortem/1", report);
    else if (values.md) {
      // To be pasted where other people read it.
      const shown = values["no-redact"] ? report : (redactSecrets()(report, "postmortem") as Postmortem);
      if (shown !== report) terminal.note("secrets were taken out; --no-redact leaves them in");
      terminal.print(markdown(shown));
    } else terminal.print(...textLines(report, session.state, terminal));
    return 0;
  },
});

/** A part of the report: lines of plain text, or a text in full. */
interface Section {
  readonly title: string;
  readonly lines: readonly string[];
  /** Shown as a block of its own, such as an input or an output. */
  readonly quote?: string | undefined;
  /** What the block is, where the lines above do not show it. */
  readonly caption?: string | false | undefined;
}

const longestQuote = 1_200;

const tokenCount = (count: number): string => `${shortNumber(count)} ${count === 1 ? "token" : "tokens"}`;

/** The verdict in one sentence. */
function verdict(report: Postmortem): string {
  const { status, evidence, lastSeenAt, turn, open, startedAt, lastError, isLastFailed } = report;
  const when = lastSeenAt === null ? "an unknown time" : dateTime(Date.parse(lastSeenAt));
  const after = shortDuration(Date.parse(lastSeenAt ?? "") - Date.parse(startedAt ?? ""));
  const where = turn > 0 && isAgent(report) ? `, in turn ${turn}` : "";
  const why = evidence ? `: ${oneLine(evidence)}` : "";
  if (status === "crashed") {
    const doing = open[0] ? `, while ${doingOf(open[0])}` : "";
    const seen = diedUnseen(report) ? "Last seen alive" : "Died";
    return `${seen} at ${when}, ${after} after its start${where}${doing}${why}.`;
  }
  if (status === "error") return `Ended with an error at ${when}, ${after} after its start${where}${why}.`;
  if (status === "running") return `Under way for ${after}${where}${why}.`;
  if (status === "idle") return `Waits for its next message, last active at ${when}${why}.`;
  const failed = isLastFailed && lastError ? `, when ${oneLine(lastError.name)} failed` : "";
  const cut = open.length > 0 ? `, with ${plural(open.length, "span")} interrupted` : "";
  return `Ended at ${when}, ${after} after its start${failed}${cut}${why}.`;
}

/** The title over the spans that have no end of their own. */
function openTitle({ status }: Postmortem): string {
  if (status === "running") return "Running now";
  return status === "crashed" || status === "error" ? "Running when it died" : "Interrupted";
}

/** Nothing recorded the death: it was later than the last record. */
const diedUnseen = ({ status, detector, isReconstructed }: Postmortem): boolean =>
  status === "crashed" && isFoundDead({ reconstructed: isReconstructed, ...(detector && { detector }) });

/** Whether models, tools or users took part: plain spans have no turns and no tokens. */
const isAgent = ({ totals, asked }: Postmortem): boolean =>
  asked !== undefined || Math.max(totals.tokens, totals.modelCalls, totals.toolCalls) > 0;

const doingOf = ({ kind, name }: Step): string => {
  if (kind === "generation") return `${oneLine(name)} was answering`;
  return kind === "tool" ? `the tool ${oneLine(name)} was running` : `${oneLine(name)} was running`;
};

function sections(report: Postmortem): Section[] {
  const {
    open,
    asked,
    lastCompleted,
    lastError,
    lastModelCall,
    totals,
    models,
    loops,
    retries,
    undone,
    damage,
  } = report;
  const deepest = open[0];
  const all: (Section | undefined | false)[] = [
    open.length > 0 && {
      title: openTitle(report),
      lines: open.map((step) => `${stepLine(step)}, for ${openTime(step, report)}`),
      quote: deepest && inputOf(deepest),
      caption: deepest && open.length > 1 && `Input of ${oneLine(deepest.name)}:`,
    },
    undone.length > 0 && { title: "Undone", lines: undone.map(oneLine) },
    asked !== undefined && { title: "Last message of the user", lines: [], quote: contentOf("", asked) },
    lastModelCall && {
      title: "Last model call",
      lines: [
        [
          oneLine(lastModelCall.name),
          open.some(({ spanId }) => spanId === lastModelCall.spanId)
            ? openTime(lastModelCall, report)
            : shortDuration(lastModelCall.durationMs),
          lastModelCall.finishReason && `finish reason ${oneLine(lastModelCall.finishReason)}`,
          lastModelCall.contextTokens > 0 && `context ${tokenCount(lastModelCall.contextTokens)}`,
          lastModelCall.tokens && `${tokenCount(lastModelCall.tokens.output ?? 0)} written`,
          ...knownCost(lastModelCall.cost),
        ]
          .filter(Boolean)
          .join(" · "),
      ],
      quote: contentOf("output", lastModelCall.output),
    },
    lastCompleted && {
      title: "Last completed step",
      lines: [`${stepLine(lastCompleted)}, ${shortDuration(lastCompleted.durationMs)}`],
      quote:
        lastCompleted.spanId === lastModelCall?.spanId
          ? undefined
          : contentOf("output", lastCompleted.output),
    },
    lastError && {
      title: "Last error",
      lines: [stepLine(lastError)],
      quote: contentOf("message", lastError.message),
    },
    isAgent(report) && {
      title: "Cost",
      lines: [
        [
          plural(totals.tokens, "token"),
          ...knownCost(totals.cost),
          plural(totals.modelCalls, "model call"),
          plural(totals.toolCalls, "tool call"),
        ].join(" · "),
        ...(models.length > 1
          ? models.map(
              ({ model, calls, tokens, cost }) =>
                `${oneLine(model)}: ${[plural(calls, "call"), plural(tokens, "token"), ...knownCost(cost)].join(", ")}`,
            )
          : []),
      ],
    },
    loops.length + retries.length > 0 && {
      title: "Loops and retries",
      lines: [
        ...loops.map(({ tool, count }) => `${oneLine(String(tool))}: ${count} calls with one input`),
        ...retries.map(({ name, attempts, failed, wastedMillis, wastedTokens, isSolved }) => {
          const tokens = wastedTokens > 0 ? ` and ${plural(wastedTokens, "token")}` : "";
          return `${oneLine(name)}: ${failed} of ${attempts} attempts failed, ${isSolved ? "the last one succeeded" : "none succeeded"}; ${shortDuration(wastedMillis)}${tokens} spent on failures`;
        }),
      ],
    },
    damage.corruptLines > 0 && {
      title: "Damage",
      lines: [`${plural(damage.corruptLines, "line")} could not be read: spans may be missing here`],
    },
  ];
  return all.filter((section): section is Section => typeof section === "object");
}

/** How long a step was open. If the time of death is not known, the step counts until the last sign of life of its process. */
const openTime = ({ durationMs, isLeast }: Step, report: Postmortem): string =>
  timeInWords(durationMs, isLeast ?? diedUnseen(report));

/** The input of a step; absent where its line shows all of it. */
function inputOf({ kind, input }: Step): string | undefined {
  const gist = gistOf(input);
  const isShown = typeof gist === "string" && gist.length <= gistColumns && !gist.includes("\n");
  const members = typeof input === "object" && input !== null ? Object.keys(input).length : 1;
  return kind === "tool" && isShown && members === 1 ? undefined : contentOf("input", input);
}

/** Columns of the part of an input that stands in the line of its step. */
const gistColumns = 60;

function stepLine({ kind, name, within, input }: Step): string {
  const gist = kind === "tool" ? valueLine(gistOf(input)) : "";
  const path = within.length > 0 ? ` in ${within.map(oneLine).join(" › ")}` : "";
  const shown = kind === "generation" ? oneLine(name) : `${kind} ${oneLine(name)}`;
  return `${shown}${gist ? ` (${cut(gist, gistColumns)})` : ""}${path}`;
}

/** The text of a value; its end is the part that says most about a result that is too long. */
function contentOf(what: string, value: unknown): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  const text = safeText(valueText(value));
  if (text.length <= longestQuote) return text;
  const half = longestQuote / 2;
  const left = groupedNumber(text.length - longestQuote);
  return `${text.slice(0, half)}\n… ${left} characters left out${what ? ` of the ${what}` : ""} …\n${text.slice(-half)}`.toWellFormed();
}

function facts(report: Postmortem): string[] {
  const { title, agent, model, isReconstructed, detector, writer } = report;
  // Of a process that died unseen, the verdict above the facts says what detected the death.
  const isSaid = diedUnseen(report);
  return [
    title && `Title: ${oneLine(title)}`,
    [agent && `agent ${oneLine(agent)}`, model && `model ${oneLine(model)}`].filter(Boolean).join(", "),
    !isSaid && detector && `Detected: ${detectorWords(detector)}`,
    !isSaid &&
      isReconstructed &&
      writer.state === "none" &&
      "Evidence: a recovery wrote the end of the document, not the program",
  ].filter((fact): fact is string => typeof fact === "string" && fact !== "");
}

function textLines(
  report: Postmortem,
  state: Parameters<typeof stateStyle>[0],
  terminal: Terminal,
): string[] {
  const { colors, columns } = terminal;
  const lines = [
    `${colors.bold(oneLine(report.id))}  ${stateStyle(state, terminal)(`${stateSigns[state]} ${state}`)}`,
    ...wrap(verdict(report), columns),
    ...[...facts(report), `File: ${report.path}`].map((fact) => colors.dim(cut(fact, columns))),
  ];
  for (const { title, lines: own, quote, caption } of sections(report)) {
    lines.push("", colors.bold(title));
    for (const line of own) lines.push(...hanging(line, columns));
    if (quote === undefined) continue;
    if (caption) lines.push(...hanging(caption, columns));
    lines.push(...wrap(quote, columns - 4).map((line) => `  ${colors.dim("│")} ${line}`));
  }
  return lines;
}

/** A line of a list, its continuation under its first word. */
const hanging = (line: string, columns: number): string[] =>
  wrap(line, columns - 4).map((part, at) => (at === 0 ? `  ${part}` : `    ${part}`));

function markdown(report: Postmortem): string {
  const parts = [
    `# Post-mortem of session ${inlineCode(report.id)}`,
    "",
    `**${report.status}.** ${escaped(verdict(report))}`,
    "",
    ...facts(report).map((fact) => `- ${escaped(fact)}`),
    `- File: ${inlineCode(report.path)}`,
  ];
  for (const { title, lines, quote, caption } of sections(report)) {
    parts.push("", `## ${title}`, "");
    const isList = lines.length > 1 || title === "Undone";
    parts.push(...lines.map((line) => (isList ? `- ${escaped(line)}` : escaped(line))));
    if (quote !== undefined) {
      if (lines.length > 0) parts.push("");
      if (caption) parts.push(escaped(caption), "");
      parts.push(...fenced(quote));
    }
  }
  return parts.join("\n");
}
