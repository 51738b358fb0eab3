/**
 * The parts of the OpenTelemetry SDK that this package uses, as structural types of our own.
 *
 * The types of the SDK would tie the type check of every user to one SDK line. These types are assignable from and to the
 * `ReadableSpan`, `SpanExporter` and `SpanProcessor` of 2.x and 3.x.
 */
import type { Context } from "@opentelemetry/api";

/** Seconds and nanoseconds. */
export type HrTime = [number, number];

/**
 * How an export went, as the SDK counts it.
 *
 * Our own copy of two declarations of `@opentelemetry/core`: for them alone the package would have one more peer, and npm
 * logs "ERESOLVE overriding peer dependency" where an SDK brings another core than the newest one.
 */
export interface ExportResult {
  /** {@link ExportResultCode} */
  code: number;
  /** Why the export failed. */
  error?: Error;
}

/** Codes of an {@link ExportResult}. */
export const ExportResultCode = { SUCCESS: 0, FAILED: 1 } as const;

/** A span as the SDK passes it to processors and exporters. */
export interface ReadableSpan {
  readonly name: string;
  readonly kind: number;
  readonly spanContext: () => {
    readonly traceId: string;
    readonly spanId: string;
    readonly traceFlags: number;
    readonly traceState?: { serialize(): string } | undefined;
  };
  readonly parentSpanContext?:
    | {
        readonly traceId: string;
        readonly spanId: string;
        readonly traceFlags?: number | undefined;
        readonly isRemote?: boolean | undefined;
      }
    | undefined;
  readonly startTime: HrTime;
  /** `[0, 0]` while the span is open. */
  readonly endTime: HrTime;
  readonly status: { readonly code: number; readonly message?: string | undefined };
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly links: ReadonlyArray<{
    readonly context: {
      readonly traceId: string;
      readonly spanId: string;
      readonly traceFlags?: number | undefined;
      readonly isRemote?: boolean | undefined;
      readonly traceState?: { serialize(): string } | undefined;
    };
    readonly attributes?: Readonly<Record<string, unknown>> | undefined;
    readonly droppedAttributesCount?: number | undefined;
  }>;
  readonly events: ReadonlyArray<{
    readonly name: string;
    readonly time: HrTime;
    readonly attributes?: Readonly<Record<string, unknown>> | undefined;
    readonly droppedAttributesCount?: number | undefined;
  }>;
  readonly duration: HrTime;
  readonly ended: boolean;
  readonly resource: { readonly attributes: Readonly<Record<string, unknown>> };
  readonly instrumentationScope: {
    readonly name: string;
    readonly version?: string | undefined;
    readonly schemaUrl?: string | undefined;
    readonly attributes?: Readonly<Record<string, unknown>> | undefined;
  };
  readonly droppedAttributesCount: number;
  readonly droppedEventsCount: number;
  readonly droppedLinksCount: number;
}

/** A span that has just started: readable, and open to attributes. */
export interface StartedSpan extends ReadableSpan {
  /** Sets an attribute until the span ends. */
  setAttribute(key: string, value: string): unknown;
}

/** The destination of a processor. */
export interface SpanExporter {
  // Method syntax on purpose: parameters stay bivariant, so the exporters of both SDK lines are assignable.
  /** Exports ended spans, and calls back with success or failure. */
  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void;
  /** Flushes, then accepts no more spans. */
  shutdown(): Promise<void>;
  /** Resolves when all exported spans have arrived. */
  forceFlush?(): Promise<void>;
}

/** Receives the starts and ends of the spans of a provider. */
export interface SpanProcessor {
  // Method syntax for the reason above.
  /** A span has started. */
  onStart(span: StartedSpan, parentContext: Context): void;
  /** A span has ended. */
  onEnd(span: ReadableSpan): void;
  /** Resolves when all ended spans are exported. */
  forceFlush(): Promise<void>;
  /** Flushes, then accepts no more spans. */
  shutdown(): Promise<void>;
}

/**
 * An exporter that gets spans at once instead of in batches. The processor calls the methods synchronously from `onStart`
 * and `onEnd`, and does not pass these spans to `export`. `shutdown` writes all that `forceFlush` would write: the
 * processor does not call both.
 */
export interface LiveSpanExporter extends SpanExporter {
  /** A span has started. The start is safe when this returns. */
  recordStart(span: ReadableSpan, parentContext: Context): void;
  /** A span has ended. The span is safe when this returns. */
  recordEnd(span: ReadableSpan): void;
  /** The crash fence, synchronous: every span that ended before is in the file when this returns. */
  crash(reason?: string): void;
  /** Whether all documents are written after `shutdown`; a failed `shutdown` may be completed later. Default: unknown. */
  readonly stopped?: boolean;
}

/**
 * @internal The name of the method that process hooks call on the targets of this package, in place of `crash`: the
 * process may live on, and then the target goes on as well.
 */
export const provisionalFence: unique symbol = Symbol.for(
  "opentelemetry-exporter-crash-safe-file/provisional-fence/1",
);

/** @internal A target that goes on after the fence of a process hook, if its process does. */
export interface ProvisionalTarget extends CrashTarget {
  /**
   * Ends open spans and sessions before it returns, until something is recorded later. `reason` is for people, `detector`
   * is the name of the signal or of the exception, or `exit`.
   */
  [provisionalFence](reason: string, detector: string | undefined): void;
}

/** The target of a crash fence: an exporter, a processor or a session tracing of this package. */
export interface CrashTarget {
  /** Ends all open spans and sessions as crashed before it returns. `reason` is for people. */
  crash(reason?: string): void;
}
