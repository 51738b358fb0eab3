/** The sessions of a directory, newest first. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { listedJson } from "../cli/list-command.js";
import {
  age,
  groupedNumber,
  money,
  plural,
  safeText,
  shortDuration,
  shortNumber,
} from "../text/display-text.js";
import { linkHash } from "./deep-link.js";
import { StatusMark } from "./status-mark.js";

type Listed = ReturnType<ReturnType<typeof listedJson>>;

interface Listing {
  /** Epoch milliseconds, of the server. */
  readonly now: number;
  readonly dir: string;
  readonly sessions: readonly Listed[];
}

const refreshMillis = 3_000;
const mostShown = 500;

export function Catalogue(): JSX.Element {
  const [listing, setListing] = useState<Listing>();
  const [isLost, setLost] = useState(false);
  const [text, setText] = useState("");
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isShown = true;
    const load = async () => {
      try {
        if (!document.hidden) {
          const response = await fetch("/api/sessions");
          if (!response.ok) throw new Error(response.statusText);
          const next = (await response.json()) as Listing;
          if (isShown) setListing(next);
        }
        setLost(false);
      } catch {
        setLost(true);
      }
      if (isShown) timer = setTimeout(() => void load(), refreshMillis);
    };
    void load();
    return () => {
      isShown = false;
      clearTimeout(timer);
    };
  }, []);
  useEffect(() => {
    document.title = "Traces";
  }, []);
  if (!listing)
    return <p class="loading">{isLost ? "The server of the viewer does not answer." : "Loading…"}</p>;
  const wanted = text.toLowerCase();
  const matching = listing.sessions.filter(({ id, title, prompt, model, agent, error, status }) =>
    [id, title, prompt, model, agent, error, status].some((part) => part?.toLowerCase().includes(wanted)),
  );
  return (
    <main class="catalogue">
      <header>
        <h1>Sessions</h1>
        <p class="note" dir="auto">
          {listing.dir}
          {isLost && " · the server of the viewer does not answer"}
        </p>
        <input
          type="search"
          placeholder="Search"
          aria-label="Search"
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
      </header>
      {matching.length === 0 ? (
        <p class="empty">
          {listing.sessions.length === 0 ? "There are no sessions yet." : "No session matches."}
        </p>
      ) : (
        <ul class="sessions">
          {matching.slice(0, mostShown).map((session) => (
            <li key={session.name}>
              <Session session={session} now={listing.now} />
            </li>
          ))}
        </ul>
      )}
      {matching.length > mostShown && (
        <p class="note">and {groupedNumber(matching.length - mostShown)} more</p>
      )}
    </main>
  );
}

function Session({ session, now }: { readonly session: Listed; readonly now: number }): JSX.Element {
  const { name, id, status, lastActivityAt, durationMs, tokens, cost, errors, turns, error, model } = session;
  const title = session.title || session.prompt;
  const shown = (text: string | null): string => (text === null ? "" : safeText(text));
  const facts = [
    lastActivityAt && age(now - Date.parse(lastActivityAt)),
    durationMs !== null && shortDuration(durationMs),
    turns ? plural(turns, "turn") : "",
    tokens ? `${shortNumber(tokens)} tokens` : "",
    cost ? money(cost) : "",
    errors ? plural(errors, "error") : "",
    shown(model),
  ].filter(Boolean);
  return (
    <a href={linkHash({ session: name, view: "overview" })}>
      <StatusMark state={status} />
      <span class="title" dir="auto">
        {shown(title || id)}
      </span>
      <span class="facts">{facts.join(" · ")}</span>
      {error && (
        <span class="error" dir="auto">
          {shown(error)}
        </span>
      )}
      {title && <span class="id">{shown(id)}</span>}
    </a>
  );
}
