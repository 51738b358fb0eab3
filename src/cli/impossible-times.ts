/**
 * Times that cannot be. A program may give nanoseconds for milliseconds, or an end before a start: documents hold what it
 * gave, and a replay sends it, so the files are whole. A time that is no number was written by no writer of this package: it
 * cannot be read.
 */
import type { TraceFile, TraceSpan } from "../format/trace-file.js";
import { isTime } from "../platform/epoch-time.js";
import { shownValue } from "../platform/errors.js";
import { cut, oneLine, shortDuration } from "../text/display-text.js";

/** What is wrong with a time. */
export interface TimeFault {
  /** The time is no number, so it is lost; otherwise it is the number that the program gave. */
  readonly isUnreadable: boolean;
  readonly message: string;
}

/** Columns of a name or of a value in a message. */
const nameColumns = 40;

/** What is wrong with the times of a span; the name and the id of the span begin each message. */
export function timeFaultsOf(span: TraceSpan): TimeFault[] {
  const { startTime: start, tool } = span;
  // JSON has `null` for a member that is absent.
  const end = (span.endTime as unknown) === null ? undefined : span.endTime;
  const both: Times = [
    ["start", start],
    ["end", end],
  ];
  const times = end === undefined ? both.slice(0, 1) : both;
  const unreadable = times.filter(([, value]) => typeof value !== "number");
  const wrong = times.filter(([, value]) => typeof value === "number" && !isTime(value));
  const after = wrong.filter(([, value]) => Number(value) > 0);
  const before = wrong.filter(([, value]) => Number(value) < 0);
  const zero = times.filter(([, value]) => value === 0);
  const duration = (tool as { durationMs?: unknown } | null | undefined)?.durationMs;
  const isReversed = typeof start === "number" && typeof end === "number" && end < start;
  const given = [
    after.length > 0 && `${listed(after)} after the year 9999 in milliseconds`,
    before.length > 0 && `${listed(before)} before the year 0 in milliseconds`,
    zero.length > 0 &&
      `its ${zero.map(([name]) => name).join(" and ")} ${zero.length > 1 ? "are" : "is"} 0, as of a span whose time is not known`,
    isReversed && `it ends ${lengthOf(start - end)} before its start`,
    !isReversed && typeof duration === "number" && duration < 0 && `its duration is ${duration} ms`,
  ];
  return [
    ...unreadable.map(([name, value]) => fault(span, true, `its ${name} ${shown(value)} is no number`)),
    ...given.filter((text) => text !== false).map((text) => fault(span, false, text)),
  ];
}

/** What is wrong with the times that a document states of the session as a whole. */
export function documentTimeFaultsOf({ startedAt, endedAt, summary }: TraceFile): TimeFault[] {
  const { lastActivityAt, duration } = summary as { lastActivityAt?: unknown; duration?: unknown };
  const texts = Object.entries({ startedAt, endedAt, lastActivityAt });
  // A document of another program may lack the end.
  const faults = texts
    .filter(([, text]) => text !== undefined && text !== "" && !isTime(Date.parse(String(text))))
    .map(([name, text]) => ({
      isUnreadable: true,
      message: `the ${name} of the document, ${shown(text)}, is no time`,
    }));
  if (typeof duration === "number" && duration < 0)
    faults.push({ isUnreadable: false, message: `the duration in the summary is ${duration} ms` });
  return faults;
}

type Times = readonly (readonly [name: "start" | "end", value: unknown])[];

/** `its start 5 and its end 6 are`. */
const listed = (times: Times): string =>
  `${times.map(([name, value]) => `its ${name} ${value}`).join(" and ")} ${times.length > 1 ? "are" : "is"}`;

/** A length that no time has is shown as it is. */
const lengthOf = (millis: number): string =>
  millis < 1 || !isTime(millis) ? `${millis} ms` : shortDuration(millis);

const shown = (value: unknown): string => cut(oneLine(shownValue(value)), nameColumns);

function fault({ name, spanId }: TraceSpan, isUnreadable: boolean, text: string): TimeFault {
  const named = typeof name === "string" && name !== "" ? name : "a span";
  return { isUnreadable, message: `${cut(oneLine(named), nameColumns)} (${oneLine(spanId)}): ${text}` };
}
