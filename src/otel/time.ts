/** Times of spans: epoch milliseconds of documents, and the pairs of seconds and nanoseconds of OpenTelemetry. */
import type { HrTime } from "./types.js";

/** The latest time that OTLP can carry: nanoseconds in 64 bits. */
const maxSeconds = 9_223_372_036;

/** Epoch milliseconds, in whole microseconds: more digits than a double has are noise in the file. */
export function millis(time: HrTime): number {
  const value = time[0] * 1000 + Math.round(time[1] / 1000) / 1000;
  return Number.isFinite(value) ? value : 0;
}

/**
 * The time as OpenTelemetry has it; times before 1970 become 0, times after 2262 the latest that OTLP can carry. The
 * SDK must never get a bare number: it takes small ones for times of `performance.now()`.
 */
export function hrTimeOf(epochMillis: number): HrTime {
  const seconds = Math.floor(epochMillis / 1_000);
  if (!(seconds >= 0)) return [0, 0];
  if (seconds > maxSeconds) return [maxSeconds, 0];
  const nanos = Math.round((epochMillis - seconds * 1_000) * 1e6);
  return nanos >= 1e9 ? [seconds + 1, 0] : [seconds, nanos];
}

/** {@link hrTimeOf}, in whole microseconds as documents have them: below, a double of today's milliseconds is noise. */
export function microTimeOf(epochMillis: number): HrTime {
  const [seconds, nanos] = hrTimeOf(epochMillis);
  const micros = Math.round(nanos / 1_000);
  return micros >= 1_000_000 ? [seconds + 1, 0] : [seconds, micros * 1_000];
}
