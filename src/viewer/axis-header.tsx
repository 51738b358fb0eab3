/** The time axis above the rows: offsets, folded gaps, turns; zoomed by the wheel, moved by dragging. */
import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { shortDuration } from "../text/display-text.js";
import { panned, placeOf, type TimeAxis, ticksOf, wholeAxis, type Zoom, zoomed } from "./time-axis.js";
import { useViewer } from "./viewer-state.js";

/** The width of the column of names, as `page.css` has it. */
const trackOf = (element: HTMLElement): DOMRect | undefined =>
  element.closest(".timeline")?.querySelector(".axis .track")?.getBoundingClientRect();

export function wheel(event: WheelEvent, zoom: Zoom, setZoom: (zoom: Zoom) => void): void {
  if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
  const track = trackOf(event.currentTarget as HTMLElement);
  if (!track) return;
  event.preventDefault();
  const part = (event.clientX - track.left) / Math.max(1, track.width);
  if (event.shiftKey) setZoom(panned(zoom, (event.deltaX || event.deltaY) / 1_000));
  else setZoom(zoomed(zoom, Math.exp(event.deltaY / 300), zoom.from + part * (zoom.to - zoom.from)));
}

const labelPixels = 42;

interface AxisProps {
  readonly axis: TimeAxis;
  readonly zoom: Zoom;
  setZoom(zoom: Zoom): void;
}

/** Offsets, folded gaps, and the turns as bands. Dragging moves what is shown. */
export function AxisHeader({ axis, zoom, setZoom }: AxisProps): JSX.Element {
  const { session } = useViewer();
  const drag = useRef<{ readonly x: number; readonly zoom: Zoom }>();
  const track = useRef<HTMLDivElement>(null);
  const [pixels, setPixels] = useState(600);
  useLayoutEffect(() => {
    const element = track.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setPixels(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const width = zoom.to - zoom.from;
  const place = (time: number) => (placeOf(axis, time) - zoom.from) / width;
  const { turns } = session.head;
  const bands = turns
    .map((turn, at) => ({
      ...turn,
      from: place(turn.startedAt),
      to: place(turns[at + 1]?.startedAt ?? axis.to),
    }))
    .filter(({ from, to }) => to > 0 && from < 1 && to - from > 0.002);
  const gaps = axis.folded
    .map(({ from, to }) => ({ at: place((from + to) / 2), millis: to - from }))
    .filter(({ at }) => at > 0 && at < 1);
  // A label that a gap or the edge would cut is left out.
  const label = labelPixels / Math.max(1, pixels);
  const ticks = ticksOf(axis, zoom, Math.max(1, Math.floor(pixels / 95))).filter(
    ({ place: at }) => at + label < 1 && !gaps.some((gap) => gap.at > at - label / 5 && gap.at < at + label),
  );
  return (
    <div class="axis" aria-hidden="true">
      <div class="names">name</div>
      <div class="duration">time</div>
      <div
        ref={track}
        class="track"
        onPointerDown={(event) => {
          drag.current = { x: event.clientX, zoom };
          event.currentTarget.setPointerCapture(event.pointerId);
        }}
        onPointerMove={(event) => {
          const begun = drag.current;
          if (begun)
            setZoom(
              panned(begun.zoom, (begun.x - event.clientX) / Math.max(1, event.currentTarget.clientWidth)),
            );
        }}
        onPointerUp={() => {
          drag.current = undefined;
        }}
        onDblClick={() => setZoom(wholeAxis)}
        onWheel={(event) => wheel(event, zoom, setZoom)}
      >
        {bands.map(({ index, from, to }) => (
          <span
            class={`turn ${index % 2 ? "odd" : "even"}`}
            style={{ left: percent(Math.max(0, from)), width: percent(Math.min(1, to) - Math.max(0, from)) }}
          >
            {(to - from) * pixels > 50 ? `turn ${index}` : (to - from) * pixels > 18 ? index : ""}
          </span>
        ))}
        {ticks.map(({ place: at, offset }) => (
          <span class="tick" style={{ left: percent(at) }}>
            {offset === 0 ? "0" : shortDuration(offset).replace(/\.0s$/, "s")}
          </span>
        ))}
        {gaps.map(({ at, millis }) => (
          <span class="gap" style={{ left: percent(at) }} title={`idle for ${shortDuration(millis)}`} />
        ))}
      </div>
    </div>
  );
}

/** A part of the axis as a length of CSS. */
export const percent = (part: number): string => `${(part * 100).toFixed(3)}%`;
