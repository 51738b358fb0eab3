/**
 * Process hooks: every live trace is fenced before the process ends.
 */
import { isMainThread } from "node:worker_threads";
import { Diagnostics } from "../otel/diagnostics.js";
import { type CrashTarget, type ProvisionalTarget, provisionalFence } from "../otel/types.js";
import { systemClock, timers } from "../platform/clock.js";
import { tryOr } from "../platform/errors.js";
import {
  checked,
  hasMethods,
  isBoolean,
  type OptionCheck,
  rejectUnknownOptions,
} from "../platform/options.js";
import { sharedState } from "../platform/shared-state.js";

const component = "installCrashFence";
const diagnostics = new Diagnostics(component);

/** Signals that end a process by default and that a listener can catch. */
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

/** A signal that the fence can catch; all of them are `NodeJS.Signals`. */
export type FenceSignal = (typeof fenceSignals)[number];

/** At which ends of the process a target is fenced. */
export interface CrashFenceOptions {
  /**
   * Default `["SIGINT", "SIGTERM", "SIGHUP"]`. `false`: no signal. A program that ends its sessions on a signal itself, or
   * that survives SIGINT, does not need `false`.
   */
  readonly signals?: readonly FenceSignal[] | false | undefined;
  /** Uncaught exceptions, and on Node unhandled rejections. The exception still ends the process. Default `true`. */
  readonly uncaughtException?: boolean | undefined;
  /** `process.exit` and a natural end of the process. Default `true`. */
  readonly exit?: boolean | undefined;
}

/** What {@link installCrashFence} returns. */
export interface InstalledCrashFence {
  /**
   * Removes this installation; other installations of the target stay. Idempotent. Listeners for signals are removed a few
   * turns of the event loop later, in a turn in which no other code takes time, so that a signal that was caught before is not
   * lost but has its default effect. A signal in that last turn (less than 0.1 ms) is lost: the runtime forgets signals that it
   * caught when their last listener goes. Where every turn is longer, the listeners go after 100 turns.
   */
  uninstall(): void;
}

interface FenceTarget extends CrashTarget {
  /** Whether the target has ended in an orderly way: then there is nothing to fence. */
  readonly stopped?: boolean;
}

/** Stands for a target of this package: the process may live on after a hook, so that hooks fence it provisionally. */
class ProvisionalFence implements ProvisionalTarget, FenceTarget {
  readonly #target: ProvisionalTarget & { readonly stopped?: boolean };

  constructor(target: ProvisionalTarget) {
    this.#target = target;
  }

  get stopped(): boolean {
    return this.#target.stopped === true;
  }

  /** Called by the hooks of a copy of version 0.1.0, which name the signal in the reason only. */
  crash(reason = ""): void {
    this.#target[provisionalFence](reason, /^Received (SIG[A-Z0-9]+)$/.exec(reason)?.[1]);
  }

  [provisionalFence](reason: string, detector: string | undefined): void {
    this.#target[provisionalFence](reason, detector);
  }
}

/** By target: a target with several installations, also by several copies of this package, is fenced once per event. */
const provisional = sharedState("fence-targets/1", () => new WeakMap<CrashTarget, FenceTarget>());

function fenceTargetOf(target: CrashTarget): FenceTarget {
  if (!isProvisional(target)) return target;
  const fence = provisional.get(target) ?? new ProvisionalFence(target);
  provisional.set(target, fence);
  return fence;
}

const isProvisional = (target: CrashTarget): target is ProvisionalTarget =>
  typeof (target as Partial<ProvisionalTarget>)[provisionalFence] === "function";

/** One call of `installCrashFence`. A target with several installations is fenced once per event. */
interface Installation {
  readonly target: FenceTarget;
  readonly events: ReadonlySet<string>;
}

interface Fence {
  /** Of all copies of this package in the process, version 0.1.0 included: the name is part of the interface. */
  readonly claims: Set<Installation>;
  /** The listeners on `process` by event. A listener stays as long as an installation has its event. */
  readonly hooks: Map<string, (...details: unknown[]) => void>;
}

// One fence per process, shared by all copies and versions of this package.
const sharedFence = () => sharedState<Fence>("fence/1", () => ({ claims: new Set(), hooks: new Map() }));

/**
 * Fences `target`, synchronously, when the process receives a signal, meets an uncaught exception or exits. A target with
 * `stopped: true` (ended by `shutdown()`) is skipped.
 *
 * When the fence returns, documents are final if the process ends now: `crashed` where a span was open, else `completed`.
 * After a signal the process ends as it would without the fence. If nothing else listens, the signal is raised again with
 * its default effect. Otherwise the other listeners decide. If the process lives on, so do a processor, a file exporter and
 * a session tracing of this package: spans that were open and end later are added, and a span that starts, an end of the
 * session or `shutdown()` takes the verdict of the fence back. Of any other target `crash(reason)` is called.
 *
 * The hooks are installed once per process, whatever the number of targets and of copies of this package, and are removed
 * with the last target. SIGKILL, `process.abort()` and native crashes run no hook: recovery finishes those traces. No
 * signal reaches a worker thread: the main thread needs a fence of its own.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the option, its value and what is allowed
 */
