/**
 * Conversions between the times of OpenTelemetry (seconds and nanoseconds) and those of documents (epoch
 * milliseconds).
 */
import type { HrTime } from "./types.js";

/** The latest time that OTLP can carry: nanoseconds in 64 bits. */
const maxSeconds = 9_223_372_036;

/**
 * The time of a span that starts or ends at `epochMillis`. Times before 1970 and `NaN` become 0.
 *
 * The SDK is never given a bare number: it reads small numbers as times of `performance.now()`.
 */
export function hrTimeOf(epochMillis: number): HrTime {
  const seconds = Math.floor(epochMillis / 1_000);
  if (!(seconds >= 0)) return [0, 0];
  if (seconds > maxSeconds) return [maxSeconds, 0];
  const nanos = Math.round((epochMillis - seconds * 1_000) * 1e6);
  return nanos >= 1e9 ? [seconds + 1, 0] : [seconds, nanos];
}

/**
 * As {@link hrTimeOf}, rounded to the microsecond, which is the precision of documents: the digits below are noise in a
 * double of today's milliseconds.
 */
export function microTimeOf(epochMillis: number): HrTime {
  const [seconds, nanos] = hrTimeOf(epochMillis);
  const micros = Math.round(nanos / 1_000);
  return micros >= 1_000_000 ? [seconds + 1, 0] : [seconds, micros * 1_000];
}

/** Epoch milliseconds with whole microseconds: a double has no more exact digits. 0 for a time that cannot be read. */
export function millis(time: HrTime): number {
  const value = time[0] * 1000 + Math.round(time[1] / 1000) / 1000;
  return Number.isFinite(value) ? value : 0;
}

/** The later of two times. */
export const laterOf = (a: HrTime, b: HrTime): HrTime =>
  a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]) ? a : b;

const billion = 1_000_000_000n;
const nanosOf = ([seconds, nanos]: HrTime): bigint => BigInt(seconds) * billion + BigInt(nanos);

/** The time from `from` to `to`, which must not be earlier. */
export function durationOf(from: HrTime, to: HrTime): HrTime {
  const nanos = nanosOf(to) - nanosOf(from);
  return [Number(nanos / billion), Number(nanos % billion)];
}
