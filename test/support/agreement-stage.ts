/**
 * One session, five documents: from its records, and from its spans' attributes alone as they arrive through the
 * processor of this package, a stock processor, OTLP as JSON and OTLP as protobuf.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { context, type Tracer } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type SpanExporter,
  type SpanLimits,
} from "@opentelemetry/sdk-trace-base";
import { vi } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import type { ReadableSpan, SpanProcessor } from "../../src/otel/types.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { createSessionTracing, type SessionTracing } from "../../src/tracer/session-tracing.js";
import { BareSpans, receivedSpan } from "./bare-spans.js";
import { OtlpServer } from "./otlp-server.js";

export const ways = ["our processor", "a stock processor", "OTLP as JSON", "OTLP as protobuf"] as const;
export type Way = (typeof ways)[number];

/** The played calls. They end their sessions themselves. */
export type Play = (tracing: SessionTracing, foreign: Tracer) => void | Promise<void>;

/** The documents of a play, by session and way. */
export interface PlayedDocuments {
  readonly records: Readonly<Record<string, TraceFile>>;
  readonly attributes: Readonly<Record<Way, Readonly<Record<string, TraceFile>>>>;
}

/** Differences between plays. */
export interface Staging {
  /** The end of the sessions in documents made from attributes, which carry no end. Default: completed. */
  readonly end?: { readonly error: string } | { readonly crash: string } | "still running" | undefined;
  /** A host's provider with limits of its own. */
  readonly host?: SpanLimits;
}

/** The start of every play, and its time unless the play sets another. */
export const begin = Date.UTC(2026, 0, 2, 3, 4, 5);

/** Plays once, and returns the documents of five exporters. */
export async function reported(play: Play, { end, host }: Staging = {}): Promise<PlayedDocuments> {
  vi.useFakeTimers({ toFake: ["Date"], now: begin });
  const stage = new AgreementStage(await OtlpServer.start(), await OtlpServer.start());
  const tracing = stage.tracing(host);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  try {
    await play(tracing, tracing.tracerProvider.getTracer("foreign"));
    await stage.flush();
    await stage.receive();
    await stage.flush();
    const ids = Object.keys(stage.reported().records);
    if (end !== "still running") await stage.end(ids, end);
    return stage.reported();
  } finally {
    context.disable();
    await stage.close();
    vi.useRealTimers();
  }
}

class AgreementStage {
  readonly #dir = mkdtempSync(join(tmpdir(), "agreement-"));
  readonly #json: OtlpServer;
  readonly #protobuf: OtlpServer;
  readonly #records = this.#exporter("records");
  /** Each exporter gets spans without records. */
  readonly #bare = Object.fromEntries(ways.map((way) => [way, this.#exporter(way)])) as Readonly<
    Record<Way, CrashSafeFileSpanExporter>
  >;
  readonly #senders: readonly OneByOne[];
  readonly #processors: readonly SpanProcessor[];

  constructor(json: OtlpServer, protobuf: OtlpServer) {
    this.#json = json;
    this.#protobuf = protobuf;
    this.#senders = [
      new OneByOne(new JsonExporter({ url: json.url })),
      new OneByOne(new ProtobufExporter({ url: protobuf.url })),
    ];
    this.#processors = [
      new CrashSafeSpanProcessor(this.#records),
      new BareSpans(new CrashSafeSpanProcessor(this.#bare["our processor"])),
      new BareSpans(batched(this.#bare["a stock processor"])),
      ...this.#senders.map(batched),
    ];
  }

  tracing(host: SpanLimits | undefined): SessionTracing {
    const processors = [...this.#processors];
    if (!host) return createSessionTracing({ processors });
    const spanProcessors = processors as unknown as BatchSpanProcessor[];
    const tracerProvider = new BasicTracerProvider({ spanLimits: host, spanProcessors });
    return createSessionTracing({ tracerProvider, processors });
  }

  async flush(): Promise<void> {
    for (const processor of this.#processors) await processor.forceFlush();
    for (const sender of this.#senders) await sender.forceFlush();
    for (const way of ways) await this.#bare[way].forceFlush();
  }

  /** The spans that the collectors got, in their documents. */
  async receive(): Promise<void> {
    await exported(this.#bare["OTLP as JSON"], this.#json.spans.map(receivedSpan));
    await exported(this.#bare["OTLP as protobuf"], this.#protobuf.spans.map(receivedSpan));
  }

  async end(ids: readonly string[], end: Exclude<Staging["end"], "still running">): Promise<void> {
    for (const way of ways) {
      const exporter = this.#bare[way];
      if (end && "crash" in end) exporter.crash(end.crash);
      else await Promise.all(ids.map((id) => exporter.endSession(id, end)));
    }
  }

  reported(): PlayedDocuments {
    const documents = (name: string) => documentsIn(join(this.#dir, name.replaceAll(" ", "-")));
    const attributes = Object.fromEntries(
      ways.map((way) => [way, documents(way)]),
    ) as PlayedDocuments["attributes"];
    return { records: documents("records"), attributes };
  }

  async close(): Promise<void> {
    await Promise.all(this.#processors.map((processor) => processor.shutdown()));
    for (const way of ways) await this.#bare[way].shutdown();
    await Promise.all([this.#json.close(), this.#protobuf.close()]);
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #exporter(name: string): CrashSafeFileSpanExporter {
    return new CrashSafeFileSpanExporter({ dir: join(this.#dir, name.replaceAll(" ", "-")) });
  }
}

/**
 * The stock processor neither waits for the previous batch nor flushes it, so two batches in flight could arrive in
 * any order.
 */
class OneByOne implements SpanExporter {
  readonly #exporter: SpanExporter;
  #sent: Promise<void> = Promise.resolve();

  constructor(exporter: object) {
    this.#exporter = exporter as SpanExporter;
  }

  export(...[spans, done]: Parameters<SpanExporter["export"]>): void {
    const send = () =>
      new Promise<void>((resolve) =>
        this.#exporter.export(spans, (result) => {
          done(result);
          resolve();
        }),
      );
    this.#sent = this.#sent.then(send);
  }

  forceFlush(): Promise<void> {
    return this.#sent;
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }
}

/** Room for any play. Drops of the stock processor are not tested here. */
const batched = (exporter: object): SpanProcessor =>
  new BatchSpanProcessor(exporter as SpanExporter, {
    maxQueueSize: 100_000,
    maxExportBatchSize: 100_000,
    scheduledDelayMillis: 3_600_000,
  }) as unknown as SpanProcessor;

const exported = (exporter: CrashSafeFileSpanExporter, spans: ReadableSpan[]): Promise<void> =>
  new Promise((resolve, reject) => {
    exporter.export(spans, ({ error }) => (error ? reject(error) : resolve()));
  });

function documentsIn(dir: string): Record<string, TraceFile> {
  if (!existsSync(dir)) return {};
  const files = readdirSync(dir).filter((name) => name.endsWith(".json"));
  const documents = files.map((name): TraceFile => JSON.parse(readFileSync(join(dir, name), "utf8")));
  return Object.fromEntries(documents.map((document) => [document.id as string, document]));
}
