/**
 * Recovery of a directory, in rounds: what is dead is recovered, what somebody else recovers just now is waited for.
 */

import { errorCode } from "../platform/file-system.js";
import { type Gensync, pause, runAsync } from "../platform/gensync.js";
import { isRecoveryToken } from "../platform/liveness.js";
import { fateOf, listSideFiles, type SideFiles } from "../storage/side-files.js";
import { type RecoveryPorts, recoverSession } from "./recover-session.js";
import type { RecoveredSession, RecoveryFailure, RecoveryReport } from "./recovery-report.js";
import { sweepDead } from "./sweep.js";

/** How often, and how many milliseconds apart, the side files are looked at until no other recovery has any. */
export interface Patience {
  readonly looks: number;
  readonly millis: number;
}

/** For who comes again: what others recover is theirs. */
export const oneLook: Patience = { looks: 1, millis: 0 };

/** For who reads the documents next. Half a minute: a recovery reads 200 MB in a second, a stopped one nothing. */
export const untilRecovered: Patience = { looks: 1_500, millis: 20 };

/**
 * Recovers what dead owners left. A missing directory has nothing to recover.
 *
 * @param patience with the recoveries of others; without it, what they have is left to them
 */
export async function recoverDirectory(
  ports: RecoveryPorts,
  dir: string,
  patience = oneLook,
): Promise<RecoveryReport> {
  let report: RecoveryReport;
  try {
    report = await runAsync(ports.fileSystem, recoverInRounds(ports, dir, patience));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { sessions: [], failures: [], running: 0 };
    throw error;
  }
  const failures: RecoveryFailure[] = [...report.failures];
  if (!ports.dryRun)
    await runAsync(ports.fileSystem, sweepDead(ports, dir)).catch((error) =>
      failures.push({ path: dir, error }),
    );
  return { ...report, failures };
}

/**
 * Recovers the dead owners of the sessions with these names, or of all. Sessions that others still recover when
 * patience ends count as running. Throws what listing the directory throws.
 */
export function* recoverInRounds(
  ports: RecoveryPorts,
  dir: string,
  { looks, millis }: Patience,
  names?: readonly string[],
): Gensync<RecoveryReport> {
  const sessions: RecoveredSession[] = [];
  const failures: RecoveryFailure[] = [];
  const running = new Set<string>();
  let wanted = names;
  for (let look = 1; ; look++) {
    const underWay: string[] = [];
    const found = yield* listSideFiles(dir);
    for (const name of wanted ?? found.keys()) {
      const path = `${dir}/${name}.json`;
      try {
        const { dead, lives, isTaken } = yield* sortOwners(ports, found.get(name) ?? []);
        if (lives) running.add(name);
        const { reports, missed } = yield* recoverSession(ports, dead);
        sessions.push(...reports);
        // Who is faster in taking them recovers them, we or the housekeeping of some exporter.
        if (isTaken || missed > 0) underWay.push(name);
      } catch (error) {
        failures.push({ path, error });
      }
    }
    if (underWay.length === 0 || ports.dryRun || look >= looks) {
      for (const name of underWay) running.add(name);
      return { sessions, failures, running: running.size };
    }
    wanted = underWay;
    yield* pause(millis);
  }
}

/** Who of a session's owners is dead, whether one lives, and whether a recovery has taken the files of another. */
function* sortOwners(
  ports: RecoveryPorts,
  owners: readonly SideFiles[],
): Gensync<{ dead: SideFiles[]; lives: boolean; isTaken: boolean }> {
  const dead: SideFiles[] = [];
  let [lives, isTaken] = [false, false];
  for (const owner of owners) {
    const fate = yield* fateOf(ports, owner);
    if (fate === "dead") dead.push(owner);
    // Its files were listed, and are not there any more: taken since, or the session has ended.
    else if (fate === "gone" || isRecoveryToken(owner.token)) isTaken = true;
    else lives = true;
  }
  return { dead, lives, isTaken };
}
