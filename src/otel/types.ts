/**
 * The parts of the OpenTelemetry SDK that we take and give, as structural types of our own.
 *
 * Importing the SDK's types would tie every user's type check to one SDK line; these are assignable from
 * and to the `ReadableSpan`, `SpanExporter` and `SpanProcessor` of 2.x and 3.x.
 */
import type { Context } from "@opentelemetry/api";

/** Seconds and nanoseconds. */
export type HrTime = [number, number];

/**
 * How an export went, as the SDK counts it.
 *
 * Our own copy of two declarations of `@opentelemetry/core`: npm cannot install a package that has the core as a peer
 * beside an SDK, because npm takes the newest core and not the one that the SDK brings (ERESOLVE, seen with sdk-node
 * 0.301 and npm 11).
 */
export interface ExportResult {
  /** {@link ExportResultCode} */
  code: number;
  /** Why the export failed. */
  error?: Error;
}

/** Codes of an {@link ExportResult}. */
export const ExportResultCode = { SUCCESS: 0, FAILED: 1 } as const;

/** A span as the SDK hands it to processors and exporters. */
export interface ReadableSpan {
  readonly name: string;
  readonly kind: number;
  readonly spanContext: () => {
    readonly traceId: string;
    readonly spanId: string;
    readonly traceFlags: number;
  };
  readonly parentSpanContext?: { readonly traceId: string; readonly spanId: string } | undefined;
  readonly startTime: HrTime;
  /** `[0, 0]` while the span is open. */
  readonly endTime: HrTime;
  readonly status: { readonly code: number; readonly message?: string | undefined };
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly links: ReadonlyArray<{
    readonly context: { readonly traceId: string; readonly spanId: string };
    readonly attributes?: Readonly<Record<string, unknown>> | undefined;
  }>;
  readonly events: ReadonlyArray<{
    readonly name: string;
    readonly time: HrTime;
    readonly attributes?: Readonly<Record<string, unknown>> | undefined;
  }>;
  readonly duration: HrTime;
  readonly ended: boolean;
  readonly resource: { readonly attributes: Readonly<Record<string, unknown>> };
  readonly instrumentationScope: { readonly name: string; readonly version?: string | undefined };
  readonly droppedAttributesCount: number;
  readonly droppedEventsCount: number;
  readonly droppedLinksCount: number;
}

/** A span that has just started: readable, and still open to attributes. */
export interface StartedSpan extends ReadableSpan {
  /** Sets one, until the span ends. */
  setAttribute(key: string, value: string): unknown;
}

/** What a processor exports to. */
export interface SpanExporter {
  // Method syntax on purpose: parameters stay bivariant, so either SDK line's exporter fits.
  /** Takes ended spans, and tells when they have arrived, or that they will not. */
  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void;
  /** Flushes, and takes no more. */
  shutdown(): Promise<void>;
  /** Resolves when what was exported has arrived. */
  forceFlush?(): Promise<void>;
}

/** What a provider tells of its spans. */
export interface SpanProcessor {
  // Method syntax for the same reason.
  /** A span has started. */
  onStart(span: StartedSpan, parentContext: Context): void;
  /** A span has ended. */
  onEnd(span: ReadableSpan): void;
  /** Resolves when what has ended is exported. */
  forceFlush(): Promise<void>;
  /** Flushes, and takes no more. */
  shutdown(): Promise<void>;
}

/**
 * An exporter that wants to know at once, not in batches. The processor calls these synchronously from
 * `onStart` and `onEnd`; a span that `recordEnd` has taken is not queued for `export`. Its `shutdown` writes all
 * that `forceFlush` would have written: the processor does not call both.
 */
export interface LiveSpanExporter extends SpanExporter {
  /** A span has started. Its start is safe when this returns. */
  recordStart(span: ReadableSpan, parentContext: Context): void;
  /** A span has ended. It is safe when this returns. */
  recordEnd(span: ReadableSpan): void;
  /** The crash fence: synchronous; everything ended before it is in the file when it returns. */
  crash(reason?: string): void;
}

/** Something that can be fenced: an exporter or a processor of ours. */
export interface CrashTarget {
  /** Ends what is open, as crashed, before it returns. `reason` is for people. */
  crash(reason?: string): void;
}
