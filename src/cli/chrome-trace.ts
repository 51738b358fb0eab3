/**
 * Sessions in Chrome's trace event format, which Perfetto, speedscope and chrome://tracing read. Complete events (`X`) of
 * one track must nest perfectly; spans that overlap without nesting, such as parallel tools, get tracks of their own.
 * https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
 */

import { valueLine } from "../text/display-text.js";
import { type Analysis, gistOf, type Node, nameOf } from "./analysis.js";
import type { ReadSession } from "./session-reference.js";
import { spanWords } from "./signs.js";

/** Characters of an input or an output in the arguments of an event. */
const longestContent = 2_000;

interface Track {
  /** Ends of the events that are open at the present start, outermost first. */
  readonly open: number[];
}

/** Events of one session. `process`: its number in the file, from 1. */
export function* chromeEvents(
  { id, whole }: Pick<ReadSession, "id" | "whole">,
  { nodes, roots, to }: Analysis,
  process: number,
): Generator<object, void> {
  const all = [...new Set([...roots, ...nodes])];
  const placed = all
    .map((node) => ({ node, start: micros(node.span.startTime), end: micros(node.span.endTime ?? to) }))
    .map((one) => ({ ...one, end: Math.max(one.start, one.end) }))
    // A longer span first where two start together, and a parent before its child where they are equal.
    .sort((a, b) => a.start - b.start || b.end - a.end || a.node.depth - b.node.depth);
  const tracks: Track[] = [];
  const trackOf = new Map<Node, number>();
  yield metadata("process_name", process, 0, id);
  for (const { node, start, end } of placed) {
    const preferred = node.parent && trackOf.get(node.parent);
    const track = fittingTrack(tracks, preferred, start, end);
    trackOf.set(node, track);
    yield eventOf({ ...node, span: whole(node.span) }, process, track, start, end);
  }
  for (let track = 0; track < tracks.length; track++)
    yield metadata("thread_name", process, track, track === 0 ? "session" : `in parallel ${track}`);
}

const micros = (millis: number): number => Math.round((Number.isFinite(millis) ? millis : 0) * 1_000);

/** The first track, from that of the parent on, in which the event nests in all that are open, or a new one. */
function fittingTrack(tracks: Track[], preferred: number | undefined, start: number, end: number): number {
  const order = [...(preferred === undefined ? [] : [preferred]), ...tracks.keys()];
  for (const index of order) {
    const { open } = tracks[index] as Track;
    // An event that ends where this one starts is over.
    while (open.length > 0 && (open.at(-1) as number) <= start) open.pop();
    if (open.length > 0 && (open.at(-1) as number) < end) continue;
    open.push(end);
    return index;
  }
  tracks.push({ open: [end] });
  return tracks.length - 1;
}

const metadata = (name: string, pid: number, tid: number, value: string): object => ({
  name,
  ph: "M",
  ts: 0,
  pid,
  tid,
  args: { name: value },
});

function eventOf({ span, state, turn }: Node, pid: number, tid: number, ts: number, end: number): object {
  const { tokens, cost, finishReason, statusMessage } = span;
  return {
    name: span.kind === "user-message" ? "user" : nameOf(span),
    cat: span.kind,
    ph: "X",
    ts,
    dur: end - ts,
    pid,
    tid,
    args: {
      state: spanWords[state],
      ...(turn > 0 && { turn }),
      ...(tokens && { tokens: tokens.total }),
      ...(cost !== undefined && { cost }),
      ...(finishReason !== undefined && { finishReason }),
      ...(statusMessage !== undefined && { message: content(statusMessage) }),
      ...(span.input !== undefined && { input: content(gistOf(span.input)) }),
      ...(span.output !== undefined && { output: content(span.output) }),
      spanId: span.spanId,
    },
  };
}

const content = (value: unknown): string => valueLine(value).slice(0, longestContent).toWellFormed();
