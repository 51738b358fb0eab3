/** A `SpanExporter` that sends OTLP/JSON over HTTP: the command needs no package of the SDK. */
import type { ExportResult, ReadableSpan, SpanExporter } from "../otel/types.js";
import { ExportResultCode } from "../otel/types.js";
import { tracesData } from "./otlp-json.js";

/** Answers after which a client tries again (OTLP specification, "Retryable Response Codes"). */
const retryable = new Set([429, 502, 503, 504]);
const attempts = 5;
const firstDelayMillis = 500;
const longestDelayMillis = 10_000;

export class OtlpSender implements SpanExporter {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #signal: AbortSignal;

  constructor(url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal) {
    this.#url = url;
    this.#headers = headers;
    this.#signal = signal;
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    this.#send(JSON.stringify(tracesData(spans))).then(
      () => resultCallback({ code: ExportResultCode.SUCCESS }),
      (error: unknown) => resultCallback({ code: ExportResultCode.FAILED, error: asError(error) }),
    );
  }

  async shutdown(): Promise<void> {}

  async #send(body: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: { "content-type": "application/json", ...this.#headers },
        body,
        signal: this.#signal,
      });
      const text = await response.text();
      if (response.ok) return;
      if (!retryable.has(response.status) || attempt === attempts)
        throw new Error(`${this.#url} answered ${response.status}: ${text.slice(0, 300)}`);
      await this.#wait(delayOf(response.headers.get("retry-after"), attempt));
    }
  }

  async #wait(millis: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, millis);
      this.#signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(new Error("ended"));
      });
    });
  }
}

/** `Retry-After` in seconds, else twice as long each time. */
function delayOf(retryAfter: string | null, attempt: number): number {
  const seconds = retryAfter === null || retryAfter === "" ? Number.NaN : Number(retryAfter);
  const millis = Number.isFinite(seconds) ? seconds * 1_000 : firstDelayMillis * 2 ** (attempt - 1);
  return Math.min(longestDelayMillis, Math.max(0, millis));
}

/** `fetch failed` says nothing: its cause does. */
function asError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  return error.cause instanceof Error
    ? new Error(`${error.message}: ${error.cause.message || error.cause}`)
    : error;
}
