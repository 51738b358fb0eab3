/**
 * Which session tracers have a session open: to be found by its id, and all of them to be fenced and ended.
 */
export class OpenSessions<T> {
  readonly #tracers = new Set<T>();
  readonly #byId = new Map<string, T>();

  /** Tracers with an open session. */
  get all(): T[] {
    return [...this.#tracers];
  }

  /** The tracer that opened the session last. */
  find(id: string): T | undefined {
    return this.#byId.get(id);
  }

  /** The tracer has opened that session. */
  enter(id: string, tracer: T): void {
    this.#tracers.add(tracer);
    this.#byId.set(id, tracer);
  }

  /** Its session has ended, or is about to. */
  leave(id: string, tracer: T): void {
    this.#tracers.delete(tracer);
    if (this.#byId.get(id) === tracer) this.#byId.delete(id);
  }
}
