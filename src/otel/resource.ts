/**
 * The resource that the environment describes (OpenTelemetry specification, "Resource SDK", "Specifying resource
 * information via an environment variable").
 */
import type { Environment } from "../platform/environment.js";

/** A resource of the SDK, or the attributes of one. */
export interface ResourceLike {
  readonly attributes: Readonly<Record<string, unknown>>;
}

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
