/** The session as a conversation: messages, thinking, tool calls and their results. Spans are loaded when they come near. */
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ViewRow } from "../cli/session-view.js";
import type { TraceSpan } from "../format/trace-file.js";
import { clockTime, groupedNumber, safeText } from "../text/display-text.js";
import { lastUserParts, type Part, partsOf } from "./message-parts.js";
import { rowName, StateSign, stateWords } from "./row-signs.js";
import { rowTime } from "./row-time.js";
import { ancestorsOf, passes, type SessionRows } from "./session-rows.js";
import { useSpans } from "./span-store.js";
import { LongText, ValueView } from "./value-view.js";
import { useViewer } from "./viewer-state.js";

/** Items that are loaded together. */
const groupSize = 20;

export function Chat(): JSX.Element {
  const { session, filter, setOrder, selected } = useViewer();
  const items = useMemo(
    () => session.rows.filter((row) => belongs(session, row) && passes(filter, row)),
    [session, filter],
  );
  const first = useMemo(() => firstCalls(session), [session]);
  const box = useRef<HTMLElement>(null);
  useLayoutEffect(() => setOrder(items), [items]);
  const groups: (readonly ViewRow[])[] = [];
  for (let from = 0; from < items.length; from += groupSize) groups.push(items.slice(from, from + groupSize));
  useEffect(() => {
    if (!selected) return;
    const at = items.findIndex(({ n }) => n === selected.n);
    const group = box.current?.querySelectorAll(".chat-group")[Math.floor(at / groupSize)];
    if (at < 0 || !group) return;
    const item = group.querySelector(`[data-n="${selected.n}"]`) ?? group;
    item.scrollIntoView({ block: "nearest" });
  }, [selected?.n]);
  return (
    <section class="chat" aria-label="Conversation" ref={box} tabIndex={0}>
      {items.length === 0 && (
        <p class="empty">There are no messages{filter.text ? " with this text" : ""}.</p>
      )}
      {groups.map((rows) => (
        <Group key={rows[0]?.n} rows={rows} first={first} />
      ))}
    </section>
  );
}

/** Messages, model calls and tools; of other spans, those that failed. A text is in the output of its model call. */
function belongs({ byNumber }: SessionRows, row: ViewRow): boolean {
  const { kind, state, parent } = row;
  if (kind === "user-message" || kind === "generation" || kind === "tool") return true;
  if (kind === "text") return parent === undefined || byNumber.get(parent)?.kind !== "generation";
  return kind !== "session" && state === "failed";
}

interface GroupProps {
  readonly rows: readonly ViewRow[];
  /** Model calls whose question is shown. */
  readonly first: ReadonlySet<number>;
}

/** Some items. They take part once they have come near, and then stay. */
function Group({ rows, first }: GroupProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [isNear, setNear] = useState(false);
  useEffect(() => {
    const element = box.current;
    if (!element || isNear) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some(({ isIntersecting }) => isIntersecting)) setNear(true);
      },
      { root: element.parentElement, rootMargin: "600px" },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, [isNear]);
  return (
    <div ref={box} class={`chat-group${isNear ? "" : " far"}`}>
      {isNear && <Items rows={rows} first={first} />}
    </div>
  );
}

function Items({ rows, first }: GroupProps): JSX.Element {
  const { store, selected } = useViewer();
  const spanOf = useSpans(store, rows);
  return (
    <>
      {rows.map((row) => (
        <Item
          key={row.n}
          row={row}
          span={spanOf(row)}
          isFirst={first.has(row.n)}
          isSelected={row.n === selected?.n}
        />
      ))}
    </>
  );
}

/** The model calls that begin a turn which has no message of the user as a span. */
function firstCalls({ rows }: SessionRows): ReadonlySet<number> {
  const seen = new Set<number>();
  const first = new Set<number>();
  for (const { n, kind, turn } of rows) {
    if (turn === 0 || seen.has(turn) || (kind !== "generation" && kind !== "user-message")) continue;
    seen.add(turn);
    if (kind === "generation") first.add(n);
  }
  return first;
}

/** What the user asked before a model call. The message may be in the input of an agent only. */
function questionOf({ head }: SessionRows, { turn }: ViewRow, { input }: TraceSpan): readonly Part[] {
  const parts = lastUserParts(input);
  const { message } = head.turns[turn - 1] ?? {};
  return parts.length > 0 || message === undefined ? parts : [{ type: "text", text: message }];
}

