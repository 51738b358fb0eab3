/**
 * The states that a component of this package goes through, and the only code that changes them.
 */

/**
 * - `open`: the component accepts work.
 * - `ending`: an orderly end was requested and is not confirmed yet.
 * - `ended`: the orderly end is confirmed.
 * - `crashed`: the crash fence ended the component. This state outranks the other ones and is final.
 */
export type LifecycleState = "open" | "ending" | "ended" | "crashed";

type LifecycleEvent = "end" | "confirm end" | "crash";

/** The state after an event; `undefined` where the event changes nothing. */
function stateAfter(state: LifecycleState, event: LifecycleEvent): LifecycleState | undefined {
  switch (event) {
    case "end":
      return state === "open" ? "ending" : undefined;
    case "confirm end":
      return state === "ending" ? "ended" : undefined;
    case "crash":
      return state === "crashed" ? undefined : "crashed";
  }
}

/** One life. Nothing reopens it: a resumed session or a restarted component gets a new one. */
export class Lifecycle {
  #state: LifecycleState = "open";

  get state(): LifecycleState {
    return this.#state;
  }

  /** Whether the component accepts work. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Requests the orderly end. `false` if the component was not open: then the state stays as it is. */
  end(): boolean {
    return this.#move("end");
  }

  /** Confirms the orderly end. `false` if none was requested, or if a crash overtook it. */
  confirmEnd(): boolean {
    return this.#move("confirm end");
  }

  /** Ends the component by the crash fence, in whatever state it is. `false` if it had crashed before. */
  crash(): boolean {
    return this.#move("crash");
  }

  #move(event: LifecycleEvent): boolean {
    const next = stateAfter(this.#state, event);
    if (next === undefined) return false;
    this.#state = next;
    return true;
  }
}
