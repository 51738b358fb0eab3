/**
 * The resources and instrumentation scopes of one exporter's spans: the keys that documents have for them, and their
 * records, which are read and redacted once.
 *
 * The key of a resource is a hash of its record: writers of one session agree on it, and its lines can be copied. While
 * detectors of the resource have not finished, the record will change: then the key is a random one.
 */
import { createHash, randomBytes } from "node:crypto";
import { toJsonValue } from "../format/json-value.js";
import { originMember } from "../format/origins.js";
import type { ResourceRecord, ScopeRecord, SessionMetadata } from "../format/trace-file.js";
import { reports } from "../otel/diagnostics.js";
import { type DetectedResource, knownAttributes } from "../otel/resource.js";
import type { ReadableSpan } from "../otel/types.js";
import { withTimeout } from "../platform/async.js";
import { tryOr } from "../platform/errors.js";
import { RecentMap } from "../platform/recent-map.js";
import type { SpanOrigin } from "../projection/project-span.js";
import type { ContentFilter } from "./content-filter.js";

/** A session, or a trace that names none yet: gets the attributes that detectors have found late. */
export interface Learner {
  learn(metadata: Partial<SessionMetadata>): void;
}

/** The origin of spans, and what it adds to the metadata of their sessions. */
export interface KnownOrigin extends SpanOrigin {
  readonly metadata: Partial<SessionMetadata>;
}

/** Detectors may never finish: so many sessions wait for them at most. Another session has the record with its next span. */
const maxWaiting = 1_000;

/** A resource. */
interface KnownResource {
  readonly key: string;
  metadata: Partial<SessionMetadata>;
  /** Sessions with spans of the resource, by the key of the caller; absent once the detectors have finished. */
  waiting: Map<string, Learner> | undefined;
  /** Resolves when the detectors have finished. */
  readonly settled: Promise<void> | undefined;
}

/** Longest wait for the detectors of a resource. Some detectors send requests to services in the network. */
const detectorMillis = 2_000;

const none: KnownOrigin = { metadata: {} };

const keyLength = 10;

export class SpanOrigins {
  readonly #filter: ContentFilter | undefined;
  readonly #resources = new WeakMap<object, KnownResource>();
  readonly #scopes = new WeakMap<
    object,
    { readonly key: string; readonly metadata: Partial<SessionMetadata> } | "plain"
  >();
  /** Resources whose detectors have not finished. */
  readonly #pending = new Set<KnownResource>();
  /** The result for the last span: most spans have the resource and the scope of the span before. */
  #last:
    | {
        readonly resource: object;
        readonly known: KnownResource;
        readonly metadata: object;
        readonly scope: object;
        readonly origin: KnownOrigin;
      }
    | undefined;

  constructor(filter: ContentFilter | undefined) {
    this.#filter = filter;
  }