interface ItemProps {
  readonly row: ViewRow;
  readonly span: TraceSpan | undefined;
  readonly isFirst: boolean;
  readonly isSelected: boolean;
}

function Item({ row, span, isFirst, isSelected }: ItemProps): JSX.Element {
  const { select, session } = useViewer();
  // What a tool starts by itself is a conversation of its own: a subagent.
  const inside = ancestorsOf(session, row).filter(({ kind }) => kind === "tool").length;
  const author = row.kind === "user-message" ? "user" : rowName(row);
  const tokens = row.tokens ? `${groupedNumber(row.tokens)} tokens` : "";
  const asked = isFirst && span ? questionOf(session, row, span) : [];
  return (
    <>
      {asked.length > 0 && (
        <article class="message user-message">
          <header>
            <span class="author">user</span>
          </header>
          <Parts parts={asked} />
        </article>
      )}
      <article
        data-n={row.n}
        class={`message ${row.kind} ${row.state} inside-${Math.min(3, inside)}${isSelected ? " selected" : ""}`}
      >
        <header>
          <StateSign state={row.state} />
          <span class="author">{author}</span>
          <span class="facts">
            {[row.kind === "user-message" ? "" : rowTime(row), tokens, clockTime(row.start).slice(0, 8)]
              .filter(Boolean)
              .join(" · ")}
          </span>
          <button
            type="button"
            class="details"
            onClick={() => select(row, true)}
            aria-label={`Details of ${author}`}
          >
            details
          </button>
        </header>
        {row.state !== "ok" && (row.error || row.state !== "running") && (
          <p class={`verdict ${row.state}`}>{row.error ?? stateWords[row.state]}</p>
        )}
        {span ? <Content row={row} span={span} /> : <p class="gist">{row.gist}</p>}
      </article>
    </>
  );
}

function Content({ row, span }: { readonly row: ViewRow; readonly span: TraceSpan }): JSX.Element {
  if (row.kind === "user-message") return <Parts parts={partsOf(span.input)} />;
  if (row.kind !== "tool") {
    const parts = partsOf(span.output);
    const [, called] =
      /^\[tool calls: (.*)\]$/s.exec(typeof span.output === "string" ? span.output : "") ?? [];
    if (called !== undefined) return <p class="calls">calls {safeText(called)}</p>;
    return <Parts parts={parts} />;
  }
  return (
    <>
      {span.input !== undefined && (
        <div class="call">
          <ShortValue value={span.input} />
        </div>
      )}
      {span.output !== undefined && <Fold title="result" value={span.output} />}
    </>
  );
}

/** A value that has one text: the text; else the value. */
function ShortValue({ value }: { readonly value: unknown }): JSX.Element {
  if (typeof value === "string") return <LongText text={value} />;
  const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
  if (entries.length === 0) return <ValueView value={value} />;
  if (entries.length > 8 || entries.some(([, member]) => typeof member === "object" && member !== null))
    return <ValueView value={value} />;
  return (
    <dl class="arguments">
      {entries.map(([key, member]) => (
        <div>
          <dt>{safeText(key)}</dt>
          <dd>
            <LongText text={String(member)} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

const shortResult = 600;

/** A result: short ones are open. */
function Fold({ title, value }: { readonly title: string; readonly value: unknown }): JSX.Element {
  const size = typeof value === "string" ? value.length : 0;
  const [isOpen, setOpen] = useState(size < shortResult);
  return (
    <div class="fold-box">
      <button type="button" class="fold" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {title}
        {size >= shortResult && <span class="size"> {groupedNumber(size)} characters</span>}
      </button>
      {isOpen && <ValueView value={value} />}
    </div>
  );
}

function Parts({ parts }: { readonly parts: readonly Part[] }): JSX.Element {
  return (
    <>
      {parts.map((part) => {
        if (part.type === "text") return <LongText text={part.text} isMarkdown />;
        if (part.type === "thinking") return <Thinking text={part.text} />;
        if (part.type === "call") return <p class="calls">calls {safeText(part.name)}</p>;
        return <ValueView value={part.value} />;
      })}
    </>
  );
}

function Thinking({ text }: { readonly text: string }): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  return (
    <div class="fold-box thinking">
      <button type="button" class="fold" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        thinking <span class="size">{groupedNumber(text.length)} characters</span>
      </button>
      {isOpen && <LongText text={text} isMarkdown />}
    </div>
  );
}
