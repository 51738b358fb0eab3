/**
 * Recovery of a whole directory: every session that has side files of dead owners.
 */
import { isDead, listSideFiles, type SideFiles } from "./dead-files.js";
import { errorCode } from "./file-system.js";
import { runLater } from "./plan.js";
import { type RecoveryPorts, recoverSession } from "./recover.js";
import type { RecoveredSession, RecoveryFailure, RecoveryReport } from "./recovery-report.js";
import { sweepDead } from "./sweep.js";

/** Recovers what dead owners left. A missing directory has nothing to recover. */
export async function recoverDirectory(ports: RecoveryPorts, dir: string): Promise<RecoveryReport> {
  const sessions: RecoveredSession[] = [];
  const failures: RecoveryFailure[] = [];
  let running = 0;
  let found: Map<string, SideFiles[]>;
  try {
    found = await runLater(ports.fileSystem, listSideFiles(dir));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { sessions, failures, running };
    throw error;
  }
  for (const [name, owners] of found) {
    try {
      const dead: SideFiles[] = [];
      for (const owner of owners)
        if (await runLater(ports.fileSystem, isDead(ports, owner))) dead.push(owner);
      if (dead.length < owners.length) running++;
      if (dead.length > 0) sessions.push(...(await runLater(ports.fileSystem, recoverSession(ports, dead))));
    } catch (error) {
      failures.push({ path: `${dir}/${name}.json`, error });
    }
  }
  if (!ports.dryRun)
    await runLater(ports.fileSystem, sweepDead(ports, dir)).catch((error) =>
      failures.push({ path: dir, error }),
    );
  return { sessions, failures, running };
}
