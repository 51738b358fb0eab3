/**
 * What a program has registered with the OpenTelemetry API. The API keeps it where each copy of the API looks, and has no
 * function that returns it: its own provider, which does nothing, differs by the name of its class, which a bundle shortens.
 */

interface Registered {
  readonly [key: symbol]:
    | { readonly diag?: object; readonly trace?: object; readonly context?: object }
    | undefined;
}

/** Whether a logger of `diag`, a tracer provider, or a context manager is registered. */
export const isRegistered = (part: "diag" | "trace" | "context"): boolean =>
  (globalThis as Registered)[Symbol.for("opentelemetry.js.api.1")]?.[part] !== undefined;
