/** The frame of a session: its title and state, the views, the search, the span at the side, the keys. */
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ViewRow } from "../cli/session-view.js";
import { groupedNumber, plural } from "../text/display-text.js";
import { ArrivingSession } from "./arriving-session.js";
import { Chat } from "./chat.js";
import { type DeepLink, linkHash, readLink, type View, views } from "./deep-link.js";
import { KeyHelp } from "./key-help.js";
import { Log } from "./log.js";
import { Overview } from "./overview.js";
import { ParentLink, useRelated } from "./related-sessions.js";
import { noFilter, type RowFilter, type SessionRows } from "./session-rows.js";
import type { Connection, SearchMatch, SessionSource } from "./session-source.js";
import { SpanPanel } from "./span-panel.js";
import { SpanStore } from "./span-store.js";
import { StatusMark } from "./status-mark.js";
import { ThemeButton } from "./theme-button.js";
import { isTyping, Timeline } from "./timeline.js";
import { Viewer, type ViewerState } from "./viewer-state.js";

const titles: Readonly<Record<View, string>> = {
  overview: "Overview",
  timeline: "Timeline",
  chat: "Chat",
  log: "Log",
};
const panes: Readonly<Record<View, () => JSX.Element>> = {
  overview: Overview,
  timeline: Timeline,
  chat: Chat,
  log: Log,
};

/** What changed while the page pauses is shown when it goes on. */
function useSession(source: SessionSource, store: SpanStore, isPaused: boolean) {
  const [session, setSession] = useState<SessionRows>();
  const [connection, setConnection] = useState<Connection>("live");
  /** Why there is nothing to follow; empty where there is. */
  const [fault, setFault] = useState("");
  const latest = useRef<SessionRows>();
  const paused = useRef(isPaused);
  paused.current = isPaused;
  useEffect(() => {
    const arriving = new ArrivingSession();
    let isNew = true;
    return source.watch({
      connection: setConnection,
      message(message) {
        setFault(
          message.type === "removed" ? "removed" : message.type === "unreadable" ? message.reason : "",
        );
        if (message.type === "removed" || message.type === "unreadable") return;
        if (message.type === "view") store.clear();
        if (message.type !== "rows") isNew = message.type === "view";
        const arrived = arriving.take(message);
        if (!arrived) return;
        latest.current = arrived;
        // The first view is shown at once, and so is a new numbering.
        if (!paused.current || isNew) setSession(arrived);
      },
    });
  }, [source]);
  useEffect(() => {
    if (!isPaused && latest.current) setSession(latest.current);
  }, [isPaused]);
  return { session, connection, fault };
}

interface AppProps {
  readonly source: SessionSource;
  /** Whether there is a list to go back to. */
  readonly hasCatalogue: boolean;
}

