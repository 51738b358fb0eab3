/**
 * The owner of a file, and whether that owner is alive.
 *
 * A token names one writer: process, thread, start of that thread, machine scope (boot and pid namespace) and random
 * bits. A token is never reused, and the token alone suffices to find out whether its owner is alive.
 */
import { createHash, randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { tryOr } from "./errors.js";
import { errorCode, type FileCalls } from "./file-system.js";
import { sharedState } from "./shared-state.js";

/** State of the owner of a token. `unknown`: an owner of another boot, container or host; only its lease counts. */
export type Verdict = "alive" | "dead" | "unknown";

/** Distinguishes living owners from dead ones. A port: a wrong verdict must be harmless, and tests force one. */
export interface Liveness {
  /** A new token for this thread. */
  newToken(): string;
  /** State of the owner of a token. */
  verdict(token: string): Verdict;
  /** How long this owner counts as alive while its state is unknown, from the last touch of its journal. Absent: 60 s. */
  leaseMillis?(token: string): number;
}

const recoveryMark = "-recovery";

/** A token for side files that a recovery takes over: no writer appends spans to these files. */
export const newRecoveryToken = (liveness: Liveness): string => `${liveness.newToken()}${recoveryMark}`;

/** Whether the side files of this token belong to a recovery. */
export const isRecoveryToken = (token: string): boolean => token.endsWith(recoveryMark);

/** Tokens of this process whose owners have ended. */
const released = sharedState("released-tokens/1", () => new Set<string>());

/** Releases the files that an owner could not remove because of a fault: they are orphaned, though its process lives. */
export const releaseToken = (token: string): void => void released.add(token);

/** How long an owner of unknown state counts as alive, from the last touch of its journal. */
const usualLeaseMillis = 60_000;

/**
 * The same, for an owner with the process number of this process: mostly the process that this one replaces in a container
 * that has restarted. Owners touch their journals every 15 s.
 */
const predecessorLeaseMillis = 20_000;

/** Seconds between two readings of the start time of one process: a clock can be set. */
const startTolerance = 10;

interface TokenParts {
  readonly pid: number;
  readonly thread: number;
  /** Clock ticks since boot. Without /proc, where `thread` is 0: seconds of the epoch, or `0` where they are not known. */
  readonly started: string;
  readonly scope: string;
}

/** Reads state and start time of a thread from its stat line (proc_pid_stat(5), fields 3 and 22). */
function parseStat(stat: string): { state: string; started: string } | undefined {
  // The command name may contain spaces and parentheses: the fields begin after the last parenthesis.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, started] = [fields[0], fields[19]];
  return state !== undefined && started !== undefined ? { state, started } : undefined;
}

function parseToken(token: string): TokenParts | undefined {
  const [pid, thread, started, scope, random] = token.split("-");
  if (!pid || !thread || !started || !scope || !random) return undefined;
  return { pid: parseInt(pid, 36), thread: parseInt(thread, 36), started, scope };
}

/** Whether a process with this number exists. EPERM: it exists and belongs to another user. */
function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== "ESRCH";
  }
}

/** Asks the machine: /proc where it exists, else signal 0. */
export class SystemLiveness implements Liveness {
  readonly #calls: FileCalls;
  readonly #self: TokenParts;

  constructor(calls: FileCalls) {
    this.#calls = calls;
    this.#self = this.#identifySelf();
  }

  newToken(): string {
    const { pid, thread, started, scope } = this.#self;
    const random = randomBytes(5).readUIntBE(0, 5).toString(36).padStart(8, "0");
    return [pid.toString(36), thread.toString(36), started, scope, random].join("-");
  }

