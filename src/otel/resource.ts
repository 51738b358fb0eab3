/**
 * The resource that the environment describes (OpenTelemetry specification, "Resource SDK", "Specifying resource
 * information via an environment variable").
 */
import type { Environment } from "../platform/environment.js";

/** Names a service that has no name (OpenTelemetry semantic conventions, `service.name`). The SDK adds `:<program>`. */
export const unknownService = "unknown_service";

/** A resource of the SDK, or the attributes of one. */
export interface ResourceLike {
  /** The attributes of the resource. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** @internal A resource of the SDK whose detectors may not have finished. */
export interface DetectedResource extends ResourceLike {
  readonly asyncAttributesPending?: boolean;
  readonly schemaUrl?: string | undefined;
  /** Resolves when the detectors have finished. */
  waitForAsyncAttributes?(): Promise<void>;
  /** A value may be a promise. Of several values of one key the first counts. */
  getRawAttributes?(): readonly (readonly [string, unknown])[];
}

/**
 * @internal The attributes of a resource that are known by now. The SDK logs an error for each reading of `attributes`
 * before its detectors have finished, and there is one for each span.
 */
export function knownAttributes(resource: DetectedResource): Readonly<Record<string, unknown>> {
  const raw = resource.asyncAttributesPending ? resource.getRawAttributes?.() : undefined;
  if (!raw) return resource.attributes ?? {};
  const known = new Map<string, unknown>();
  for (const [key, value] of raw)
    if (value !== null && value !== undefined && !isThenable(value) && !known.has(key)) known.set(key, value);
  return Object.fromEntries(known);
}

const isThenable = (value: unknown): boolean =>
  typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";

/** @internal `OTEL_RESOURCE_ATTRIBUTES`, overridden by `OTEL_SERVICE_NAME`. A pair that cannot be decoded is skipped. */
export function resourceAttributesOf(env: Environment): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const pair of (env.OTEL_RESOURCE_ATTRIBUTES ?? "").split(",")) {
    const [key, value, ...rest] = pair.split("=").map(decoded);
    if (key && value && rest.length === 0) attributes[key] = value;
  }
  const name = env.OTEL_SERVICE_NAME?.trim();
  if (name) attributes["service.name"] = name;
  return attributes;
}

/** Percent-decodes a key or a value. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.trim());
  } catch {
    return undefined;
  }
}
