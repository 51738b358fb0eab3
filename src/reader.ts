/** Reading and recovering trace documents: needs no OpenTelemetry package. */
export { type ListedTrace, listTraces, type TraceListing } from "./list-traces.js";
export { type ReadTrace, readTrace, type TraceDamage } from "./read-trace.js";
export { recoverTraces } from "./recover-traces.js";
export type { RecoveredSession, RecoveryFailure, RecoveryReport } from "./recovery-report.js";
export { type CrashSafeErrorCode, CrashSafeFileError } from "./trace-error.js";
export type * from "./trace-file.js";
