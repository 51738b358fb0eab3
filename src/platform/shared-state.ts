/**
 * State of the process that all copies of this package share, of this version or another. A program has two copies where it
 * loads the package with `import` and with `require`, or in a bundle and beside it.
 */

const slots = globalThis as unknown as Record<symbol, object | undefined>;

/**
 * The state of this name, which the first copy to ask makes. `name` ends with a version: a change of the members of the
 * state needs the next one.
 */
export function sharedState<T extends object>(name: string, make: () => T): T {
  const slot = Symbol.for(`opentelemetry-exporter-crash-safe-file/${name}`);
  slots[slot] ??= make();
  return slots[slot] as T;
}