export function App({ source, hasCatalogue }: AppProps): JSX.Element {
  const [store] = useState(() => new SpanStore(source));
  const [isPaused, setPaused] = useState(false);
  const { session, connection, fault } = useSession(source, store, isPaused);
  const related = useRelated(source, session?.head.writer === "alive");
  const [link, setLink] = useState<DeepLink>(() => readLink(location.hash));
  const [isPanelOpen, setPanelOpen] = useState(link.span !== undefined);
  const [isHelpOpen, setHelpOpen] = useState(false);
  const [filter, setFilterState] = useState<RowFilter>({ ...noFilter, text: link.search ?? "" });
  const [found, setFound] = useState<ReadonlyMap<number, SearchMatch>>(new Map());
  const order = useRef<readonly ViewRow[]>([]);
  const searchField = useRef<HTMLInputElement>(null);
  const panel = useRef<HTMLElement>(null);

  const selected = useMemo(
    () => (link.span === undefined ? undefined : session?.rows.find(({ spanId }) => spanId === link.span)),
    [session, link.span],
  );

  const go = (next: Partial<DeepLink>) => {
    const changed: DeepLink = { ...link, ...next };
    setLink(changed);
    // A view is a step back in the history; a selection is not.
    const isStep = next.view !== undefined && next.view !== link.view;
    history[isStep ? "pushState" : "replaceState"](null, "", linkHash(changed));
  };
  useLayoutEffect(() => {
    const listen = () => {
      const next = readLink(location.hash);
      setLink(next);
      setFilterState((known) => ({ ...known, text: next.search ?? "" }));
      if (next.span !== undefined) setPanelOpen(true);
    };
    addEventListener("popstate", listen);
    return () => removeEventListener("popstate", listen);
  }, []);

  // The search follows the typing; what was found belongs to the last text.
  useEffect(() => {
    const text = filter.text;
    if (text.length < 2) {
      setFound(new Map());
      return;
    }
    let isWanted = true;
    const timer = setTimeout(() => {
      source.search(text).then(
        ({ matches }) => isWanted && setFound(new Map(matches.map((match) => [match.n, match]))),
        () => {},
      );
    }, 150);
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [filter.text, source]);
  const whole = useMemo(() => ({ ...filter, found }), [filter, found]);

  const select = (row: ViewRow | undefined, isOpening = false) => {
    if (!row) return;
    go({ span: row.spanId });
    if (isOpening) setPanelOpen(true);
  };
  const setFilter = (change: Partial<RowFilter>) => {
    setFilterState((known) => ({ ...known, ...change }));
    if (change.text !== undefined) go({ search: change.text });
  };

  const move = (step: number) => {
    const at = order.current.findIndex(({ n }) => n === selected?.n);
    const next = at < 0 ? (step > 0 ? step - 1 : order.current.length + step) : at + step;
    select(order.current[Math.min(order.current.length - 1, Math.max(0, next))]);
  };
  /** The next match of the search; without one, the next error or interrupted span. */
  const seek = (step: 1 | -1) => {
    const rows = order.current;
    const at = rows.findIndex(({ n }) => n === selected?.n);
    const isWanted = (row: ViewRow) =>
      filter.text ? found.has(row.n) : row.state === "failed" || row.state === "cut";
    for (let offset = 1; offset <= rows.length; offset++) {
      const row =
        rows[((((at < 0 && step < 0 ? 0 : at) + step * offset) % rows.length) + rows.length) % rows.length];
      if (row && isWanted(row)) return select(row);
    }
  };
  // Before the next key can come: an effect would be run after the next frame.
  useLayoutEffect(() => {
    const keys: Readonly<Record<string, () => void>> = {
      j: () => move(1),
      ArrowDown: () => move(1),
      k: () => move(-1),
      ArrowUp: () => move(-1),
      PageDown: () => move(20),
      PageUp: () => move(-20),
      Home: () => move(-Number.MAX_SAFE_INTEGER),
      End: () => move(Number.MAX_SAFE_INTEGER),
      n: () => seek(1),
      N: () => seek(-1),
      Enter: () => setPanelOpen(true),
      "/": () => searchField.current?.focus(),
      "?": () => setHelpOpen(true),
      p: () => setPaused(!isPaused),
      "1": () => go({ view: "overview" }),
      "2": () => go({ view: "timeline" }),
      "3": () => go({ view: "chat" }),
      "4": () => go({ view: "log" }),
    };
    const listen = (event: KeyboardEvent) => {
      if (event.key === "Escape") {
        if (isHelpOpen) setHelpOpen(false);
        else if (isTyping(event)) (event.target as HTMLElement).blur();
        else if (isPanelOpen) setPanelOpen(false);
        else if (filter.text) setFilter({ text: "" });
        return;
      }
      if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || isHelpOpen) return;
      const target = event.target as HTMLElement;
      const isRow = event.key.startsWith("Arrow") || /^(Page|Home|End)/.test(event.key);
      // Texts that scroll have these keys for themselves.
      if (isRow && (link.view === "overview" || link.view === "chat" || target.closest(".panel"))) return;
      if (event.key === "Enter" && target.closest("button, a")) return;
      const act = keys[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    };
    document.addEventListener("keydown", listen);
    return () => document.removeEventListener("keydown", listen);
  });
  useEffect(() => {
    if (session) document.title = session.head.metadata.title || session.head.id;
  }, [session?.head.id, session?.head.metadata.title]);

  if (!session)
    return (
      <p class="loading">{connection === "missing" ? "There is no such session." : fault || "Loading…"}</p>
    );
  const state: ViewerState = {
    session,
    store,
    link,
    related,
    selected,
    filter: whole,
    found,
    setOrder: (rows) => {
      order.current = rows;
    },
    select,
    show: (view, row) => {
      go({ view, ...(row && { span: row.spanId }) });
      if (row) setPanelOpen(true);
    },
    setFilter,
  };
  const Pane = panes[link.view];
  const { head } = session;
  return (
    <Viewer.Provider value={state}>
      <header class="top">
        <div class="headline">
          {hasCatalogue && (
            <a class="back" href="#all" aria-label="All sessions">
              ‹
            </a>
          )}
          <StatusMark state={head.state} />
          <h1 dir="auto" title={head.id}>
            {head.metadata.title || head.id}
          </h1>
          <ParentLink parent={related.parent} />
          <LiveMark
            connection={connection}
            fault={fault}
            isPaused={isPaused}
            session={session}
            toggle={() => setPaused(!isPaused)}
          />
        </div>
        <div class="under">
          <nav class="tabs" aria-label="Views">
            {views.map((view) => (
              <button
                type="button"
                aria-current={view === link.view ? "page" : undefined}
                onClick={() => go({ view })}
              >
                {titles[view]}
              </button>
            ))}
          </nav>
          <input
            ref={searchField}
            type="search"
            aria-label="Search everything"
            placeholder="Search"
            value={filter.text}
            onInput={({ currentTarget }) => setFilter({ text: currentTarget.value })}
            onKeyDown={(event) => {
              if (event.key !== "Enter") return;
              event.currentTarget.blur();
              if (link.view === "overview") go({ view: "log" });
            }}
          />
          <ThemeButton />
          <button type="button" class="icon" aria-label="Keys" onClick={() => setHelpOpen(true)}>
            ?
          </button>
        </div>
      </header>
      <main class={`body${isPanelOpen && selected ? " with-panel" : ""}`} ref={panel}>
        <Pane />
        {isPanelOpen && selected && <SpanPanel row={selected} close={() => setPanelOpen(false)} />}
      </main>
      {isHelpOpen && <KeyHelp close={() => setHelpOpen(false)} />}
    </Viewer.Provider>
  );
}

interface LiveMarkProps {
  readonly connection: Connection;
  readonly fault: string;
  readonly session: SessionRows;
  readonly isPaused: boolean;
  toggle(): void;
}

/** Whether what is shown is what is: it follows, it pauses, or there is nothing to follow any more. */
function LiveMark({ connection, fault, session, isPaused, toggle }: LiveMarkProps): JSX.Element | null {
  const { head, rows, left } = session;
  const loading =
    left > 0 && `loading: ${groupedNumber(rows.length)} of ${plural(rows.length + left, "span")}`;
  if (connection === "static" && !loading) return null;
  const isServed = connection === "live" || connection === "static";
  const followed = head.writer === "alive" ? (isPaused ? "paused" : "live") : "";
  const text =
    fault ||
    (!isServed && "the viewer's server does not answer") ||
    loading ||
    (head.writer === "gone" ? "writer gone" : followed);
  return (
    <span
      class={`live ${text === "live" ? "following" : text === "paused" || text === loading ? "" : "over"}`}
      role="status"
    >
      {text}
      {text === "live" || text === "paused" ? (
        <button type="button" onClick={toggle}>
          {isPaused ? "go on" : "pause"}
        </button>
      ) : null}
    </span>
  );
}
