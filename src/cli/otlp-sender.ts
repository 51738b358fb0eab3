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
  /** No answer came: later exports fail at once, with this. */
  #unreachable: Error | undefined;

  constructor(url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal) {
    this.#url = url;
    this.#headers = headers;
    this.#signal = signal;
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    const sent = this.#unreachable
      ? Promise.reject(this.#unreachable)
      : this.#send(JSON.stringify(tracesData(spans)));
    sent.then(
      () => resultCallback({ code: ExportResultCode.SUCCESS }),
      (error: unknown) => resultCallback({ code: ExportResultCode.FAILED, error: asError(error) }),
    );
  }

  async shutdown(): Promise<void> {}

  async #send(body: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { response, text } = await this.#post(body);
      if (response.ok) return;
      if (!retryable.has(response.status) || attempt === attempts)
        throw new Error(`${this.#url} answered ${response.status}: ${text.slice(0, 300)}`);
      await this.#wait(delayOf(response.headers.get("retry-after"), attempt));
    }
  }

  async #post(body: string): Promise<{ response: Response; text: string }> {
    const headers = { "content-type": "application/json", ...this.#headers };
    try {
      const response = await fetch(this.#url, { method: "POST", headers, body, signal: this.#signal });
      return { response, text: await response.text() };
    } catch (error) {
      this.#unreachable = unreachable(this.#url, error);
      throw this.#unreachable;
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

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/** `fetch failed` says nothing: its cause does. */
function unreachable(url: string, error: unknown): Error {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : asError(error);
  return new Error(`${url} does not answer: ${cause.message || String(cause)}`);
}
