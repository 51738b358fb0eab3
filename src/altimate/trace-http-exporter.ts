/** Sends documents to an HTTP endpoint, in the form that altimate-code's hosted viewer accepts. */

import { encodeSpan } from "../format/document.js";
import { toJsonValue } from "../format/json-value.js";
import { tryOr } from "../platform/errors.js";
import { ExporterWarnings, type TraceExporter, type TraceFile, type TraceLogger } from "./trace-exporter.js";

const timeoutMillis = 5_000;

/** POSTs each document as JSON. */
export class HttpExporter implements TraceExporter {
  /** Part of the string that `export` resolves with. */
  readonly name: string;
  readonly #endpoint: string;
  readonly #headers: Record<string, string>;
  readonly #warnings: ExporterWarnings;

  /** Sends nothing yet. Every request has the `headers`. `logger` receives warnings about failures; default: `diag`. */
  constructor(
    name: string,
    endpoint: string,
    headers: Record<string, string> = {},
    options?: { readonly logger?: TraceLogger },
  ) {
    this.#warnings = new ExporterWarnings(
      "HttpExporter",
      tryOr(() => options?.logger, undefined),
    );
    this.name = name;
    this.#endpoint = endpoint;
    this.#headers = headers;
  }

  /**
   * Resolves with the `url` in the response, else with `"<name>: exported"`; with `undefined` when the endpoint refuses
   * the document or has not responded within five seconds. Never rejects.
   */
  async export(trace: TraceFile): Promise<string | undefined> {
    try {
      if (typeof trace !== "object" || trace === null) return undefined;
      const response = await fetch(this.#endpoint, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...this.#headers },
        body: encodeTrace(trace),
        // Also limits the time for the body of the response.
        signal: AbortSignal.timeout(timeoutMillis),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`the endpoint answered with status ${response.status}`);
      return urlIn(text) ?? `${this.name}: exported`;
    } catch (error) {
      const fields = { exporter: this.name, sessionId: tryOr(() => trace.sessionId, undefined), error };
      this.#warnings.warn(`exporter ${this.name} failed`, fields);
      return undefined;
    }
  }
}

/** The document as JSON. A value that JSON cannot carry is lost alone. */
function encodeTrace(trace: TraceFile): string {
  try {
    return JSON.stringify(trace);
  } catch {
    const { spans, ...rest } = trace;
    const around = JSON.stringify(toJsonValue({ ...rest, spans: [] })).slice(0, -2);
    return `${around}${spans.map((span) => encodeSpan(span)).join(",")}]}`;
  }
}

function urlIn(response: string): string | undefined {
  try {
    const url: unknown = JSON.parse(response)?.url;
    return typeof url === "string" ? url : undefined;
  } catch {
    return undefined;
  }
}
