/**
 * Log messages that wait until the state they describe is whole: a logger is code of the host, which may record spans,
 * and end sessions and exporters.
 */

class ReportQueue {
  /** Works that are under way, one within the other. */
  #depth = 0;
  readonly #waiting: (() => void)[] = [];

  /** Runs synchronous work. What is added meanwhile is logged when the outermost work is over. */
  during<T>(work: () => T): T {
    this.#depth++;
    try {
      return work();
    } finally {
      if (--this.#depth === 0 && this.#waiting.length > 0) this.#logAll();
    }
  }

  /** `log` must not throw. Outside of {@link during} it runs when the code that runs now has returned. */
  add(log: () => void): void {
    this.#waiting.push(log);
    if (this.#depth === 0) queueMicrotask(() => this.#logAll());
  }

  /** A logger that ends the process, or calls back into the library, keeps no message from being logged. */
  #logAll(): void {
    for (let log = this.#waiting.shift(); log; log = this.#waiting.shift()) log();
  }
}

/** One for all exporters: those of one directory share its work. */
export const reports = new ReportQueue();
