/**
 * `recoverTraces`: what a new exporter does in the background, as a call.
 */

import { resolve } from "node:path";
import { systemClock } from "../platform/clock.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { SystemLiveness } from "../platform/liveness.js";
import { rejectUnknownOptions } from "../platform/options.js";
import { recoverDirectory, untilRecovered } from "./recover-directory.js";
import type { RecoveryReport } from "./recovery-report.js";

/**
 * Finishes the sessions of dead processes in a directory: their documents get every span that was recorded, and
 * what was running, marked interrupted. Idempotent, and safe beside living writers, whose sessions it leaves alone.
 * Sessions that somebody else recovers just now, such as a new exporter in the background, are waited for, for half a
 * minute at most; then they count as `running`.
 *
 * @param dir directory of trace documents; a missing one has nothing to recover
 * @param options `dryRun`: only report what would be done
 * @throws CrashSafeFileError `INVALID_OPTION` for an option that does not exist; the file system's error when the directory cannot be read; a session that fails is in `failures`
 */
export async function recoverTraces(
  dir: string,
  options: { readonly dryRun?: boolean } = {},
): Promise<RecoveryReport> {
  rejectUnknownOptions("recoverTraces", options, ["dryRun"]);
  const liveness = new SystemLiveness(nodeFileSystem.sync);
  const ports = { fileSystem: nodeFileSystem, clock: systemClock, liveness, dryRun: options.dryRun === true };
  return recoverDirectory(ports, resolve(dir), untilRecovered);
}
