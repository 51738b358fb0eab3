/** Reading and recovering trace documents: needs no OpenTelemetry package. */

export type * from "./format/trace-file.js";
export { type CrashSafeErrorCode, CrashSafeFileError } from "./platform/errors.js";
export { type ListedTrace, listTraces, type TraceListing } from "./recovery/list-traces.js";
export { type ReadTrace, readTrace, type TraceDamage } from "./recovery/read-trace.js";
export type { RecoveredSession, RecoveryFailure, RecoveryReport } from "./recovery/recover-traces.js";
export { recoverTraces } from "./recovery/recover-traces.js";
