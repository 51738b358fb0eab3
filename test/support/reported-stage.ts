/** A stage whose warnings and errors are kept, made anew for each test of a file. */
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { afterEach, beforeEach } from "vitest";
import { Stage } from "./session-stage.js";

export class ReportedStage {
  stage = new Stage();
  /** Messages of level warn and error, in order. */
  reports: string[] = [];

  /** Sets itself up for each test of the file that calls this. */
  constructor() {
    this.stage.remove();
    beforeEach(() => {
      this.stage = new Stage();
      this.reports = [];
      const take = (message: string) => void this.reports.push(message);
      diag.setLogger(
        { error: take, warn: take, info() {}, debug() {}, verbose() {} },
        { logLevel: DiagLogLevel.ALL, suppressOverrideMessage: true },
      );
    });
    afterEach(async () => {
      diag.disable();
      await this.stage.end();
    });
  }
}