  verdict(token: string): Verdict {
    const owner = parseToken(token);
    if (owner === undefined || owner.scope !== this.#self.scope) return "unknown";
    if (owner.thread === 0 || this.#self.thread === 0) {
      // Without start times of others a reused process number looks alive: the lease decides, not the number.
      return processExists(owner.pid) && !this.#isPredecessor(owner) ? "unknown" : "dead";
    }
    const thread = this.#threadStat(owner.pid, owner.thread);
    if (thread === "unreadable") return "unknown";
    if (thread === "absent") return this.#isHidden(owner.pid) ? "unknown" : "dead";
    return thread.started === owner.started && thread.state !== "Z" && thread.state !== "X"
      ? "alive"
      : "dead";
  }

  leaseMillis(token: string): number {
    return parseToken(token)?.pid === this.#self.pid ? predecessorLeaseMillis : usualLeaseMillis;
  }

  /** Whether an earlier process had the number of this one: where there is no /proc, this start time alone is known. */
  #isPredecessor({ pid, started }: TokenParts): boolean {
    const [theirs, ours] = [started, this.#self.started].map((seconds) => parseInt(seconds, 36));
    if (pid !== this.#self.pid || !theirs || !ours) return false;
    return Math.abs(theirs - ours) > startTolerance;
  }

  /** Whether a process runs that /proc does not show: with the mount option `hidepid`, those of other users. */
  #isHidden(pid: number): boolean {
    return !this.#calls.exists(`/proc/${pid}`) && processExists(pid);
  }

  #threadStat(pid: number, thread: number): { state: string; started: string } | "absent" | "unreadable" {
    try {
      const stat = parseStat(this.#calls.readText(`/proc/${pid}/task/${thread}/stat`));
      return stat === undefined ? "unreadable" : { ...stat, started: Number(stat.started).toString(36) };
    } catch (error) {
      // ESRCH: the thread ended between open and read.
      const code = errorCode(error);
      return code === "ENOENT" || code === "ESRCH" ? "absent" : "unreadable";
    }
  }

  #identifySelf(): TokenParts {
    const scope = this.#scope();
    try {
      // `thread-self` is "<pid>/task/<tid>". Another pid than ours: the /proc of another namespace.
      const [pid, , thread] = this.#calls.readlink("/proc/thread-self").split("/").map(Number);
      if (pid === process.pid && thread !== undefined) {
        const stat = this.#threadStat(pid, thread);
        if (typeof stat === "object") return { pid, thread, started: stat.started, scope };
      }
    } catch {
      // No /proc here: macOS, Windows, a hardened container.
    }
    return { pid: process.pid, thread: 0, started: startedSeconds(), scope };
  }

  /**
   * Where process numbers mean the same. The /proc of another process namespace shows the own one, too: two sandboxes that
   * have the /proc of their host must not look up each other's numbers in their own namespace.
   */
  #scope(): string {
    try {
      const boot = this.#calls.readText("/proc/sys/kernel/random/boot_id").trim();
      return shortHash(`${boot} ${this.#calls.readlink("/proc/self/ns/pid")}`);
    } catch {
      // Deno asks for a permission to read the name of the host.
      return shortHash(`${process.platform} ${tryOr(hostname, "")}`);
    }
  }
}

/** Start of this process, in seconds of the epoch. In a thread of Bun, `process.uptime()` is that of the thread. */
const startedSeconds = (): string =>
  process.versions.bun === undefined ? Math.round(Date.now() / 1_000 - process.uptime()).toString(36) : "0";

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest().readUIntBE(0, 5).toString(36).padStart(8, "0");
}

/**
 * Why the files of an owner are orphaned, for `summary.detector`; `undefined` for an owner that released its token.
 */
export function detectorOf(liveness: Liveness, token: string): "process gone" | "lease expired" | undefined {
  const verdict = liveness.verdict(token);
  if (verdict === "alive") return undefined;
  return verdict === "dead" ? "process gone" : "lease expired";
}

/** Whether this owner is certainly dead, or released its token. */
export const isDead = (liveness: Liveness, token: string): boolean =>
  released.has(token) || liveness.verdict(token) === "dead";

/**
 * Whether the files of this owner are orphaned: the owner is dead or released its token, or its state is unknown and its
 * lease expired. A clock that was set back or forward far counts as an expired lease, so that no lease lasts for ever.
 */
export function isOrphaned(
  liveness: Pick<Liveness, "verdict" | "leaseMillis">,
  token: string,
  touchedMillis: number,
  nowMillis: number,
): boolean {
  if (released.has(token)) return true;
  const verdict = liveness.verdict(token);
  if (verdict !== "unknown") return verdict === "dead";
  return Math.abs(nowMillis - touchedMillis) > (liveness.leaseMillis?.(token) ?? usualLeaseMillis);
}
