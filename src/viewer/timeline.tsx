/** The waterfall: a tree of spans on a time axis. */
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks";
import type { ViewRow } from "../cli/session-view.js";
import { groupedNumber, plural } from "../text/display-text.js";
import { AxisHeader, percent, wheel } from "./axis-header.js";
import { criticalPath } from "./critical-path.js";
import { FilterBar } from "./filter-bar.js";
import { KindMark, kindWord, rowName, StateSign, stateWords } from "./row-signs.js";
import { rowTime } from "./row-time.js";
import { ancestorsOf, isFiltering, kindOf, type TreeRow, treeRows } from "./session-rows.js";
import { panned, placeOf, type TimeAxis, timeAxis, wholeAxis, type Zoom, zoomed } from "./time-axis.js";
import { useViewer } from "./viewer-state.js";
import { VirtualRows } from "./virtual-rows.js";

const rowHeight = 28;
/** Deeper rows are not indented further. */
const deepestIndent = 14;

export function Timeline(): JSX.Element {
  const { session, selected, filter, setOrder, select, related } = useViewer();
  const [closed, setClosed] = useState<ReadonlySet<number>>(new Set());
  const [zoom, setZoom] = useState<Zoom>(wholeAxis);
  const [isFolding, setFolding] = useState(true);
  const [showsPath, setShowsPath] = useState(false);
  const tree = useMemo(() => treeRows(session, closed, filter), [session, closed, filter]);
  const axis = useMemo(
    () => timeAxis(session.rows, session.head.from, session.head.to, isFolding),
    [session, isFolding],
  );
  const starters = useMemo(() => new Set(related.children.map(({ spanId }) => spanId)), [related]);
  const path = useMemo(() => (showsPath ? criticalPath(session) : undefined), [session, showsPath]);
  const active = useMemo(() => tree.findIndex(({ row }) => row.n === selected?.n), [tree, selected?.n]);
  useLayoutEffect(() => setOrder(tree.map(({ row }) => row)), [tree]);

  // A span that a link or another view selects is shown, even below a closed row.
  useEffect(() => {
    if (!selected) return;
    const hiding = ancestorsOf(session, selected).filter(({ n }) => closed.has(n));
    if (hiding.length > 0) setClosed(without(closed, hiding));
  }, [selected?.n]);

  const toggle = (row: ViewRow, isOpen: boolean) =>
    setClosed(isOpen ? without(closed, [row]) : new Set([...closed, row.n]));
  const parents = () => session.rows.filter(({ n }) => session.childrenOf.has(n));

  const onKeyDown = (event: KeyboardEvent) => {
    const at = tree[active];
    const zoomBy = (factor: number) => {
      const row = selected && placeOf(axis, selected.start);
      const about = row !== undefined && row >= zoom.from && row <= zoom.to ? row : (zoom.from + zoom.to) / 2;
      setZoom(zoomed(zoom, factor, about));
    };
    const keys: Readonly<Record<string, () => void>> = {
      l: () => right(at),
      ArrowRight: () => right(at),
      h: () => left(at),
      ArrowLeft: () => left(at),
      "+": () => zoomBy(0.5),
      "=": () => zoomBy(0.5),
      "-": () => zoomBy(2),
      "0": () => setZoom(wholeAxis),
      "[": () => setZoom(panned(zoom, -0.25)),
      "]": () => setZoom(panned(zoom, 0.25)),
      f: () => setFolding(!isFolding),
      c: () => setShowsPath(!showsPath),
      z: () => selected && setZoom(zoomTo(axis, selected)),
    };
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  };
  const right = (at: TreeRow | undefined) => {
    if (!at?.hasChildren) return;
    if (!at.isOpen) toggle(at.row, true);
    else select(session.childrenOf.get(at.row.n)?.[0]);
  };
  const left = (at: TreeRow | undefined) => {
    if (!at) return;
    if (at.hasChildren && at.isOpen) toggle(at.row, false);
    else if (at.row.parent !== undefined) select(session.byNumber.get(at.row.parent));
  };
  useLayoutEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (!isTyping(event)) onKeyDown(event);
    };
    document.addEventListener("keydown", listen);
    return () => document.removeEventListener("keydown", listen);
  });

  return (
    <section class="timeline" aria-label="Timeline">
      <div class="toolbar">
        <FilterBar />
        <div class="tools" role="group" aria-label="Axis">
          <button type="button" class="chip" aria-pressed={isFolding} onClick={() => setFolding(!isFolding)}>
            fold gaps
          </button>
          <button
            type="button"
            class="chip"
            aria-pressed={showsPath}
            onClick={() => setShowsPath(!showsPath)}
          >
            critical path
          </button>
          <button
            type="button"
            class="icon"
            aria-label="Zoom out"
            onClick={() => setZoom(zoomed(zoom, 2, (zoom.from + zoom.to) / 2))}
          >
            −
          </button>
          <button
            type="button"
            class="icon"
            aria-label="Show all of the time"
            onClick={() => setZoom(wholeAxis)}
          >
            ⤢
          </button>
          <button
            type="button"
            class="icon"
            aria-label="Zoom in"
            onClick={() => setZoom(zoomed(zoom, 0.5, (zoom.from + zoom.to) / 2))}
          >
            +
          </button>
          <button type="button" class="chip plain" onClick={() => setClosed(new Set())}>
            open all
          </button>
          <button
            type="button"
            class="chip plain"
            onClick={() =>
              setClosed(
                new Set(
                  parents()
                    .filter(({ kind }) => kind !== "session")
                    .map(({ n }) => n),
                ),
              )
            }
          >
            close all
          </button>
        </div>
      </div>
      <AxisHeader axis={axis} zoom={zoom} setZoom={setZoom} />
      <VirtualRows
        items={tree}
        rowHeight={rowHeight}
        keyOf={({ row }) => row.n}
        active={active}
        attributes={{
          class: `grid${path ? " with-path" : ""}`,
          role: "treegrid",
          tabIndex: 0,
          "aria-label": "Spans",
          "aria-rowcount": tree.length,
          "aria-colcount": 3,
          ...(active >= 0 && { "aria-activedescendant": `row-${selected?.n}` }),
          onWheel: (event: WheelEvent) => wheel(event, zoom, setZoom),
        }}
        render={(item, index) => (
          <Row
            item={item}
            index={index}
            axis={axis}
            zoom={zoom}
            isSelected={item.row.n === selected?.n}
            isOnPath={path?.has(item.row.n) ?? false}
            isAgent={
              starters.has(item.row.spanId) ||
              (item.row.kind === "tool" &&
                item.hasChildren &&
                (session.childrenOf.get(item.row.n) ?? []).some(({ kind }) => kind === "generation"))
            }
            toggle={() => toggle(item.row, !item.isOpen)}
            select={() => select(item.row, true)}
            focus={() => setZoom(zoomTo(axis, item.row))}
          />
        )}
      />
      <p class="foot">
        {isFiltering(filter)
          ? `${groupedNumber(tree.filter(({ isMatch }) => isMatch).length)} of ${plural(session.rows.length, "span")} match`
          : plural(session.rows.length, "span")}
        {session.head.elided > 0 && ` · ${plural(session.head.elided, "span")} left out by a limit`}
        {axis.folded.length > 0 && ` · ${plural(axis.folded.length, "gap")} folded`}
      </p>
    </section>
  );
}

