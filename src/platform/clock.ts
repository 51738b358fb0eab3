/**
 * Time as a port, so that tests can simulate an hour.
 */

/** A pending call. */
export interface Timer {
  /** Cancels the call. No effect if it already ran. */
  cancel(): void;
}

/** Reads time and schedules calls. */
export interface Clock {
  /** Epoch milliseconds. May jump forwards and backwards. */
  now(): number;
  /** Milliseconds since an arbitrary start. Never goes back. */
  monotonic(): number;
  /** Calls `run` once after `millis`. Does not keep the process alive. */
  after(millis: number, run: () => void): Timer;
  /** Calls `run` every `millis`. Does not keep the process alive. */
  every(millis: number, run: () => void): Timer;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(millis, run) {
    const timer = setTimeout(run, millis);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  every(millis, run) {
    const timer = setInterval(run, millis);
    timer.unref();
    return { cancel: () => clearInterval(timer) };
  },
};
