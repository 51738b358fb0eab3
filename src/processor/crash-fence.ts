/**
 * Process hooks: when the process is about to end, every live trace is fenced first.
 */
import { isMainThread } from "node:worker_threads";
import { Diagnostics } from "../otel/diagnostics.js";
import type { CrashTarget } from "../otel/types.js";
import { CrashSafeFileError } from "../platform/errors.js";

const diagnostics = new Diagnostics("installCrashFence");

/** Signals that end a process by default and that a listener can act on. */
const fenceSignals = [
  "SIGINT",
  "SIGTERM",
  "SIGHUP",
  "SIGQUIT",
  "SIGBREAK",
  "SIGALRM",
  "SIGUSR2",
  "SIGXCPU",
] as const;

/** A signal that can be fenced; all of them are `NodeJS.Signals`. */
export type FenceSignal = (typeof fenceSignals)[number];

/** Which ends of the process a target wants to be fenced at. */
export interface CrashFenceOptions {
  /**
   * Default `["SIGINT", "SIGTERM", "SIGHUP"]`. With `false`, none: for a program that ends its sessions
   * itself on a signal, or that survives SIGINT.
   */
  readonly signals?: readonly FenceSignal[] | false | undefined;
  /** Uncaught exceptions, and on Node unhandled rejections. They are seen, not swallowed. Default `true`. */
  readonly uncaughtException?: boolean | undefined;
  /** `process.exit` and a natural end with the trace still running. Default `true`. */
  readonly exit?: boolean | undefined;
}

/** What {@link installCrashFence} returns. */
export interface InstalledCrashFence {
  /**
   * Takes this installation back. Idempotent; other installations of the same target stay. The listeners for signals
   * go two turns of the event loop later: a signal that was caught before has its default effect, and is not lost.
   */
  uninstall(): void;
}

interface FenceTarget extends CrashTarget {
  /** Whether the target has been ended in the normal way, so that there is nothing to fence. */
  readonly stopped?: boolean;
}

/** One call of `installCrashFence`. A target with several is fenced once per event. */
interface Claim {
  readonly target: FenceTarget;
  readonly events: ReadonlySet<string>;
}

interface Fence {
  readonly claims: Set<Claim>;
  /** The listeners on `process`, by event: present as long as a claim wants the event. */
  readonly hooks: Map<string, (...details: unknown[]) => void>;
}

// One fence per process, for all versions of this package in it together.
const SLOT = Symbol.for("opentelemetry-exporter-crash-safe-file/fence/1");
const slots = globalThis as unknown as Record<symbol, Fence | undefined>;

/**
 * Calls `target.crash(reason)`, synchronously, when the process receives a signal, meets an uncaught
 * exception or exits. A target with `stopped: true` (ended by `shutdown()`) is left alone.
 *
 * After a signal the process ends as it would have without the fence: if nobody else listens, the signal
 * is raised again with its default effect; otherwise the other listeners decide, and the process may live
 * on with its trace closed as crashed.
 *
 * The hooks are installed once per process, whatever the number of targets and of copies of this package,
 * and go with the last target. SIGKILL, `process.abort()` and native crashes pass no hook: recovery finishes
 * those traces. In a worker thread no signals arrive; the main thread needs a fence of its own for them.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`.
 */
export function installCrashFence(target: CrashTarget, options: CrashFenceOptions = {}): InstalledCrashFence {
  if (typeof target?.crash !== "function") {
    throw new CrashSafeFileError("INVALID_OPTION", "target must have a method crash(reason)");
  }
  const claim: Claim = { target, events: wantedEvents(options) };
  slots[SLOT] ??= { claims: new Set(), hooks: new Map() };
  const fence = slots[SLOT];
  fence.claims.add(claim);
  fitHooks(fence);
  return {
    uninstall() {
      fence.claims.delete(claim);
      fitHooks(fence);
    },
  };
}

