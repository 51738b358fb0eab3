/**
 * Recovery of a directory in rounds: recovers orphaned files, and waits for recoveries by other processes.
 */

import { mapConcurrently } from "../platform/async.js";
import { environment, halfOfThreadPool } from "../platform/environment.js";
import { errorCode } from "../platform/file-system.js";
import { type Gensync, pause, runAsync } from "../platform/gensync.js";
import { isRecoveryToken } from "../platform/liveness.js";
import { listSideFiles, type SideFiles, sideFileState } from "../storage/side-files.js";
import { Ghosts } from "./ghosts.js";
import type { OrphanedFiles } from "./orphans.js";
import { type ListedOwners, type RecoveryPorts, recoverSession } from "./recover-session.js";
import type { RecoveredSession, RecoveryFailure, RecoveryReport } from "./recover-traces.js";
import { sweep } from "./sweep.js";
import { readUnnamedSides, splitOrphanedLogs } from "./unnamed-logs.js";

/** How often recovery looks for side files, and the time between two attempts, while other recoveries have some. */
export interface RetryPolicy {
  readonly attempts: number;
  readonly delayMillis: number;
}

/** For callers that run again later: does not wait for the recoveries of other processes. */
export const oneAttempt: RetryPolicy = { attempts: 1, delayMillis: 0 };

/** For callers that read the documents next. Half a minute: a recovery reads 200 MB in a second, a stopped one nothing. */
export const untilRecovered: RetryPolicy = { attempts: 1_500, delayMillis: 20 };

/** Sessions that are recovered beside each other: the other threads of the pool are the host's. */
const atOnce = halfOfThreadPool(environment());

/** Recovers the orphaned files of a directory, then removes other leftovers. A missing directory has none. */
export async function recoverDirectory(
  ports: RecoveryPorts,
  dir: string,
  retry = oneAttempt,
): Promise<RecoveryReport> {
  let report: RecoveryReport;
  try {
    report = await recoverInRounds(ports, dir, retry);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { sessions: [], failures: [], running: 0 };
    throw error;
  }
  const failures: RecoveryFailure[] = [...report.failures];
  if (!ports.dryRun) {
    const swept = runAsync(ports.fileSystem, sweep(ports, dir));
    await swept.catch((error) => failures.push({ path: dir, error }));
  }
  return { ...report, failures };
}

/**
 * Recovers the orphaned files of the sessions with these names, or of all sessions. Sessions that other processes still
 * recover after the last attempt count as running. Throws the error of listing the directory.
 */
export async function recoverInRounds(
  ports: RecoveryPorts,
  dir: string,
  { attempts, delayMillis }: RetryPolicy,
  names?: readonly string[],
): Promise<RecoveryReport> {
  const run = <T>(operation: Gensync<T>): Promise<T> => runAsync(ports.fileSystem, operation);
  const sessions: RecoveredSession[] = [];
  const failures: RecoveryFailure[] = [];
  const running = new Set<string>();
  let wanted = names;
  const ghosts = new Ghosts();
  for (let attempt = 1; ; attempt++) {
    const inRecovery: string[] = [];
    const split = ports.dryRun
      ? { failures: [], hasRecovery: false }
      : await run(splitOrphanedLogs(ports, dir, ghosts));
    failures.push(...split.failures);
    let found = await listOwners(ports, dir);
    const unnamed = ports.dryRun ? await run(orphanedUnnamedSides(ports, dir)) : [];
    /** Sessions that spans have moved to. */
    const targets = new Set<string>();
    const recover = async (name: string): Promise<void> => {
      try {
        const owners = await sortOwners(ports, found.owners.get(name) ?? [], ghosts);
        if (owners.hasWriter) running.add(name);
        const own = unnamed.filter(({ files }) => files.name === name);
        const recovered = await recoverSession(ports, owners.orphaned, own, found);
        sessions.push(...recovered.reports);
        failures.push(...recovered.failures);
        for (const target of recovered.targets) targets.add(target);
        // The recovery that takes the files over first recovers them: this one, or the one of another exporter.
        if (owners.hasRecovery || recovered.missed > 0) inRecovery.push(name);
      } catch (error) {
        failures.push({ path: `${dir}/${name}.json`, error });
      }
    };
    let listed = new Set([...(wanted ?? found.owners.keys()), ...unnamed.map(({ files }) => files.name)]);
    while (listed.size > 0) {
      await mapConcurrently([...listed], recover, atOnce);
      listed = new Set(targets);
      targets.clear();
      if (listed.size > 0) found = await listOwners(ports, dir);
    }
    const isDone = inRecovery.length === 0 && !split.hasRecovery;
    if (isDone || ports.dryRun || attempt >= attempts) {
      for (const name of inRecovery) running.add(name);
      return { sessions, failures, running: running.size };
    }
    wanted = split.hasRecovery ? names : inRecovery;
    await run(pause(delayMillis));
  }
}

async function listOwners({ fileSystem, clock }: RecoveryPorts, dir: string): Promise<ListedOwners> {
  const at = clock.now();
  return { at, owners: await runAsync(fileSystem, listSideFiles(dir)) };
}

/** What recovery would split from the unnamed logs of dead processes. */
function* orphanedUnnamedSides(ports: RecoveryPorts, dir: string): Gensync<OrphanedFiles[]> {
  return (yield* readUnnamedSides(ports, dir)).filter(({ isAlive }) => !isAlive);
}

interface SortedOwners {
  readonly orphaned: readonly SideFiles[];
  /** Whether a living writer owns files. */
  readonly hasWriter: boolean;
  /** Whether a living recovery has taken files over. */
  readonly hasRecovery: boolean;
}

async function sortOwners(
  ports: RecoveryPorts,
  owners: readonly SideFiles[],
  ghosts: Ghosts,
): Promise<SortedOwners> {
  const orphaned: SideFiles[] = [];
  let [hasWriter, hasRecovery] = [false, false];
  for (const owner of owners) {
    const state = await runAsync(ports.fileSystem, sideFileState(ports, owner));
    if (state === "orphaned") orphaned.push(owner);
    else if (state === "foreign") continue;
    // Files that were listed and are absent now: a recovery took them over, or their session has ended.
    else if (state === "absent") hasRecovery ||= !ghosts.isKnown(owner.token);
    else if (isRecoveryToken(owner.token)) hasRecovery = true;
    else hasWriter = true;
  }
  return { orphaned, hasWriter, hasRecovery };
}
