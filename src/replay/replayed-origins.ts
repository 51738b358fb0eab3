/** The resources and instrumentation scopes of replayed spans, as the tables of their document have them. */
import { isRecord } from "../format/json-value.js";
import type { TraceFile, TraceSpan } from "../format/trace-file.js";
import { type ResourceLike, unknownService } from "../otel/resource.js";
import type { ReadableSpan } from "../otel/types.js";

const ATTR_SERVICE_NAME = "service.name";

/** A resource as exporters read it. */
export type ReplayedResource = ResourceLike & { readonly schemaUrl?: string };

export class ReplayedOrigins {
  readonly #tables: Pick<TraceFile, "resources" | "scopes">;
  readonly #absent: ResourceLike;
  /** By key: exporters group spans by the object of their resource. */
  readonly #resources = new Map<string, ReplayedResource>();

  /** `absent`: the resource of spans that have none, from documents of 0.1.0 or of another tracer. */
  constructor(tables: Pick<TraceFile, "resources" | "scopes">, absent: ResourceLike) {
    this.#tables = tables;
    this.#absent = absent;
  }

  resource({ resource: key }: TraceSpan): ReplayedResource {
    if (typeof key !== "string") return this.#absent;
    const known = this.#resources.get(key);
    if (known) return known;
    const record: unknown = this.#tables.resources?.[key];
    if (!isRecord(record) || !isRecord(record.attributes)) return this.#absent;
    const { schemaUrl } = record;
    const attributes = this.#named(record.attributes);
    const resource = { attributes, ...(typeof schemaUrl === "string" && { schemaUrl }) };
    this.#resources.set(key, resource);
    return resource;
  }

  /** The SDK names a service without a name `unknown_service:<program>`: a name that the replay has counts more. */
  #named(attributes: Record<string, unknown>): Record<string, unknown> {
    const { [ATTR_SERVICE_NAME]: name = unknownService } = attributes;
    const given = this.#absent.attributes[ATTR_SERVICE_NAME];
    const isKnown = !String(name).startsWith(unknownService) || String(given).startsWith(unknownService);
    return isKnown ? attributes : { ...attributes, [ATTR_SERVICE_NAME]: given };
  }

  /** The scope of a span; `named`: the name and the version that the span itself has. */
  scope(
    { scope: key }: TraceSpan,
    named: ReadableSpan["instrumentationScope"],
  ): ReadableSpan["instrumentationScope"] {
    const record: unknown = typeof key === "string" ? this.#tables.scopes?.[key] : undefined;
    if (!isRecord(record)) return named;
    const { attributes, schemaUrl } = record;
    return {
      ...named,
      ...(typeof schemaUrl === "string" && { schemaUrl }),
      ...(isRecord(attributes) && { attributes }),
    };
  }
}
