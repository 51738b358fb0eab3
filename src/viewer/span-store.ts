/** The whole spans that the page has loaded. A row that changed is loaded again; until then the old span is shown. */
import { useEffect, useState } from "preact/hooks";
import type { ViewRow } from "../cli/session-view.js";
import type { TraceSpan } from "../format/trace-file.js";
import type { SessionSource } from "./session-source.js";

/** Spans of one request. */
const perRequest = 100;
/** Spans that are kept: the oldest are dropped. */
const mostKept = 2_000;

export class SpanStore {
  readonly #source: SessionSource;
  #kept = new Map<number, { readonly row: ViewRow; readonly span: TraceSpan | undefined }>();

  constructor(source: SessionSource) {
    this.#source = source;
  }

  /** The span of a row, as it was loaded last. */
  get({ n }: ViewRow): TraceSpan | undefined {
    return this.#kept.get(n)?.span;
  }

  /** After a new numbering, numbers stand for other spans. */
  clear(): void {
    this.#kept = new Map();
  }

  async load(rows: readonly ViewRow[]): Promise<void> {
    const kept = this.#kept;
    const wanted = rows.filter((row) => kept.get(row.n)?.row !== row);
    for (let from = 0; from < wanted.length; from += perRequest) {
      const part = wanted.slice(from, from + perRequest);
      const spans = await this.#source.spans(part);
      for (const row of part) {
        kept.delete(row.n);
        kept.set(row.n, { row, span: spans.get(row.n) });
      }
    }
    for (const n of kept.keys()) {
      if (kept.size <= mostKept) break;
      kept.delete(n);
    }
  }
}

/** Loads the spans of rows, and draws again when they are there. */
export function useSpans(
  store: SpanStore,
  rows: readonly ViewRow[],
): (row: ViewRow) => TraceSpan | undefined {
  const [, redraw] = useState(0);
  useEffect(() => {
    let isShown = true;
    store.load(rows).then(
      () => isShown && redraw((count) => count + 1),
      // The server has gone: the page shows that already.
      () => {},
    );
    return () => {
      isShown = false;
    };
  }, [store, ...rows.slice(0, 1), rows.length, rows.at(-1)]);
  return (row) => store.get(row);
}
