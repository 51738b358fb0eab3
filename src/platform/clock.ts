/**
 * Time as the engine sees it: a port, so that tests can run a simulated hour.
 */

/** A pending call. */
export interface Timer {
  /** It does not come; without effect when it has. */
  cancel(): void;
}

/** Reads time and schedules calls. */
export interface Clock {
  /** Epoch milliseconds; may jump, also backwards. */
  now(): number;
  /** Milliseconds from an arbitrary start; never goes back. */
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