function without(closed: ReadonlySet<number>, rows: readonly ViewRow[]): ReadonlySet<number> {
  const left = new Set(closed);
  for (const { n } of rows) left.delete(n);
  return left;
}

/** Whether a key goes to a field. */
export const isTyping = ({ target }: Event): boolean =>
  target instanceof HTMLElement && /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);

function zoomTo(axis: TimeAxis, row: ViewRow): Zoom {
  const from = placeOf(axis, row.start);
  const width = Math.max(1e-5, placeOf(axis, row.end ?? axis.to) - from);
  return panned({ from: from - width * 0.1, to: from + width * 1.1 }, 0);
}

interface RowProps {
  readonly item: TreeRow;
  readonly index: number;
  readonly axis: TimeAxis;
  readonly zoom: Zoom;
  readonly isSelected: boolean;
  readonly isOnPath: boolean;
  /** A tool that runs models by itself. */
  readonly isAgent: boolean;
  toggle(): void;
  select(): void;
  focus(): void;
}

function Row({ item, index, axis, zoom, isSelected, isOnPath, isAgent, ...acts }: RowProps): JSX.Element {
  const { row, depth, hasChildren, isOpen, isMatch } = item;
  const classes = [
    "row",
    kindOf(row),
    row.state,
    !isMatch && "passed-by",
    isOnPath && "on-path",
    index % 2 && "odd",
  ];
  const detail = row.state === "failed" || row.state === "cut" ? (row.error ?? row.gist) : row.gist;
  const time = row.kind === "user-message" ? "" : rowTime(row);
  return (
    <div
      id={`row-${row.n}`}
      class={classes.filter(Boolean).join(" ")}
      role="row"
      aria-level={depth + 1}
      aria-rowindex={index + 1}
      aria-selected={isSelected}
      {...(hasChildren && { "aria-expanded": isOpen })}
      onClick={acts.select}
      onDblClick={acts.focus}
    >
      <div
        class="names"
        role="gridcell"
        style={{ paddingLeft: `${Math.min(depth, deepestIndent) * 14 + 6}px` }}
      >
        {hasChildren ? (
          <span
            class={`twist${isOpen ? " open" : ""}`}
            aria-hidden="true"
            onClick={(event) => {
              event.stopPropagation();
              acts.toggle();
            }}
          />
        ) : (
          <span class="twist none" aria-hidden="true" />
        )}
        <KindMark row={row} />
        <StateSign state={row.state} />
        <span class="unseen">{kindWord(row)}</span>
        <span class="name" dir="auto">
          {rowName(row)}
        </span>
        {isAgent && <span class="badge">subagent</span>}
        {detail && (
          <span class="gist" dir="auto">
            {detail}
          </span>
        )}
      </div>
      <div class="duration" role="gridcell">
        {time}
        {row.state === "running" && <span class="unseen">, {stateWords.running}</span>}
      </div>
      <div class="track" role="gridcell">
        <Bar row={row} axis={axis} zoom={zoom} />
      </div>
    </div>
  );
}

function Bar({
  row,
  axis,
  zoom,
}: {
  readonly row: ViewRow;
  readonly axis: TimeAxis;
  readonly zoom: Zoom;
}): JSX.Element {
  const width = zoom.to - zoom.from;
  const from = (placeOf(axis, row.start) - zoom.from) / width;
  const to = (placeOf(axis, row.end ?? axis.to) - zoom.from) / width;
  if (to < 0) return <span class="beyond before">‹</span>;
  if (from > 1) return <span class="beyond after">›</span>;
  const [left, right] = [Math.max(0, from), Math.min(1, to)];
  return <span class="bar" style={{ left: percent(left), width: percent(Math.max(0, right - left)) }} />;
}
