/** The lines about a session as a whole that `show` and other commands begin with. */
import type { SessionSummary } from "../format/trace-file.js";
import {
  cut,
  dateTime,
  groupedNumber,
  knownCost,
  oneLine,
  plural,
  shortDuration,
  wrap,
} from "../text/display-text.js";
import { type Analysis, turnsOf } from "./analysis.js";
import { crashReason, detectorWords } from "./detector-words.js";
import { parentOf, type SessionState } from "./session-catalog.js";
import type { ReadSession } from "./session-reference.js";
import { stateSigns, stateStyle } from "./signs.js";
import type { Terminal } from "./terminal.js";

const leaseExpired = "lease expired";

/** Whether the writer was found dead later: nothing recorded its death, and its last record is the last sign of life. */
export const isFoundDead = ({
  detector,
  reconstructed,
}: {
  readonly detector?: string;
  readonly reconstructed?: boolean;
}): boolean => reconstructed === true && (detector === "process gone" || detector === leaseExpired);

/** Why the state is what it is, as far as the files show. */
export function evidenceOf({ state, writer, owners, trace }: ReadSession): string {
  const { error, detector, reconstructed }: Partial<SessionSummary> = trace.summary;
  const dead = owners.filter(({ isAlive, isRecovery }) => !isAlive && !isRecovery);
  const alive = owners.filter(({ isAlive, isLocal }) => isAlive && isLocal).map(({ pid }) => pid);
  const isRemote = owners.some(({ isAlive, isLocal }) => isAlive && !isLocal);
  const gone = dead.every(({ isLocal }) => isLocal)
    ? `process ${dead.map(({ pid }) => pid).join(", ")} is gone`
    : "the lease of its writer has expired";
  // What a reader or a recovery found states itself: its error and its detector add nothing.
  const isFound = state === "crashed" && isFoundDead(trace.summary);
  const parts = [
    (state === "error" || state === "damaged") && error,
    state === "crashed" && !isFound && crashReason(error, detector),
    isFound && writer !== "gone" && `${detectorWords(detector ?? "")}; a recovery completed the document`,
    !isFound && reconstructed && writer === "none" && "reconstructed by a recovery",
    alive.length > 0 && `process ${alive.join(", ")} is writing`,
    isRemote && "a writer of another host or container has touched its files within a minute",
    writer === "gone" && dead.length > 0 && `${gone}; its files are not recovered yet`,
    owners.some(({ isRecovery }) => isRecovery) && "a recovery is under way",
    state === "running" && writer === "none" && "no writer is known: nothing shows that it still runs",
  ];
  return parts
    .filter((part) => typeof part === "string" && part !== "")
    .map((part) => String(part).replace(/\.$/, ""))
    .join("; ");
}

/** The time now, for spans that a living process has open; `undefined` where the last record is all that is known. */
export const nowOf = ({ state, writer }: ReadSession, terminal: Terminal): number | undefined =>
  state === "running" && writer === "alive" ? terminal.now() : undefined;

export function sessionHeader(session: ReadSession, analysis: Analysis, terminal: Terminal): string[] {
  const { colors, columns } = terminal;
  const { state, damage, id } = session;
  const torn = state === "damaged" ? "a line that is cut" : "a span that was being written";
  const { metadata, summary } = analysis.trace;
  const evidence = evidenceOf(session);
  const { agent, model, title, prompt } = metadata;
  const failed = analysis.nodes.filter((node) => node.state === "failed").length;
  const interrupted = analysis.nodes.filter((node) => node.state === "cut").length;
  // Requests of a server have no turns, models and tools.
  const { totalGenerations = 0, totalToolCalls = 0, totalTokens = 0 } = summary;
  const turns = turnsOf(analysis);
  const isAgent = Math.max(turns, totalGenerations, totalToolCalls, totalTokens) > 0;
  const numbers = [
    dateTime(analysis.from),
    shortDuration(analysis.to - analysis.from),
    turns > 0 && plural(turns, "turn"),
    isAgent && plural(summary.totalGenerations ?? 0, "model call"),
    isAgent && plural(summary.totalToolCalls ?? 0, "tool call"),
    !isAgent && plural(analysis.nodes.length, "span"),
    isAgent && plural(summary.totalTokens ?? 0, "token"),
    ...knownCost(summary.totalCost),
    failed > 0 && plural(failed, "error"),
    interrupted > 0 && `${interrupted} interrupted`,
    analysis.elided > 0 && `${groupedNumber(analysis.elided)} spans elided`,
  ].filter((part) => part !== false);
  const parent = parentOf(analysis.trace.spans);
  const about = [
    title || prompt,
    agent && `agent ${agent}`,
    model,
    parent && `started by ${parent.id}${parent.spanId ? `, span ${parent.spanId}` : ""}`,
  ]
    .filter(Boolean)
    .map((part) => oneLine(String(part)));
  const lines = [
    ...wrap(
      `${oneLine(id)}  ${stateSigns[state]} ${state}${evidence ? ` · ${oneLine(evidence)}` : ""}`,
      columns,
    ).map((line, at) => (at > 0 ? line : headStyle(line, oneLine(id), state, terminal))),
    ...(about.length > 0 ? [cut(about.join(" · "), columns)] : []),
    ...wrapped(numbers, columns).map((line) => colors.dim(line)),
  ];
  if (damage.corruptLines > 0)
    lines.push(
      colors.yellow(`? ${plural(damage.corruptLines, "line")} could not be read; verify shows where`),
    );
  if (damage.tornBytes > 0 && session.writer !== "alive")
    lines.push(colors.dim(`${plural(damage.tornBytes, "byte")} of ${torn} are left out`));
  return lines;
}

/** Id and state of a first line in their colours. A long id may fill the line. */
function headStyle(line: string, id: string, state: SessionState, terminal: Terminal): string {
  const { colors } = terminal;
  const start = `${id}  ${stateSigns[state]} ${state}`;
  if (!line.startsWith(start)) return colors.bold(line);
  const shown = stateStyle(state, terminal)(`${stateSigns[state]} ${state}`);
  return `${colors.bold(id)}  ${shown}${line.slice(start.length)}`;
}

/** Parts joined by dots, in lines that fit. */
function wrapped(parts: readonly string[], columns: number): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + part.length + 3 <= columns)
      lines[lines.length - 1] = `${last} · ${part}`;
    else lines.push(part);
  }
  return lines;
}
