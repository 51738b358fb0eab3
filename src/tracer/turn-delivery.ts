/**
 * Sends what there is when a turn has ended. Nobody waits for it: one flush at a time is under way, and one more
 * follows if turns ended meanwhile.
 */
import { report } from "../processor/span-loss.js";

/** A processor or a provider that sends spans away. */
export interface Flushable {
  forceFlush(): Promise<void>;
}

export class TurnDelivery {
  #state: "idle" | "sending" | "sending, and more to send" = "idle";

  constructor(private readonly backends: readonly Flushable[]) {}

  /** Never throws, and returns at once. */
  send(): void {
    if (this.backends.length === 0) return;
    if (this.#state !== "idle") {
      this.#state = "sending, and more to send";
      return;
    }
    this.#state = "sending";
    void Promise.all(this.backends.map(flushed)).then(() => {
      const more = this.#state === "sending, and more to send";
      this.#state = "idle";
      if (more) this.send();
    });
  }
}

async function flushed(backend: Flushable): Promise<void> {
  try {
    await backend.forceFlush();
  } catch (error) {
    // Told at a low level: whoever lost spans has told that already.
    report("debug", "the flush at the end of a turn failed", error);
  }
}
