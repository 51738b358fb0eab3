/**
 * Work of this package without traces: its own requests, writes and timers make no spans.
 */
import { context, createContextKey, ROOT_CONTEXT } from "@opentelemetry/api";
import { type Clock, systemClock } from "../platform/clock.js";
import { asOwnCall, asOwnWork } from "../platform/own-work.js";

/**
 * The context in which this package works. It derives from the root, because an export does not belong to the request
 * whose span filled the batch. The key is that of the SDK (`suppressTracing` of `@opentelemetry/core`).
 */
export const UNTRACED = ROOT_CONTEXT.setValue(
  createContextKey("OpenTelemetry SDK Context Key SUPPRESS_TRACING"),
  true,
);

/**
 * Runs a call of an exporter, and all that it awaits and schedules. Without a context manager no context suppresses spans:
 * then `isOwnWork` marks them, and `CrashSafeSpanProcessor` leaves them out.
 */
export const untraced = <T>(run: () => T): T =>
  context.with(UNTRACED, () => (context.active() === UNTRACED ? run() : asOwnWork(run)));

/** As {@link untraced}, for a call that is synchronous. */
export const untracedNow = <T>(run: () => T): T => context.with(UNTRACED, () => asOwnCall(run));

/** Calls back untraced. Keeps no context of the caller, such as a request that is long over. */
const callLater = (clock: Clock, method: "after" | "every", millis: number, run: () => void) =>
  context.with(UNTRACED, () => clock[method](millis, () => context.with(UNTRACED, run)));

/** The machine's clock, for components that an SDK calls. */
export const untracedClock: Clock = {
  ...systemClock,
  after: (millis, run) => callLater(systemClock, "after", millis, run),
  every: (millis, run) => callLater(systemClock, "every", millis, run),
};
