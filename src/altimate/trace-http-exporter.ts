/**
 * Sends documents to an HTTP endpoint, as altimate-code's hosted viewer takes them.
 */

import { encodeSpan } from "../format/document.js";
import { toJsonValue } from "../format/json-value.js";
import type { TraceFile } from "../format/trace-file.js";
import type { TraceExporter } from "./trace-exporter.js";

const timeoutMillis = 5_000;

/** POSTs each document as JSON. */
export class HttpExporter implements TraceExporter {
  /** Stands in what `export` answers. */
  readonly name: string;
  readonly #endpoint: string;
  readonly #headers: Record<string, string>;

  /** Sends nothing yet. `headers` go with every request. */
  constructor(name: string, endpoint: string, headers: Record<string, string> = {}) {
    this.name = name;
    this.#endpoint = endpoint;
    this.#headers = headers;
  }

  /**
   * Resolves with the `url` of the answer where it has one, else with `"<name>: exported"`; with `undefined` when the
   * endpoint refuses or has not answered within five seconds. Never rejects.
   */
  async export(trace: TraceFile): Promise<string | undefined> {
    try {
      if (typeof trace !== "object" || trace === null) return undefined;
      const response = await fetch(this.#endpoint, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...this.#headers },
        body: encodeTrace(trace),
        // Also for the answer's body.
        signal: AbortSignal.timeout(timeoutMillis),
      });
      const text = await response.text();
      if (!response.ok) return undefined;
      return urlIn(text) ?? `${this.name}: exported`;
    } catch {
      return undefined;
    }
  }
}

/** The document as JSON; a value that JSON cannot carry costs itself. */
function encodeTrace(trace: TraceFile): string {
  try {
    return JSON.stringify(trace);
  } catch {
    const { spans, ...rest } = trace;
    const around = JSON.stringify(toJsonValue({ ...rest, spans: [] })).slice(0, -2);
    return `${around}${spans.map((span) => encodeSpan(span)).join(",")}]}`;
  }
}

function urlIn(answer: string): string | undefined {
  try {
    const url: unknown = JSON.parse(answer)?.url;
    return typeof url === "string" ? url : undefined;
  } catch {
    return undefined;
  }
}
