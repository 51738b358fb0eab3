/** Where the page has its data from: the server of `open`, or the file of `share` itself. */
import type { ViewRow } from "../cli/session-view.js";
import { findText, type TextMatch } from "../cli/text-search.js";
import type { FirstPart, RowsPart } from "../cli/view-parts.js";
import type { RelatedSessions } from "../cli/viewer-server.js";
import type { WatchMessage } from "../cli/watched-session.js";
import type { TraceSpan } from "../format/trace-file.js";

export interface SearchMatch extends TextMatch {
  readonly n: number;
}

export interface SearchResult {
  readonly matches: readonly SearchMatch[];
  /** There may be more. */
  readonly isCut: boolean;
}

/** How the page is connected: `static` for a shared file, `lost` when the server does not answer any more. */
export type Connection = "static" | "live" | "lost" | "missing";

/** A view or a change in parts, or why there is none. */
type SourceMessage = FirstPart | RowsPart | Exclude<WatchMessage, { readonly head: unknown }>;

export interface SourceListener {
  message(message: SourceMessage): void;
  connection(connection: Connection): void;
}

export interface SessionSource {
  /** Call the result to leave. */
  watch(listener: SourceListener): () => void;
  /** Whole spans, by the numbers of their rows; without those that do not exist any more. */
  spans(rows: readonly ViewRow[]): Promise<ReadonlyMap<number, TraceSpan>>;
  search(text: string): Promise<SearchResult>;
  /** The session that started this one, and those that it started. A shared file has no other session. */
  related(): Promise<RelatedSessions>;
}

/** A session of the server. */
export class ServedSession implements SessionSource {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  watch({ message, connection }: SourceListener): () => void {
    const events = new EventSource(this.#url("view"));
    events.onopen = () => connection("live");
    const turns = new Turns();
    events.onmessage = ({ data }: MessageEvent<string>) =>
      turns.next(() => message(JSON.parse(data) as SourceMessage));
    // The browser tries again by itself, unless the server has refused.
    events.onerror = () => connection(events.readyState === EventSource.CLOSED ? "missing" : "lost");
    return () => {
      events.close();
      turns.end();
    };
  }

  async spans(rows: readonly ViewRow[]): Promise<ReadonlyMap<number, TraceSpan>> {
    if (rows.length === 0) return new Map();
    const { spans } = await this.#get<{ spans: [number, TraceSpan][] }>("spans", {
      n: rows.map(({ n }) => n).join(","),
    });
    return new Map(spans);
  }

  search(text: string): Promise<SearchResult> {
    return this.#get("search", { q: text });
  }

  related(): Promise<RelatedSessions> {
    return this.#get("related", {});
  }

  #url(what: string, query: Readonly<Record<string, string>> = {}): string {
    return `/api/${what}?${new URLSearchParams({ session: this.#name, ...query })}`;
  }

  async #get<T>(what: string, query: Readonly<Record<string, string>>): Promise<T> {
    const response = await fetch(this.#url(what, query));
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as T;
  }
}

/** Does one thing in each turn of the page: a browser hands over all messages that it has received in one turn. */
class Turns {
  readonly #channel = new MessageChannel();
  readonly #left: (() => void)[] = [];

  constructor() {
    this.#channel.port1.onmessage = () => this.#left.shift()?.();
  }

  next(act: () => void): void {
    this.#left.push(act);
    this.#channel.port2.postMessage(null);
  }

  end(): void {
    this.#left.length = 0;
    this.#channel.port1.close();
  }
}

const mostMatches = 500;

/** The session inside of a shared file: compressed blocks, unpacked when they are needed. */
export class SharedSession implements SessionSource {
  readonly #blocks = new Map<number, Promise<ReadonlyMap<number, TraceSpan>>>();
  #count = 0;

  /** Whether this page is a shared one. */
  static get isHere(): boolean {
    return document.getElementById("view-0") !== null;
  }

  watch({ message, connection }: SourceListener): () => void {
    connection("static");
    while (document.getElementById(`spans-${this.#count}`)) this.#count++;
    let isWanted = true;
    void (async () => {
      for (let part = 0; isWanted && document.getElementById(`view-${part}`); part++)
        message(await unpacked<FirstPart | RowsPart>(`view-${part}`));
    })();
    return () => {
      isWanted = false;
    };
  }

  async spans(rows: readonly ViewRow[]): Promise<ReadonlyMap<number, TraceSpan>> {
    const found = new Map<number, TraceSpan>();
    for (const { n, block } of rows) {
      const span = block === undefined ? undefined : (await this.#block(block)).get(n);
      if (span) found.set(n, span);
    }
    return found;
  }

  async related(): Promise<RelatedSessions> {
    return { children: [] };
  }

  async search(text: string): Promise<SearchResult> {
    const wanted = text.toLowerCase();
    const matches: SearchMatch[] = [];
    for (let block = 0; block < this.#count; block++) {
      for (const [n, span] of await this.#block(block)) {
        const match = findText(span, wanted);
        if (match) matches.push({ n, ...match });
        if (matches.length >= mostMatches) return { matches, isCut: true };
      }
    }
    return { matches, isCut: false };
  }

  #block(number: number): Promise<ReadonlyMap<number, TraceSpan>> {
    const known = this.#blocks.get(number);
    if (known) return known;
    const block = unpacked<[number, TraceSpan][]>(`spans-${number}`).then((spans) => new Map(spans));
    this.#blocks.set(number, block);
    return block;
  }
}

/** The JSON of a data element: base64 of gzip. */
async function unpacked<T>(id: string): Promise<T> {
  const text = document.getElementById(id)?.textContent ?? "";
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return (await new Response(stream).json()) as T;
}
