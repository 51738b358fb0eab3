/** A session that pages look at: read while at least one looks, and sent to them as it changes. */
import type { TraceSpan } from "../format/trace-file.js";
import { reasonOf } from "../platform/errors.js";
import { CommandError } from "./command.js";
import type { FoundSession } from "./session-catalog.js";
import { readings } from "./session-readings.js";
import type { ReadSession } from "./session-reference.js";
import { RowNumbers, type ViewedSession, type ViewHead, type ViewRow, viewOf } from "./session-view.js";

/** What pages get: the whole view, what changed since the message before, or why there is none. */
export type WatchMessage =
  | { readonly type: "view"; readonly head: ViewHead; readonly rows: readonly ViewRow[] }
  | { readonly type: "delta"; readonly head: ViewHead; readonly rows: readonly ViewRow[] }
  | { readonly type: "removed" }
  | { readonly type: "unreadable"; readonly reason: string };

type Listener = (message: WatchMessage) => void;

export class WatchedSession {
  readonly #found: FoundSession;
  readonly #now: () => number;
  readonly #numbers = new RowNumbers();
  readonly #listeners = new Set<Listener>();
  #rows = new Map<number, string>();
  #view: ViewedSession | undefined;
  #reading: ReadSession | undefined;
  #stop: AbortController | undefined;

  constructor(found: FoundSession, now: () => number) {
    this.#found = found;
    this.#now = now;
  }

  /** Calls `listener` with the whole view as soon as it is known, then with each change. Call the result to leave. */
  watch(listener: Listener): () => void {
    this.#listeners.add(listener);
    if (this.#view && this.#stop) listener({ type: "view", head: this.#view.head, rows: this.#view.rows });
    if (!this.#stop) this.#start();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#stop?.abort();
      this.#stop = undefined;
    };
  }

  /** A span, as it was recorded, by the number of its row. */
  span(n: number): TraceSpan | undefined {
    const span = this.#view?.spans.get(n);
    return span && (this.#reading?.whole(span) ?? span);
  }

  /** The numbers of all rows. */
  get numbers(): Iterable<number> {
    return this.#view?.spans.keys() ?? [];
  }

  #start(): void {
    const stop = new AbortController();
    this.#stop = stop;
    // Nothing waits for this: an error that is not caught here ends the server, and with it the pages of all sessions.
    this.#follow(stop.signal).catch((error: unknown) => {
      this.#send({ type: "unreadable", reason: `the session cannot be shown: ${reasonOf(error)}` });
    });
  }

  async #follow(signal: AbortSignal): Promise<void> {
    // What pages had before is not known any more: the first reading is sent whole.
    let isFirst = true;
    for await (const reading of readings(this.#found, signal, this.#now)) {
      if (signal.aborted) return;
      if (reading === "removed" || reading instanceof CommandError) {
        this.#send(
          reading === "removed" ? { type: "removed" } : { type: "unreadable", reason: reading.message },
        );
        continue;
      }
      this.#reading = reading;
      this.#take(viewOf(reading, this.#numbers), isFirst);
      isFirst = false;
    }
  }

  #take(view: ViewedSession, isFirst: boolean): void {
    const before = this.#rows;
    this.#rows = new Map(view.rows.map((row) => [row.n, JSON.stringify(row)]));
    this.#view = view;
    const { head, rows } = view;
    // A span that is gone, after a limit or a move, is too rare for a message of its own.
    const isWhole = isFirst || [...before.keys()].some((n) => !this.#rows.has(n));
    if (isWhole) this.#send({ type: "view", head, rows });
    else {
      const changed = rows.filter(({ n }) => this.#rows.get(n) !== before.get(n));
      this.#send({ type: "delta", head, rows: changed });
    }
  }

  #send(message: WatchMessage): void {
    for (const listener of [...this.#listeners]) listener(message);
  }
}
