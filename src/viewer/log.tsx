/** Everything in the order of time: each start and each end; with a search, where the text was found. */
import type { JSX } from "preact";
import { useLayoutEffect, useMemo } from "preact/hooks";
import type { ViewRow } from "../cli/session-view.js";
import { clockTime, groupedNumber, plural, safeText } from "../text/display-text.js";
import { FilterBar } from "./filter-bar.js";
import { type LogEntry, logEntries } from "./log-entries.js";
import { KindMark, kindWord, rowName, StateSign } from "./row-signs.js";
import { rowTime } from "./row-time.js";
import { kindOf, passes } from "./session-rows.js";
import type { SearchMatch } from "./session-source.js";
import { useViewer } from "./viewer-state.js";
import { VirtualRows } from "./virtual-rows.js";

const rowHeight = 28;

export function Log(): JSX.Element {
  const { session, filter, found, selected, setOrder, select } = useViewer();
  const entries = useMemo(
    () => logEntries(session.rows.filter((row) => passes(filter, row))),
    [session, filter],
  );
  const active = useMemo(
    () => entries.findIndex(({ row, type }) => row.n === selected?.n && type !== "end"),
    [entries, selected?.n],
  );
  useLayoutEffect(
    () => setOrder(entries.filter(({ type }) => type !== "end").map(({ row }) => row)),
    [entries],
  );
  return (
    <section class="log" aria-label="Log">
      <div class="toolbar">
        <FilterBar />
      </div>
      <VirtualRows
        items={entries}
        rowHeight={rowHeight}
        keyOf={({ row, type }) => `${row.n} ${type}`}
        active={active}
        sticks={session.head.writer === "alive"}
        attributes={{
          class: "grid",
          role: "grid",
          tabIndex: 0,
          "aria-label": "Events",
          "aria-rowcount": entries.length,
          "aria-colcount": 2,
          ...(active >= 0 && { "aria-activedescendant": `event-${active}` }),
        }}
        render={(entry, index) => (
          <LogRow
            entry={entry}
            index={index}
            match={found.get(entry.row.n)}
            isSelected={entry.row.n === selected?.n}
            select={() => select(entry.row, true)}
          />
        )}
      />
      <p class="foot">
        {plural(entries.length, "event")}
        {filter.text &&
          ` · ${groupedNumber(found.size)}${found.size >= 500 ? " or more" : ""} spans contain the text`}
      </p>
    </section>
  );
}

interface LogRowProps {
  readonly entry: LogEntry;
  readonly index: number;
  readonly match: SearchMatch | undefined;
  readonly isSelected: boolean;
  select(): void;
}

/** The gist of a model call is its answer, which is known at its end; that of any other span is its input. */
function gistAt(type: LogEntry["type"], { kind, error, gist }: ViewRow): string | undefined {
  if (type === "end") return error ?? (kind === "generation" ? gist : undefined);
  return type === "start" && kind === "generation" ? undefined : gist;
}

/** What went in is known when a span starts; everything else, when it ends. */
const isKnownAt = (type: LogEntry["type"], { end }: ViewRow, { field }: SearchMatch): boolean =>
  type === "moment" || (type === "start") === (end === undefined || /^(input|name)\b/.test(field));

function LogRow({ entry: { type, at, row }, index, match, isSelected, select }: LogRowProps): JSX.Element {
  const sign = type === "start" ? "▸" : type === "end" && row.state === "ok" ? "✓" : "";
  return (
    <div
      id={`event-${index}`}
      class={`row ${kindOf(row)} ${type === "end" ? row.state : "started"}${index % 2 ? " odd" : ""}`}
      role="row"
      aria-rowindex={index + 1}
      aria-selected={isSelected}
      onClick={select}
    >
      <div class="time" role="gridcell">
        {clockTime(at)}
      </div>
      <div class="names" role="gridcell">
        <span class="event" aria-hidden="true">
          {sign}
        </span>
        {type === "end" && <StateSign state={row.state} />}
        <KindMark row={row} />
        <span class="unseen">
          {type} {kindWord(row)}
        </span>
        <span class="name" dir="auto">
          {rowName(row)}
        </span>
        {type === "end" && <span class="took">{rowTime(row)}</span>}
        <span class="gist" dir="auto">
          {match && isKnownAt(type, row, match) ? <Snippet match={match} /> : gistAt(type, row)}
        </span>
      </div>
    </div>
  );
}

function Snippet({ match: { field, snippet, at } }: { readonly match: SearchMatch }): JSX.Element {
  const { filter } = useViewer();
  const end = at + filter.text.length;
  const part = (from: number, to?: number) => safeText(snippet.slice(from, to));
  return (
    <>
      <span class="field">{safeText(field)}</span> {part(0, at)}
      <mark>{part(at, end)}</mark>
      {part(end)}
    </>
  );
}