  /** The origin of a span. Never throws: an origin that cannot be read is none. */
  of(span: ReadableSpan): KnownOrigin {
    return tryOr(() => this.#of(span.resource, span.instrumentationScope), none);
  }

  /** The learner gets the record of the span's resource again when detectors have finished. `key`: the same for one session. */
  whenSettled(span: ReadableSpan, key: string, learner: Learner): void {
    if (this.#pending.size === 0) return;
    const waiting = tryOr(() => this.#resources.get(span.resource)?.waiting, undefined);
    if (waiting && (waiting.has(key) || waiting.size < maxWaiting)) waiting.set(key, learner);
  }

  /** Resolves when the detectors of all resources have finished, or after a while; `undefined` if they have. */
  settled(): Promise<void> | undefined {
    if (this.#pending.size === 0) return undefined;
    const all = Promise.all([...this.#pending].map(({ settled }) => settled));
    const error = () => new Error("the detectors of a resource have not finished");
    return withTimeout((bounded) => bounded(all), { millis: detectorMillis, error }).then(
      () => {},
      () => {},
    );
  }

  #of(resource: DetectedResource, scope: ReadableSpan["instrumentationScope"]): KnownOrigin {
    const last = this.#last;
    if (last?.resource === resource && last.scope === scope && last.metadata === last.known.metadata)
      return last.origin;
    const known = this.#resources.get(resource) ?? this.#begin(resource);
    const named = this.#scopes.get(scope) ?? this.#beginScope(scope);
    const keepsOriginals = this.#filter?.redacts !== true;
    const origin =
      named === "plain"
        ? { resource: known.key, metadata: known.metadata, keepsOriginals }
        : {
            resource: known.key,
            scope: named.key,
            metadata: { ...known.metadata, ...named.metadata },
            keepsOriginals,
          };
    this.#last = { resource, known, metadata: known.metadata, scope, origin };
    return origin;
  }

  #begin(resource: DetectedResource): KnownResource {
    const record = this.#recordOf(resource);
    const isPending =
      resource.asyncAttributesPending === true && typeof resource.waitForAsyncAttributes === "function";
    const key = isPending ? randomBytes(keyLength).toString("hex").slice(0, keyLength) : keyOf(record);
    const known: KnownResource = {
      key,
      metadata: isPending ? originMember("resources", key, record) : shared("resources", key, record),
      waiting: isPending ? new Map() : undefined,
      settled: isPending ? this.#settle(resource) : undefined,
    };
    this.#resources.set(resource, known);
    if (isPending) this.#pending.add(known);
    return known;
  }

  async #settle(resource: DetectedResource): Promise<void> {
    await tryOr(() => resource.waitForAsyncAttributes?.(), undefined)?.catch(() => {});
    const known = this.#resources.get(resource);
    if (!known) return;
    const waiting = known.waiting ?? new Map<string, Learner>();
    known.metadata = originMember("resources", known.key, this.#recordOf(resource));
    known.waiting = undefined;
    this.#pending.delete(known);
    // A session reports its faults itself; code of the host, which gets the reports, runs after the last one.
    reports.during(() => {
      for (const learner of waiting.values()) tryOr(() => learner.learn(known.metadata), undefined);
    });
  }

  #recordOf(resource: DetectedResource): ResourceRecord {
    const attributes = this.#shown(knownAttributes(resource), "resource");
    const { schemaUrl } = resource;
    return { attributes, ...(typeof schemaUrl === "string" && schemaUrl !== "" && { schemaUrl }) };
  }

  /** A scope with a name and a version only is among the attributes of its spans, as in 0.1.0. */
  #beginScope(scope: ReadableSpan["instrumentationScope"]) {
    const { name, version, schemaUrl, attributes } = scope;
    const known = scopeRecord(name, version, schemaUrl, attributes && this.#shown(attributes, "scope"));
    const isPlain = known.schemaUrl === undefined && known.attributes === undefined;
    const key = keyOf(known);
    const entry = isPlain ? ("plain" as const) : { key, metadata: shared("scopes", key, known) };
    this.#scopes.set(scope, entry);
    return entry;
  }

  #shown(attributes: Readonly<Record<string, unknown>>, at: "resource" | "scope"): Record<string, unknown> {
    const plain = toJsonValue(attributes) as Record<string, unknown>;
    return this.#filter?.origin(plain, at) ?? plain;
  }
}

function scopeRecord(
  name: string,
  version: string | undefined,
  schemaUrl: string | undefined,
  attributes: Record<string, unknown> | undefined,
): ScopeRecord {
  return {
    name: String(name),
    ...(version && { version }),
    ...(schemaUrl && { schemaUrl }),
    ...(attributes && Object.keys(attributes).length > 0 && { attributes }),
  };
}

/** Exporters of one process share the objects of equal origins: a session compares objects first. */
const interned = new RecentMap<string, Partial<SessionMetadata>>(1_000);

function shared(table: "resources" | "scopes", key: string, record: ResourceRecord | ScopeRecord) {
  const known = interned.get(key) ?? originMember(table, key, record);
  interned.set(key, known);
  return known;
}

const keyOf = (record: object): string =>
  createHash("sha256").update(JSON.stringify(record)).digest("hex").slice(0, keyLength);
