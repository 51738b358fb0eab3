/**
 * Reports at the end of the process, synchronously: what is still in memory then is lost.
 */

import { sharedState } from "./shared-state.js";

/** What is called at the end of the process. Must not throw. */
type Report = () => void;

interface ExitReports {
  readonly reports: Set<Report>;
  readonly listener: () => void;
}

// One listener per process, shared by all copies and versions of this package. The member names are part of the interface.
const { reports, listener } = sharedState<ExitReports>("exit-reports/1", () => ({
  reports: new Set(),
  listener: reportAll,
}));

function reportAll(): void {
  for (const report of reports) report();
}

/** Calls `report` when the process exits, until {@link leaveExitReport}. Idempotent. */
export function joinExitReport(report: Report): void {
  // Called for each span; only the first call has work to do.
  if (reports.has(report)) return;
  if (reports.size === 0) process.on("exit", listener);
  reports.add(report);
}

/** Removes `report`, and with the last report the listener. */
export function leaveExitReport(report: Report): void {
  if (reports.delete(report) && reports.size === 0) process.off("exit", listener);
}
