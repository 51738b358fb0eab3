/**
 * Time as a port, so that tests can simulate an hour.
 */
import { performance } from "node:perf_hooks";
import nodeTimers from "node:timers";
import { machineFunction } from "./own-work.js";

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

/**
 * @internal The timers of the machine. Taken when the package is loaded, from Node and not from the global object: test runners
 * and page simulations (jsdom) replace the global functions, and what is recorded must reach the disk all the same.
 */
export const timers = Object.freeze({
  setTimeout: machineFunction("setTimeout", nodeTimers.setTimeout),
  clearTimeout: machineFunction("clearTimeout", nodeTimers.clearTimeout),
  setInterval: machineFunction("setInterval", nodeTimers.setInterval),
  clearInterval: machineFunction("clearInterval", nodeTimers.clearInterval),
  setImmediate: machineFunction("setImmediate", nodeTimers.setImmediate),
  queueMicrotask: machineFunction("queueMicrotask", globalThis.queueMicrotask),
});

const monotonic = machineFunction("now", performance.now).bind(performance);

/** The machine's clock. The epoch time is that of the global `Date`, with which the times of spans agree. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic,
  after(millis, run) {
    const timer = timers.setTimeout(run, millis);
    // Timers of Electron's renderer are numbers.
    timer.unref?.();
    return { cancel: () => timers.clearTimeout(timer) };
  },
  every(millis, run) {
    const timer = timers.setInterval(run, millis);
    timer.unref?.();
    return { cancel: () => timers.clearInterval(timer) };
  },
};

/** Resolves in the next turn of the event loop. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => timers.setImmediate(resolve));

let events = 0;

/** A number that is larger than those of all earlier calls: events of one process in their order. */
export const nextEvent = (): number => ++events;
