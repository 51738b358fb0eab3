/**
 * What an exporter does when its process ends: before a natural exit it flushes, and at any exit it reports the spans that
 * are lost with the process.
 */
import { reports } from "../otel/diagnostics.js";
import { joinExitFlush, leaveExitFlush } from "../platform/exit-flush.js";
import { joinExitReport, leaveExitReport } from "../platform/exit-report.js";
import type { ExporterAccount } from "./exporter-stats.js";
import type { FaultLog } from "./fault-log.js";

export class ProcessExit {
  readonly #exporter: { forceFlush(): Promise<void> };
  readonly #account: ExporterAccount;
  readonly #log: FaultLog;
  readonly #dir: string;

  constructor(
    exporter: { forceFlush(): Promise<void> },
    account: ExporterAccount,
    log: FaultLog,
    dir: string,
  ) {
    this.#exporter = exporter;
    this.#account = account;
    this.#log = log;
    this.#dir = dir;
  }

  /** Something was recorded. Idempotent. */
  join(): void {
    joinExitFlush(this.#exporter, this.#onFlushError);
    joinExitReport(this.report);
  }

  /** The sessions are fenced: there is nothing to flush. */
  leaveFlush(): void {
    leaveExitFlush(this.#exporter);
  }

  /** All is written. */
  leave(): void {
    this.leaveFlush();
    leaveExitReport(this.report);
  }

  /** The process ends, or may end: reports spans that are in no file. Synchronous. */
  readonly report = (): void => {
    reports.during(() => this.#log.waiting(this.#account.waiting, this.#dir));
  };

  readonly #onFlushError = (error: unknown): void => {
    // What waits in memory is reported when the process exits.
    if (this.#account.waiting === 0) this.#log.exitFlush(error);
  };
}
