/** The time axis of a session: where a moment is, with long times without any span folded. */
import type { ViewRow } from "../cli/session-view.js";

/** A time in which no span of the session ran. */
export interface Gap {
  /** Epoch milliseconds. */
  readonly from: number;
  readonly to: number;
}

/** A part of the axis; times are epoch milliseconds, `x` is from 0 to 1. */
interface Segment {
  readonly from: number;
  readonly to: number;
  readonly x: number;
  readonly width: number;
  readonly isGap: boolean;
}

export interface TimeAxis {
  readonly segments: readonly Segment[];
  /** Gaps that are folded. */
  readonly folded: readonly Gap[];
  readonly from: number;
  readonly to: number;
}

/** Shorter gaps are not folded, and not listed. */
const shortestGap = 2_000;
/** A gap is folded from this part of the time in which spans ran. */
const foldedPart = 0.04;
/** Width of a folded gap, and of all folded gaps at most, as parts of the axis. */
const gapWidth = 0.015;
const allGapsWidth = 0.2;

/** Times without a span, in their order. The session span does not count: it covers everything. */
export function gapsOf(rows: readonly ViewRow[], to: number): Gap[] {
  const gaps: Gap[] = [];
  let reached = Number.NaN;
  for (const row of rows) {
    if (row.kind === "session") continue;
    if (row.start - reached >= shortestGap) gaps.push({ from: reached, to: row.start });
    const end = row.end ?? to;
    if (!(end <= reached)) reached = end;
  }
  return gaps;
}

/** `rows` are in order of start. */
export function timeAxis(
  rows: readonly ViewRow[],
  from: number,
  until: number,
  isFolding: boolean,
): TimeAxis {
  const to = Math.max(until, from + 1);
  const gaps = gapsOf(rows, to);
  const idle = gaps.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const least = Math.max(shortestGap, (to - from - idle) * foldedPart);
  const folded = isFolding
    ? gaps.filter((gap) => gap.to - gap.from >= least && gap.from >= from && gap.to <= to)
    : [];
  const shown = to - from - folded.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const each = folded.length > 0 ? Math.min(gapWidth, allGapsWidth / folded.length) : 0;
  const scale = (1 - each * folded.length) / Math.max(shown, 1);
  const segments: Segment[] = [];
  let x = 0;
  let at = from;
  const add = (end: number, isGap: boolean) => {
    const width = isGap ? each : (end - at) * scale;
    segments.push({ from: at, to: end, x, width, isGap });
    x += width;
    at = end;
  };
  for (const gap of folded) {
    add(gap.from, false);
    add(gap.to, true);
  }
  add(to, false);
  return { segments, folded, from, to };
}

/** The place of a moment, from 0 to 1; outside of the axis, that of its nearer end. */
export function placeOf({ segments }: TimeAxis, time: number): number {
  let low = 0;
  let high = segments.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((segments[middle] as Segment).to < time) low = middle + 1;
    else high = middle;
  }
  const { from, to, x, width } = segments[low] as Segment;
  const part = to > from ? (time - from) / (to - from) : 0;
  return x + Math.min(1, Math.max(0, part)) * width;
}

/** The moment at a place. */
export function timeAt({ segments }: TimeAxis, place: number): number {
  const segment = segments.find(({ x, width }) => place <= x + width) ?? (segments.at(-1) as Segment);
  const part = segment.width > 0 ? (place - segment.x) / segment.width : 0;
  return segment.from + Math.min(1, Math.max(0, part)) * (segment.to - segment.from);
}

/** A part of the axis that is shown: from and to as places. */
export interface Zoom {
  readonly from: number;
  readonly to: number;
}

export const wholeAxis: Zoom = { from: 0, to: 1 };

const narrowest = 1e-6;

/** Zooms by a factor about a place of the axis; stays on it. */
export function zoomed({ from, to }: Zoom, factor: number, about: number): Zoom {
  const width = Math.min(1, Math.max(narrowest, (to - from) * factor));
  const part = (about - from) / (to - from);
  return panned({ from: about - part * width, to: about + (1 - part) * width }, 0);
}

/** Moves by a part of what is shown; stays on the axis. */
export function panned({ from, to }: Zoom, part: number): Zoom {
  const width = Math.min(1, to - from);
  const start = Math.min(1 - width, Math.max(0, from + part * width));
  return { from: start, to: start + width };
}

/** A mark on the axis. `place` is from 0 to 1 of what is shown. */
export interface Tick {
  readonly place: number;
  /** Milliseconds since the start. */
  readonly offset: number;
}

const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500].concat(
  [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 604_800].map(
    (seconds) => seconds * 1_000,
  ),
);

/** At most `most` marks at round offsets, none inside of a folded gap, and none that touches another. */
export function ticksOf(axis: TimeAxis, zoom: Zoom, most: number): Tick[] {
  const width = zoom.to - zoom.from;
  const [first, last] = [timeAt(axis, zoom.from), timeAt(axis, zoom.to)];
  const active = axis.segments
    .filter(({ isGap }) => !isGap)
    .reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to, last) - Math.max(from, first)), 0);
  const step = steps.find((size) => active / size <= most) ?? Math.max(1, active / Math.max(1, most));
  const ticks: Tick[] = [];
  for (const segment of axis.segments) {
    if (segment.isGap || segment.to < first || segment.from > last) continue;
    const [from, to] = [Math.max(segment.from, first), Math.min(segment.to, last)];
    let offset = Math.ceil((from - axis.from) / step) * step;
    for (; axis.from + offset <= to && ticks.length <= most * 2; offset += step) {
      const place = (placeOf(axis, axis.from + offset) - zoom.from) / width;
      if (ticks.length === 0 || place - (ticks.at(-1) as Tick).place > 0.6 / most)
        ticks.push({ place, offset });
    }
  }
  return ticks;
}
