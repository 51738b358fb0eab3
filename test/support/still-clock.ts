/** The library's clock in tests: the time of day continues, but no timer fires until the test lets time pass. */
import type { Clock, Timer } from "../../src/platform/clock.js";

interface Due {
  at: number;
  readonly every: number | undefined;
  readonly run: () => void;
}

export class StillClock implements Clock {
  #monotonic = 0;
  #due: Due[] = [];

  now = () => Date.now();
  monotonic = () => this.#monotonic;

  after(millis: number, run: () => void): Timer {
    return this.#add({ at: this.#monotonic + millis, every: undefined, run });
  }

  every(millis: number, run: () => void): Timer {
    return this.#add({ at: this.#monotonic + millis, every: millis, run });
  }

  /** Timers that have neither fired nor been cancelled. */
  get pending(): number {
    return this.#due.length;
  }

  /** Lets time pass: runs due timers in order, all in this turn. */
  pass(millis: number): void {
    const end = this.#monotonic + millis;
    for (;;) {
      const next = this.#due.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#monotonic = Math.max(this.#monotonic, next.at);
      if (next.every === undefined) this.#due = this.#due.filter((due) => due !== next);
      else next.at += next.every;
      next.run();
    }
    this.#monotonic = end;
  }

  #add(due: Due): Timer {
    this.#due.push(due);
    return {
      cancel: () => {
        this.#due = this.#due.filter((other) => other !== due);
      },
    };
  }
}
