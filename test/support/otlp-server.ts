/**
 * The tests' own collector: receives OTLP over HTTP as JSON and protobuf, decodes it with the official decoder, and
 * fails on request.
 */
import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import root from "otlp-decoder/build/src/generated/root.js";

/** A span in the shape that JSON, protobuf and the SDK share. */
export interface PlainSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** `SpanKind` of the API. */
  readonly kind: number;
  /** Nanoseconds since the epoch. */
  readonly start: bigint;
  readonly end: bigint;
  readonly status: { readonly code: number; readonly message: string };
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly PlainEvent[];
  readonly links: readonly PlainLink[];
  /** The number of attributes left out before. */
  readonly dropped: { readonly attributes: number; readonly events: number; readonly links: number };
  readonly resource: Readonly<Record<string, unknown>>;
  readonly scope: string;
}

interface PlainEvent {
  readonly name: string;
  /** Nanoseconds since the epoch. */
  readonly time: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
}

interface PlainLink {
  readonly traceId: string;
  readonly spanId: string;
  /** Absent where there are none. */
  readonly attributes?: Readonly<Record<string, unknown>>;
}

/** The server's answer to a request: accept it, never answer, cut the connection, or return a status. */
export type Behaviour = "take" | "hang" | "refuse" | number;

export class OtlpServer {
  /** The answer to all requests from now on. */
  behaviour: Behaviour = "take";
  /** Accepted spans, in order. */
  readonly spans: PlainSpan[] = [];
  /** Content types of all requests, accepted or not. */
  readonly requests: string[] = [];
  readonly #server: Server;
  readonly #events = new EventEmitter();

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => void this.#receive(request, response));
  }

  static async start(): Promise<OtlpServer> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new OtlpServer(server);
  }

  /** The value for `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The value for the option `url` of an exporter. */
  get url(): string {
    return `${this.endpoint}/v1/traces`;
  }

  get names(): string[] {
    return this.spans.map(({ name }) => name);
  }

  /** Resolves when the condition holds, checked after every request. */
  async until(condition: (server: this) => boolean): Promise<void> {
    while (!condition(this)) await once(this.#events, "request");
  }

  /** Also ends requests that hang. Idempotent. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { behaviour } = this;
    const type = request.headers["content-type"] ?? "";
    const body = Buffer.concat(await request.toArray());
    if (behaviour === "take") this.spans.push(...decode(type, body));
    this.requests.push(type);
    if (behaviour === "refuse") request.socket.destroy();
    else if (behaviour === "take") response.writeHead(200, { "content-type": type }).end(emptyAnswer(type));
    else if (behaviour !== "hang") response.writeHead(behaviour, { "retry-after": "0" }).end();
    this.#events.emit("request");
  }
}

const emptyAnswer = (type: string) => (type.includes("json") ? "{}" : "");

interface OtlpValue {
  readonly stringValue?: string | null;
  readonly boolValue?: boolean | null;
  readonly intValue?: string | number | null;
  readonly doubleValue?: number | null;
  readonly arrayValue?: { readonly values: readonly OtlpValue[] } | null;
}
type OtlpAttributes = readonly { readonly key: string; readonly value: OtlpValue }[] | undefined;

/** The request in the JSON form. Protobuf has bytes for ids. */
interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly resource?: { readonly attributes?: OtlpAttributes };
    readonly scopeSpans: readonly {
      readonly scope?: { readonly name?: string };
      readonly spans: readonly OtlpSpan[];
    }[];
  }[];
}
interface OtlpSpan {
  readonly traceId: string | Uint8Array;
  readonly spanId: string | Uint8Array;
  readonly parentSpanId?: string | Uint8Array;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string | number;
  readonly endTimeUnixNano: string | number;
  readonly attributes?: OtlpAttributes;
  readonly status?: { readonly code?: number; readonly message?: string };
  readonly events?: readonly {
    readonly name: string;
    readonly timeUnixNano: string | number;
    readonly attributes?: OtlpAttributes;
  }[];
  readonly links?: readonly {
    readonly traceId: string | Uint8Array;
    readonly spanId: string | Uint8Array;
    readonly attributes?: OtlpAttributes;
  }[];
  readonly droppedAttributesCount?: number;
  readonly droppedEventsCount?: number;
  readonly droppedLinksCount?: number;
}

function decode(type: string, body: Buffer): PlainSpan[] {
  const { resourceSpans } = type.includes("json")
    ? (JSON.parse(body.toString()) as OtlpRequest)
    : fromProtobuf(body);
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ scope, spans }) =>
      spans.map((span) => ({
        traceId: hex(span.traceId) ?? "",
        spanId: hex(span.spanId) ?? "",
        parentSpanId: hex(span.parentSpanId),
        name: span.name,
        kind: span.kind - 1, // OTLP counts from 1, with 0 for "unspecified".
        start: BigInt(span.startTimeUnixNano),
        end: BigInt(span.endTimeUnixNano),
        status: { code: span.status?.code ?? 0, message: span.status?.message ?? "" },
        attributes: record(span.attributes),
        events: (span.events ?? []).map((event) => ({
          name: event.name,
          time: BigInt(event.timeUnixNano),
          attributes: record(event.attributes),
        })),
        links: (span.links ?? []).map((link) => ({
          traceId: hex(link.traceId) ?? "",
          spanId: hex(link.spanId) ?? "",
          ...(link.attributes && link.attributes.length > 0 && { attributes: record(link.attributes) }),
        })),
        dropped: {
          attributes: span.droppedAttributesCount ?? 0,
          events: span.droppedEventsCount ?? 0,
          links: span.droppedLinksCount ?? 0,
        },
        resource: record(resource?.attributes),
        scope: scope?.name ?? "",
      })),
    ),
  );
}

/** The generated code has no types. */
interface Generated {
  decode(body: Uint8Array): object;
  toObject(message: object, options: { longs: StringConstructor }): object;
}

function fromProtobuf(body: Buffer): OtlpRequest {
  const message: Generated = get(
    root,
    "opentelemetry",
    "proto",
    "collector",
    "trace",
    "v1",
    "ExportTraceServiceRequest",
  );
  return message.toObject(message.decode(body), { longs: String }) as OtlpRequest;
}

const get = <T>(from: unknown, ...path: string[]): T =>
  path.reduce((value, key) => (value as Record<string, unknown>)[key], from) as T;

function hex(id: string | Uint8Array | undefined): string | undefined {
  const text = typeof id === "string" ? id : Buffer.from(id ?? []).toString("hex");
  return text === "" ? undefined : text;
}

const record = (attributes: OtlpAttributes): Record<string, unknown> =>
  Object.fromEntries((attributes ?? []).map(({ key, value }) => [key, plain(value)]));

function plain(value: OtlpValue): unknown {
  if (value.arrayValue) return value.arrayValue.values.map(plain);
  if (typeof value.intValue === "string" || typeof value.intValue === "number") {
    // A real collector refuses the whole request for it.
    if (Math.abs(Number(value.intValue)) > 2 ** 63)
      throw new RangeError(`${value.intValue} is no 64-bit integer`);
    return Number(value.intValue);
  }
  return value.stringValue ?? value.boolValue ?? value.doubleValue;
}
