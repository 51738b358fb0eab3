/** The starts and ends of spans in the order of time. */
import type { ViewRow } from "../cli/session-view.js";

export interface LogEntry {
  /** `moment`: a span that took no time, such as a message. One entry stands for its start and its end. */
  readonly type: "start" | "end" | "moment";
  /** Epoch milliseconds. */
  readonly at: number;
  readonly row: ViewRow;
}

export function logEntries(rows: readonly ViewRow[]): LogEntry[] {
  const entries: LogEntry[] = [];
  for (const row of rows) {
    const isMoment = row.kind === "user-message" || (row.end === row.start && row.state === "ok");
    entries.push({ type: isMoment ? "moment" : "start", at: row.start, row });
    if (!isMoment && row.end !== undefined) entries.push({ type: "end", at: row.end, row });
  }
  return entries.sort((a, b) => a.at - b.at || rankOf(a) - rankOf(b) || orderOf(a) - orderOf(b));
}

/** The order within one moment: ends, starts, ends of spans that took no time, ends that a death gave. */
function rankOf({ type, row }: LogEntry): number {
  if (type === "moment" && row.kind === "user-message") return 0;
  if (type !== "end") return 1;
  if (row.state === "cut") return 3;
  return row.end === row.start ? 2 : 0;
}

/** A death ends the inner spans first: they have the higher numbers. */
const orderOf = (entry: LogEntry): number => (rankOf(entry) === 3 ? -entry.row.n : entry.row.n);
