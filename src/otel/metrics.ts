/**
 * Metrics of our exporters and processors by the semantic conventions ("OTel SDK metrics"), if the host passes a meter
 * provider.
 *
 * All values but the durations are counted anyway and read when the provider collects, so they cost a span nothing. A
 * provider that throws loses its metrics and has no other effect.
 */
import type { Attributes, Histogram, Meter, MeterProvider } from "@opentelemetry/api";
import type { OptionCheck } from "../platform/options.js";
import { sharedState } from "../platform/shared-state.js";
import { SESSION_SCOPE } from "./semantic-conventions.js";

/** Number of components of each type so far, in all copies of this package (ES module and CommonJS). */
const components = sharedState("components/1", () => new Map<string, number>());

/** Spans whose processing or export has finished. */
export interface FinishedSpans {
  readonly done: number;
  /** By `error.type`. */
  readonly lostBy: Readonly<Record<string, number>>;
}

/** The option `selfObsMeterProvider`. */
export const meterProvider: OptionCheck<MeterProvider | undefined> = {
  allowed: "a MeterProvider",
  accepts: (value): value is MeterProvider | undefined =>
    value === undefined || typeof (value as MeterProvider | null)?.getMeter === "function",
};

export class ComponentMetrics {
  readonly #attributes: Attributes;
  readonly #onFault: (error: unknown) => void;
  #meter: Meter | undefined;
  #duration: Histogram | undefined;
  /** Whether the histogram is recording: spans that it records itself are not measured, which would recurse. */
  #isRecording = false;
  /** Freezes the states when the component ends. */
  readonly #states: (() => void)[] = [];

  /**
   * @param type the class as its user knows it
   * @param onFault called once with the error of a provider that throws
   */
  constructor(type: string, provider: MeterProvider | undefined, onFault: (error: unknown) => void) {
    this.#onFault = onFault;
    this.#attributes = { "otel.component.type": type };
    if (provider === undefined) return;
    const number = components.get(type) ?? 0;
    components.set(type, number + 1);
    this.#attributes["otel.component.name"] = `${type}/${number}`;
    this.#guard(() => {
      this.#meter = provider.getMeter(SESSION_SCOPE);
    });
  }

  /** Counts finished spans, also after {@link stop}. */
  counter(name: string, description: string, read: () => FinishedSpans): void {
    this.#guard(() => {
      const counter = this.#meter?.createObservableCounter(name, { unit: "{span}", description });
      counter?.addCallback((result) => {
        const { done, lostBy } = read();
        result.observe(done, this.#attributes);
        for (const [type, spans] of Object.entries(lostBy)) result.observe(spans, this.#with(type));
      });
    });
  }

  /** Reports a number of spans that goes up and down. After {@link stop} it is `last`, or its value at the stop. */
  state(name: string, description: string, read: () => number, last?: number): void {
    this.#guard(() => {
      const state = this.#meter?.createObservableUpDownCounter(name, { unit: "{span}", description });
      const now = { read };
      state?.addCallback((result) => result.observe(now.read(), this.#attributes));
      this.#states.push(() => {
        const value = last ?? read();
        now.read = () => value;
      });
    });
  }

  /** Measures operations; see {@link record}. */
  durations(name: string, description: string): void {
    this.#guard(() => {
      const advice = { explicitBucketBoundaries: [] };
      this.#duration = this.#meter?.createHistogram(name, { unit: "s", description, advice });
    });
  }

  /** Records one operation, and the `error.type` of a failed one. */
  record(millis: number, errorType: string | undefined): void {
    if (this.#duration === undefined || this.#isRecording) return;
    this.#isRecording = true;
    try {
      this.#duration.record(millis / 1_000, errorType ? this.#with(errorType) : this.#attributes);
    } catch (error) {
      this.#duration = undefined;
      this.#onFault(error);
    } finally {
      this.#isRecording = false;
    }
  }

  /** The component has ended. Its numbers stay, because a provider collects once more after the end. */
  stop(): void {
    for (const stop of this.#states.splice(0)) stop();
  }

  #with(errorType: string): Attributes {
    return { ...this.#attributes, "error.type": errorType };
  }

  /** After an exception the meter is not used again. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#meter = undefined;
      this.#onFault(error);
    }
  }
}