export function installCrashFence(target: CrashTarget, options: CrashFenceOptions = {}): InstalledCrashFence {
  checked(component, "target", target, isTarget);
  const installation: Installation = { target: fenceTargetOf(target), events: wantedEvents(options) };
  const fence = sharedFence();
  fence.claims.add(installation);
  fitHooks(fence);
  return {
    uninstall() {
      fence.claims.delete(installation);
      fitHooks(fence);
    },
  };
}

const isTarget: OptionCheck<CrashTarget> = {
  allowed: "an object with a method crash(reason)",
  accepts: (value): value is CrashTarget => hasMethods(value, "crash"),
};

const isSignals: OptionCheck<readonly FenceSignal[] | false> = {
  allowed: `an array of ${fenceSignals.join(", ")}, or false`,
  accepts: (value): value is readonly FenceSignal[] | false =>
    value === false || (Array.isArray(value) && value.every(isSignal)),
};

const names: readonly (keyof CrashFenceOptions)[] = ["signals", "uncaughtException", "exit"];

function wantedEvents(options: CrashFenceOptions | null): Set<string> {
  rejectUnknownOptions(component, options, names);
  const { signals = ["SIGINT", "SIGTERM", "SIGHUP"], uncaughtException = true, exit = true } = options ?? {};
  const events = new Set<string>(checked(component, "signals", signals, isSignals) || []);
  if (checked(component, "uncaughtException", uncaughtException, isBoolean))
    events.add("uncaughtExceptionMonitor");
  if (checked(component, "exit", exit, isBoolean)) events.add("exit");
  return events;
}

/** Installs the listeners that the installations need and removes the other ones, those for signals a little later. */
function fitHooks(fence: Fence, isLater = false): void {
  const wanted = new Set([...fence.claims].flatMap(({ events }) => [...events]));
  for (const event of fence.hooks.keys()) {
    if (wanted.has(event)) continue;
    if (isLater || !isSignal(event)) unhook(fence, event);
    else timers.setImmediate(() => afterCaughtSignals(() => fitHooks(fence, true)));
  }
  for (const event of wanted) {
    if (!fence.hooks.has(event)) hook(fence, event);
  }
}

/** A turn of the event loop in which no other code runs takes a few microseconds. */
const shortTurnMillis = 0.1;
const maxTurns = 100;

/**
 * The event loop passes a caught signal to its listener when it next asks the kernel for events. If the listener is gone by
 * then, the signal is lost, and the process lives on as if it ignored the signal: libuv drops caught signals with the handle
 * that a runtime closes with the last listener, and no function of Node keeps them, or blocks signals meanwhile. So this runs
 * at the end of a turn that was so short that the loop has just asked.
 */
function afterCaughtSignals(run: () => void, turns = maxTurns): void {
  const began = systemClock.monotonic();
  timers.setImmediate(() => {
    if (turns === 0 || systemClock.monotonic() - began < shortTurnMillis) run();
    else afterCaughtSignals(run, turns - 1);
  });
}

function hook(fence: Fence, event: string): void {
  const listener = (...details: unknown[]) => {
    crashAll(fence, event, reasonFor(event, details), detectorFor(event, details));
    if (isSignal(event)) passOn(fence, event);
  };
  try {
    // First in line: another listener may be `once`, and gone before ours counts the listeners, or may exit at once.
    (process as NodeJS.EventEmitter).prependListener(event, listener);
    fence.hooks.set(event, listener);
  } catch (error) {
    // The platform does not know the signal.
    diagnostics.log("warn", `no crash fence for ${event}`, error);
  }
}

function unhook(fence: Fence, event: string): void {
  const listener = fence.hooks.get(event);
  fence.hooks.delete(event);
  if (listener !== undefined) process.off(event, listener);
}

function crashAll(fence: Fence, event: string, reason: string, detector: string): void {
  const targets = new Set<FenceTarget>();
  for (const { target, events } of fence.claims) {
    if (events.has(event)) targets.add(target);
  }
  for (const target of targets) {
    try {
      if (target.stopped) continue;
      if (isProvisional(target)) target[provisionalFence](reason, detector);
      else target.crash(reason);
    } catch (error) {
      diagnostics.log("error", `a target of the crash fence threw on ${event}`, error);
    }
  }
}

/**
 * Gives a signal its effect after the fence. Our listener is removed first, for two reasons: the signal that is raised
 * again must have its default effect, and a library that raises it only if no other listener is left must not wait for
 * ours.
 */
function passOn(fence: Fence, signal: FenceSignal): void {
  unhook(fence, signal);
  // If the process lives on, the next signal is fenced again.
  timers.queueMicrotask(() => fitHooks(fence));
  if (process.listenerCount(signal) > 0 || !isMainThread) return;
  try {
    process.kill(process.pid, signal);
  } catch (error) {
    // Windows can raise only some signals.
    diagnostics.log("warn", `${signal} could not be raised again`, error);
    process.exit(1);
  }
}

function isSignal(event: unknown): event is FenceSignal {
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

/** The name of the signal or of the exception, or `exit`. */
function detectorFor(event: string, [thrown]: readonly unknown[]): string {
  return event === "uncaughtExceptionMonitor" ? nameOf(thrown) : event;
}

function nameOf(thrown: unknown): string {
  const name = tryOr(() => (thrown instanceof Error ? (thrown.name as unknown) : undefined), undefined);
  return typeof name === "string" && name !== "" ? name : "uncaughtException";
}

function messageOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } catch {
    return "(no message)";
  }
}