function wantedEvents(options: CrashFenceOptions): Set<string> {
  const { signals = ["SIGINT", "SIGTERM", "SIGHUP"], uncaughtException = true, exit = true } = options;
  if (signals !== false && !Array.isArray(signals)) throw invalid("signals", signals, "an array or false");
  for (const signal of signals || []) {
    if (!fenceSignals.includes(signal)) throw invalid("signals", signal, `any of ${fenceSignals.join(", ")}`);
  }
  for (const [option, value] of Object.entries({ uncaughtException, exit })) {
    if (typeof value !== "boolean") throw invalid(option, value, "true or false");
  }
  const events = new Set<string>(signals || []);
  if (uncaughtException) events.add("uncaughtExceptionMonitor");
  if (exit) events.add("exit");
  return events;
}

function invalid(option: string, value: unknown, allowed: string): CrashSafeFileError {
  return new CrashSafeFileError("INVALID_OPTION", `${option} is ${String(value)}; allowed: ${allowed}`);
}

/** Makes the listeners on `process` those that the claims want; those for signals go a little later. */
function fitHooks(fence: Fence, isLater = false): void {
  const wanted = new Set([...fence.claims].flatMap(({ events }) => [...events]));
  for (const event of fence.hooks.keys()) {
    if (wanted.has(event)) continue;
    if (isLater || !isSignal(event)) unhook(fence, event);
    else afterCaughtSignals(() => fitHooks(fence, true));
  }
  for (const event of wanted) {
    if (!fence.hooks.has(event)) hook(fence, event);
  }
}

/**
 * A signal that was caught comes to its listener with the event loop. Without one by then it is lost: the process
 * lives on, as if it had been ignored. The loop may have read the signals of its present turn, so wait for the next.
 */
function afterCaughtSignals(run: () => void): void {
  setImmediate(() => setImmediate(run));
}

function hook(fence: Fence, event: string): void {
  const listener = (...details: unknown[]) => {
    crashAll(fence, event, reasonFor(event, details));
    if (isSignal(event)) passOn(fence, event);
  };
  try {
    // First in line: another listener may be `once`, gone by the time we look for it, or may exit at once.
    (process as NodeJS.EventEmitter).prependListener(event, listener);
    fence.hooks.set(event, listener);
  } catch (error) {
    // A signal the platform does not know.
    diagnostics.log("warn", `no crash fence for ${event}`, error);
  }
}

function unhook(fence: Fence, event: string): void {
  const listener = fence.hooks.get(event);
  fence.hooks.delete(event);
  if (listener !== undefined) process.off(event, listener);
}

function crashAll(fence: Fence, event: string, reason: string): void {
  const targets = new Set<FenceTarget>();
  for (const { target, events } of fence.claims) {
    if (events.has(event)) targets.add(target);
  }
  for (const target of targets) {
    try {
      if (!target.stopped) target.crash(reason);
    } catch (error) {
      diagnostics.log("error", `a target of the crash fence threw on ${event}`, error);
    }
  }
}

/**
 * Steps aside for the signal that has been fenced. Our listener goes first, for two reasons: raised again,
 * the signal must find its default effect; and other libraries that raise it again only when they are alone
 * must not each wait for the other.
 */
function passOn(fence: Fence, signal: FenceSignal): void {
  unhook(fence, signal);
  // Whoever decides: if the process lives on, the next signal is fenced again.
  queueMicrotask(() => fitHooks(fence));
  if (process.listenerCount(signal) > 0 || !isMainThread) return;
  try {
    process.kill(process.pid, signal);
  } catch (error) {
    // Windows can raise only some signals.
    diagnostics.log("warn", `${signal} could not be raised again`, error);
    process.exit(1);
  }
}

function isSignal(event: string): event is FenceSignal {
  return fenceSignals.some((signal) => signal === event);
}

function reasonFor(event: string, details: readonly unknown[]): string {
  switch (event) {
    case "exit":
      return "Process exited before trace completed";
    case "uncaughtExceptionMonitor":
      return `Uncaught exception: ${messageOf(details[0])}`;
    default:
      return `Received ${event}`;
  }
}

function messageOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } catch {
    return "(no message)";
  }
}
