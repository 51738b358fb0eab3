/** A real meter provider whose metrics a test reads at any time. */
import { type DataPoint, MeterProvider, type MetricData, MetricReader } from "@opentelemetry/sdk-metrics";

class HandReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/** One point: its metric, its component, its `error.type`, and its value or count. */
export interface Point {
  readonly metric: string;
  readonly component: unknown;
  readonly type: unknown;
  readonly error: unknown;
  readonly value: unknown;
}

export class CollectedMetrics {
  readonly #reader = new HandReader();
  readonly provider = new MeterProvider({ readers: [this.#reader] });

  /** All recorded metrics, with descriptions and types. */
  async metrics(): Promise<MetricData[]> {
    const { resourceMetrics, errors } = await this.#reader.collect();
    if (errors.length > 0) throw errors[0];
    return resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
  }

  /** All points. */
  async points(): Promise<Point[]> {
    return (await this.metrics()).flatMap(({ descriptor, dataPoints }) =>
      (dataPoints as DataPoint<number | { count: number }>[]).map(({ attributes, value }) => ({
        metric: descriptor.name,
        component: attributes["otel.component.name"],
        type: attributes["otel.component.type"],
        error: attributes["error.type"],
        value: typeof value === "number" ? value : value.count,
      })),
    );
  }

  /** Values by metric and, after a space, `error.type`. */
  async values(): Promise<Record<string, unknown>> {
    const points = await this.points();
    return Object.fromEntries(
      points.map(({ metric, error, value }) => [error ? `${metric} ${error}` : metric, value]),
    );
  }
}
