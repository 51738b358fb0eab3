/** A session as a Markdown document: a conversation with its tool calls. Texts of the trace stay text. */

import { isEndUnseen } from "../format/session-end.js";
import {
  dateTime,
  groupedNumber,
  knownCost,
  oneLine,
  plural,
  safeText,
  shortDuration,
  timeInWords,
  valueLine,
} from "../text/display-text.js";
import { type Analysis, durationOf, gistOf, type Node, nameOf, turnsOf, valueText } from "./analysis.js";
import { escaped, fenced, inlineCode } from "./markdown-text.js";
import { evidenceOf } from "./session-header.js";
import type { ReadSession } from "./session-reference.js";
import { spanWords } from "./signs.js";

/** Characters of an input or an output. */
const longestContent = 20_000;

export function* sessionMarkdown(session: ReadSession, analysis: Analysis): Generator<string> {
  const { metadata, summary } = analysis.trace;
  const { id, state } = session;
  const evidence = evidenceOf(session);
  const turns = turnsOf(analysis);
  yield `# ${escaped(oneLine(metadata.title || id))}\n`;
  const facts = [
    `Session ${inlineCode(id)}, **${state}**${evidence ? `: ${escaped(oneLine(evidence))}` : ""}`,
    [
      metadata.agent && `agent ${oneLine(metadata.agent)}`,
      metadata.model && `model ${oneLine(metadata.model)}`,
    ]
      .filter((part) => part)
      .map((part) => escaped(String(part)))
      .join(", "),
    `${dateTime(analysis.from)}, ${shortDuration(analysis.to - analysis.from)}, ${[...(turns > 0 ? [plural(turns, "turn")] : []), plural(summary.totalToolCalls ?? 0, "tool call"), plural(summary.totalTokens ?? 0, "token"), ...knownCost(summary.totalCost)].join(", ")}`,
  ].filter((fact) => fact !== "");
  yield `${facts.map((fact) => `- ${fact}`).join("\n")}\n`;
  if (analysis.elided > 0)
    yield `*${plural(analysis.elided, "span")} in the middle were left out by a limit.*\n`;
  const hasMessages = analysis.nodes.some(({ span }) => span.kind === "user-message");
  let turn = 0;
  for (const node of analysis.nodes) {
    if (node.turn !== turn) {
      turn = node.turn;
      yield `## Turn ${turn}\n`;
      // The spans of other clients have the message within the input of an agent or a model.
      const { message } = analysis.turns[turn - 1] ?? {};
      if (!hasMessages && message !== undefined) yield `${["### User", "", ...block(message)].join("\n")}\n`;
    }
    yield `${entry({ ...node, span: session.whole(node.span) }, analysis).join("\n")}\n`;
  }
}

function entry(node: Node, { to }: Analysis): string[] {
  const { span, state } = node;
  // The word is there already.
  const reason = oneLine(span.statusMessage ?? "").replace(/^Interrupted: /, "");
  const note = state === "ok" ? "" : ` — **${spanWords[state]}**${reason ? `: ${escaped(reason)}` : ""}`;
  const took = timeInWords(durationOf(span, to), isEndUnseen(span));
  if (span.kind === "user-message") return ["### User", "", ...block(span.input)];
  if (span.kind === "generation") {
    const tokens = span.tokens ? `, ${groupedNumber(span.tokens.total)} tokens` : "";
    return [
      `### ${escaped(oneLine(nameOf(span)))}`,
      "",
      `*${took}${tokens}*${note}`,
      "",
      ...block(span.output),
    ];
  }
  if (span.kind !== "tool") return [`- ${span.kind} ${inlineCode(oneLine(span.name))}, ${took}${note}`];
  const gist = valueLine(gistOf(span.input));
  return [
    `#### Tool ${inlineCode(oneLine(span.name))}${gist ? ` ${inlineCode(gist.slice(0, 120))}` : ""}`,
    "",
    `*${took}*${note}`,
    "",
    ...(typeof span.input === "object" && gist.length > 120 ? [...block(span.input), ""] : []),
    ...block(span.output),
  ];
}

function block(value: unknown): string[] {
  if (value === undefined || value === null || value === "") return [];
  const text = safeText(valueText(value));
  const left = text.length - longestContent;
  return fenced(
    left > 0 ? `${text.slice(0, longestContent)}\n… ${groupedNumber(left)} characters left out` : text,
  );
}
