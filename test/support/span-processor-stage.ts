/**
 * The stage of the span processor: a clock moved by hand, scripted exporters, real spans of the SDK, and a diag
 * logger that keeps its messages.
 */
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { BasicTracerProvider, type SpanProcessor } from "@opentelemetry/sdk-trace-base";
import type { ReadableSpan, SpanExporter } from "../../src/otel/types.js";
import type { Clock, Timer } from "../../src/platform/clock.js";

/** Time changes only by {@link HandClock.advance}. */
export class HandClock implements Clock {
  #now = 0;
  #timers: Array<{ at: number; run: () => void }> = [];

  now = () => this.#now;
  monotonic = () => this.#now;

  after(millis: number, run: () => void): Timer {
    const timer = { at: this.#now + millis, run };
    this.#timers.push(timer);
    return { cancel: () => this.#remove(timer) };
  }

  every(): Timer {
    throw new Error("the processor has no recurring work");
  }

  /** Timers that have neither fired nor been cancelled. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Fires due timers, in order of time, and lets promises settle after each. */
  async advance(millis: number): Promise<void> {
    const end = this.#now + millis;
    await settled();
    while (this.#fireNext(end)) await settled();
    this.#now = end;
    await settled();
  }

  /** Fires due timers, in order of time, all in one turn. */
  jump(millis: number): void {
    const end = this.#now + millis;
    while (this.#fireNext(end));
    this.#now = end;
  }

  #fireNext(end: number): boolean {
    const [next] = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
    if (next === undefined) return false;
    this.#now = next.at;
    this.#remove(next);
    next.run();
    return true;
  }

  #remove(timer: { at: number }): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
  }
}

/** Resolves when everything that can happen without time passing has happened. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

export const success: ExportResult = { code: ExportResultCode.SUCCESS };
export const failure = (message: string): ExportResult => ({
  code: ExportResultCode.FAILED,
  error: new Error(message),
});

/** One `export()` call. The test answers it. */
export interface ExportCall {
  readonly names: string[];
  answer(result?: ExportResult): void;
}

/** Notes its calls and answers none by itself, unless given a `reply`. */
export class ScriptedExporter implements SpanExporter {
  readonly calls: ExportCall[] = [];
  readonly log: string[] = [];
  concurrent = 0;
  mostConcurrent = 0;

  constructor(private readonly reply?: (call: ExportCall, number: number) => void) {}

  get names(): string[] {
    return this.calls.flatMap(({ names }) => names);
  }

  call(index: number): ExportCall {
    const call = this.calls[index];
    if (call === undefined) throw new Error(`export() was called ${this.calls.length} times`);
    return call;
  }

  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    this.concurrent++;
    this.mostConcurrent = Math.max(this.mostConcurrent, this.concurrent);
    let answered = false;
    const call = {
      names: spans.map(({ name }) => name),
      answer: (result = success) => {
        if (!answered) this.concurrent--;
        answered = true;
        this.log.push(`answered ${call.names.length}`);
        resultCallback(result);
      },
    };
    this.calls.push(call);
    this.log.push(`export ${call.names.length}`);
    this.reply?.(call, this.calls.length);
  }

  async forceFlush(): Promise<void> {
    this.log.push("forceFlush");
  }

  async shutdown(): Promise<void> {
    this.log.push("shutdown");
  }
}

/** A tracer whose spans go to `processor`, and nothing else. */
export function tracerInto(processor: SpanProcessor) {
  return new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("test");
}

/** Starts and ends `count` spans in one turn, named by `prefix` and number from 1. */
export function endSpans(processor: SpanProcessor, count: number, prefix = "span "): string[] {
  const tracer = tracerInto(processor);
  const names = Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);
  for (const name of names) tracer.startSpan(name).end();
  return names;
}

/** The messages that `diag` gets from now on. */
export function listenToDiag(): string[] {
  const reported: string[] = [];
  const report = (message: string) => void reported.push(message);
  const logger = { error: report, warn: report, info: report, debug: () => {}, verbose: () => {} };
  diag.setLogger(logger, { logLevel: DiagLogLevel.ALL, suppressOverrideMessage: true });
  return reported;
}

/** Whether the promise is still pending, after everything that can happen without time passing. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  const end = () => {
    pending = false;
  };
  promise.then(end, end);
  await settled();
  return pending;
}
