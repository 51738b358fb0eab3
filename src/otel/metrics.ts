/**
 * Metrics of our exporters and processors, by the semantic conventions ("OTel SDK metrics"), where the host gives a
 * meter provider.
 *
 * What they tell is counted anyway: all but the durations are read when the provider collects, and cost a span
 * nothing. A provider that throws costs its metrics, and nothing else.
 */
import type { Attributes, Histogram, Meter, MeterProvider } from "@opentelemetry/api";
import type { OptionCheck } from "../platform/options.js";
import { SESSION_SCOPE } from "./semantic-conventions.js";

/** How many of each type there have been, in both copies of this package (ES module and CommonJS) together. */
const slot = Symbol.for("opentelemetry-exporter-crash-safe-file/components/1");
const slots = globalThis as unknown as Record<symbol, Map<string, number> | undefined>;

/** Spans that have come to their end here. */
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
  /** Whether the histogram is at work: what it records itself is not measured, and comes to an end. */
  #isRecording = false;
  /** What ends with the component. */
  readonly #states: (() => void)[] = [];

  /**
   * @param type the class, as its user knows it
   * @param onFault told once of a provider that throws
   */
  constructor(type: string, provider: MeterProvider | undefined, onFault: (error: unknown) => void) {
    this.#onFault = onFault;
    this.#attributes = { "otel.component.type": type };
    if (provider === undefined) return;
    slots[slot] ??= new Map();
    const number = slots[slot].get(type) ?? 0;
    slots[slot].set(type, number + 1);
    this.#attributes["otel.component.name"] = `${type}/${number}`;
    this.#guard(() => {
      this.#meter = provider.getMeter(SESSION_SCOPE);
    });
  }

  /** Spans that are over; counted after {@link stop}, too. */
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

  /** A number of spans that goes up and down. After {@link stop} it is `last`, or what it was then. */
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

  /** How long operations take; see {@link record}. */
  durations(name: string, description: string): void {
    this.#guard(() => {
      const advice = { explicitBucketBoundaries: [] };
      this.#duration = this.#meter?.createHistogram(name, { unit: "s", description, advice });
    });
  }

  /** One operation, and why it failed, if it did. */
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

  /** The component has ended. Its numbers stay: a provider collects the last ones after it. */
  stop(): void {
    for (const stop of this.#states.splice(0)) stop();
  }

  #with(errorType: string): Attributes {
    return { ...this.#attributes, "error.type": errorType };
  }

  /** What throws once is not asked again. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#meter = undefined;
      this.#onFault(error);
    }
  }
}
