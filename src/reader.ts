/** Reading and recovering trace documents: needs no OpenTelemetry package. */
export { type ListedTrace, listTraces, type TraceListing } from "./list-traces.js";
export { type ReadTrace, readTrace, type TraceDamage } from "./read-trace.js";
export type { RecoveredSession } from "./rebuild.js";
export type { RecoveryFailure, RecoveryReport } from "./recover-directory.js";
export { recoverTraces } from "./recover-traces.js";
export { type CrashSafeErrorCode, CrashSafeFileError } from "./trace-error.js";
export type * from "./trace-file.js";
