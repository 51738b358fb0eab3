/** Times as epoch milliseconds: which numbers are times, and their texts. No other file makes a text of a time. */

/** The years 0 to 9999: ISO 8601 has no others, unless reader and writer agree on more digits. */
const [earliest, latest] = [Date.UTC(2000, 0) - 63_113_904_000_000, Date.UTC(10_000, 0) - 1];

/**
 * Whether a value is a time. Nanoseconds or microseconds in the place of milliseconds are beyond the year 9999, and
 * `Date.prototype.toISOString` throws a RangeError for most of them.
 */
export const isTime = (value: unknown): value is number =>
  typeof value === "number" && value >= earliest && value <= latest;

/** The time in ISO 8601; `null` for a value that is no time. */
export const isoOrNull = (millis: unknown): string | null =>
  isTime(millis) ? new Date(millis).toISOString() : null;

/** The time in ISO 8601; the epoch for a value that is no time. */
export const isoTime = (millis: unknown): string => isoOrNull(millis) ?? new Date(0).toISOString();

/** The first time of these spans: of a start, else of an end; `otherwise` where none of them is a time. */
export function firstTimeOf(
  spans: readonly { readonly startTime: number; readonly endTime?: number }[],
  otherwise = 0,
): number {
  const first = (times: readonly (number | undefined)[]) =>
    times.reduce<number>(
      (least, time) => (isTime(time) ? Math.min(least, time) : least),
      Number.POSITIVE_INFINITY,
    );
  const started = first(spans.map(({ startTime }) => startTime));
  const known = isTime(started) ? started : first(spans.map(({ endTime }) => endTime));
  return isTime(known) ? known : otherwise;
}
