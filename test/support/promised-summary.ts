/** A summary for a strict comparison that stays true when the format gets another counter. */
import { counters } from "../../src/format/counters.js";
import type { SessionSummary } from "../../src/format/trace-file.js";

/** The summary without counters that `expected` does not name. Every other member stays. */
export function promisedSummary(summary: SessionSummary, expected: object): object {
  const isPromised = ([name]: [string, unknown]) => name in expected || !(name in counters);
  return Object.fromEntries(Object.entries(summary).filter(isPromised));
}
