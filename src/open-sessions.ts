/**
 * Which session tracers have a session open: to be found by its id, and all of them to be fenced and ended.
 */

/** The part of a session tracer that matters here. */
export interface Tracing {
  readonly sessionId: string | undefined;
}

/** One stay of a tracer among the open ones. It may come again, with another session or the same. */
export interface Stay {
  readonly id: string;
}

export class OpenSessions<T extends Tracing> {
  readonly #stays = new Map<T, Stay>();
  readonly #byId = new Map<string, T>();

  /** Tracers whose session is open or about to end. */
  get all(): T[] {
    return [...this.#stays.keys()];
  }

  /** The tracer that opened the session last, unless it is about to end. */
  find(id: string): T | undefined {
    return this.#byId.get(id);
  }

  /** The tracer has opened the session that it names. */
  enter(tracer: T): void {
    this.retire(tracer);
    const id = tracer.sessionId;
    if (id === undefined) return;
    this.#stays.set(tracer, { id });
    this.#byId.set(id, tracer);
  }

  /** The tracer's session is about to end: whoever asks for its id from now on gets another tracer. */
  retire(tracer: T): Stay | undefined {
    const stay = this.#stays.get(tracer);
    if (stay && this.#byId.get(stay.id) === tracer) this.#byId.delete(stay.id);
    return stay;
  }

  /** That session has ended. Without effect when the tracer has opened one again meanwhile. */
  leave(tracer: T, stay: Stay | undefined): void {
    if (this.#stays.get(tracer) === stay) this.#stays.delete(tracer);
  }
}
