/**
 * What the components of this package log through `diag`, each under its own name, and the account of the spans that
 * they lose.
 *
 * A logger is code of the host: it may throw, record spans, or end sessions and exporters. So nothing here throws, every
 * counter is updated before its message is logged, and a component that shares state defers its messages until the state
 * is whole.
 */
import { diag } from "@opentelemetry/api";
import { type Clock, type Timer, timers } from "../platform/clock.js";
import { messageOf } from "../platform/errors.js";
import { sharedState } from "../platform/shared-state.js";
import { reportGlobally } from "./global-error-handler.js";
import { isRegistered } from "./registered-api.js";
import { untracedClock } from "./untraced.js";

/** A level of `diag`. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Messages that wait until the state that they describe is whole. */
class ReportQueue {
  /** Calls of {@link during} that are under way, one inside the other. */
  #depth = 0;
  readonly #waiting: (() => void)[] = [];

  /** Runs synchronous work. Messages that are added meanwhile are logged when the outermost work is over. */
  during<T>(work: () => T): T {
    this.#depth++;
    try {
      return work();
    } finally {
      if (--this.#depth === 0 && this.#waiting.length > 0) this.#logAll();
    }
  }

  /** `log` must not throw. Outside of {@link during} it runs when the code that runs now has returned. */
  add(log: () => void): void {
    this.#waiting.push(log);
    if (this.#depth === 0) timers.queueMicrotask(() => this.#logAll());
  }

  /** Takes each message out before it is logged: a logger may end the process, or call back into this package. */
  #logAll(): void {
    for (let log = this.#waiting.shift(); log; log = this.#waiting.shift()) log();
  }
}

/** One queue for all exporters, because the exporters of one directory share its work. */
export const reports = new ReportQueue();

/**
 * What the entry `register` prints of warnings and errors while the program has set no logger of `diag`: it has no code that
 * could set one.
 */
export const unheard = sharedState("unheard-messages/1", () => ({
  print: undefined as ((text: string) => void) | undefined,
}));

/** The log of one component. No method throws. */
export class Diagnostics {
  readonly #component: string;
  readonly #isDeferred: boolean;
  readonly #repeated: CoalescedLog;

  /**
   * @param component the class or function as its user knows it; begins every message
   * @param isDeferred whether messages wait in {@link reports}
   */
  constructor(component: string, { clock = untracedClock, isDeferred = false } = {}) {
    this.#component = component;
    this.#isDeferred = isDeferred;
    this.#repeated = new CoalescedLog(clock, 1_000);
  }

  /** Logs one message; `cause` becomes a second argument of `diag`. An error also reaches the SDK's global error handler. */
  log(level: LogLevel, message: string, cause?: unknown): void {
    const details = cause === undefined ? [] : [cause];
    const write = () => {
      const text = `${this.#component}: ${message}`;
      try {
        diag[level](text, ...details);
        if (unheard.print && (level === "warn" || level === "error") && !isRegistered("diag"))
          unheard.print(cause === undefined ? text : `${text}: ${messageOf(cause)}`);
      } catch {
        // The logger itself failed, so there is no place to report it.
      }
      if (level === "error") reportGlobally(text, cause);
    };
    if (this.#isDeferred) reports.add(write);
    else write();
  }

  /** Logs a failure that may come again with every call: the first one at once, later ones as a number per window. */
  failure(what: string, error: unknown, level: LogLevel = "error"): void {
    this.repeated(`${what}: ${errorTypeOf(error)}`, {
      first: () => this.log(level, what, error),
      more: (times) => this.log(level, `${what}, ${counted(times, "time", "more")}`),
    });
  }

  /** Logs an event that may come again with every call. */
  repeated(kind: string, messages: CoalescedMessages): void {
    this.#repeated.add(kind, 1, messages);
  }
}

/**
 * Windows grow up to this length, so that an event that lasts is one line a minute. A burst is over only after as long
 * without an event: otherwise an event of every few seconds would be a new burst each time.
 */
const longestWindowMillis = 60_000;

/** Kinds to distinguish. A program has a handful; the kinds of one that makes up new names are not all logged. */
const maxKinds = 100;

/** What to log of a burst. */
export interface CoalescedMessages {
  first(): void;
  /** `count` events since the last message. */
  more?(count: number): void;
  /** There was no event for a minute; the burst had `total` of them. */
  over?(total: number): void;
}

interface Burst {
  readonly messages: CoalescedMessages;
  total: number;
  unreported: number;
  /** What the running window has seen. `quiet`: the last window, which is a whole minute, without an event so far. */
  window: "events" | "no events" | "quiet";
  windowMillis: number;
  /** Absent between {@link CoalescedLog.end} and the next event. */
  timer: Timer | undefined;
}

/**
 * A rate-limited log: the first event of a burst is logged at once, because the next one may not come for long; later
 * events are counted per window, which doubles up to a minute; and the end of the burst can be logged.
 */
export class CoalescedLog {
  readonly #clock: Clock;
  readonly #firstWindowMillis: number;
  readonly #bursts = new Map<string, Burst>();

  constructor(clock: Clock, firstWindowMillis: number) {
    this.#clock = clock;
    this.#firstWindowMillis = Math.min(firstWindowMillis, longestWindowMillis);
  }

  /** `count` events of one kind. The messages of a burst are those of its first event. */
  add(kind: string, count: number, messages: CoalescedMessages): void {
    const known = this.#bursts.get(kind);
    if (known) {
      known.total += count;
      known.unreported += count;
      known.window = "events";
      if (known.timer === undefined) this.#openWindow(kind, known);
      return;
    }
    if (this.#bursts.size >= maxKinds) return;
    const burst: Burst = {
      messages,
      total: count,
      unreported: 0,
      window: "no events",
      windowMillis: this.#firstWindowMillis,
      timer: undefined,
    };
    this.#bursts.set(kind, burst);
    this.#openWindow(kind, burst);
    messages.first();
  }

  /** Logs now what was counted since the last message. */
  flush(): void {
    for (const burst of this.#bursts.values()) logMore(burst);
  }

  /** As {@link flush}, and stops the timers. Known kinds stay known: their next event opens the window again. */
  end(): void {
    const bursts = [...this.#bursts.values()];
    for (const burst of bursts) {
      burst.timer?.cancel();
      burst.timer = undefined;
    }
    for (const burst of bursts) logMore(burst);
  }

  #openWindow(kind: string, burst: Burst): void {
    burst.timer = this.#clock.after(burst.windowMillis, () => this.#closeWindow(kind, burst));
  }

  #closeWindow(kind: string, burst: Burst): void {
    if (burst.window === "quiet") {
      this.#bursts.delete(kind);
      burst.messages.over?.(burst.total);
      return;
    }
    const hadEvents = burst.window === "events";
    burst.window = hadEvents ? "no events" : "quiet";
    burst.windowMillis = hadEvents
      ? Math.min(2 * burst.windowMillis, longestWindowMillis)
      : longestWindowMillis;
    this.#openWindow(kind, burst);
    logMore(burst);
  }
}

function logMore(burst: Burst): void {
  const { unreported } = burst;
  burst.unreported = 0;
  if (unreported > 0) burst.messages.more?.(unreported);
}

/** Values of `error.type` to distinguish: the names of a host's errors could be any number. */
const maxTypes = 30;

/** Lost spans by `error.type`. */
class LossCounter {
  #total = 0;
  readonly #byType = new Map<string, number>();

  get total(): number {
    return this.#total;
  }

  /** A snapshot. */
  get byType(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#byType);
  }

  add(type: string, spans: number): void {
    const kind = this.#byType.has(type) || this.#byType.size < maxTypes ? type : "_OTHER";
    this.#total += spans;
    this.#byType.set(kind, (this.#byType.get(kind) ?? 0) + spans);
  }
}

/** Why spans are lost: their `error.type` in the metrics, and for people what happened and what to do. */
export interface LossReason {
  readonly type: string;
  readonly why: string;
}

/** A fault that lasts is retried well within this time, so it is one burst; a fault after it is another one. */
const faultWindowMillis = 60_000;

/** The spans that one component lost, and the faults that it met. Everything is counted first, then logged coalesced. */
export class LossAccount {
  readonly #diagnostics: Diagnostics;
  readonly #lost = new LossCounter();
  readonly #drops: CoalescedLog;
  readonly #failures: CoalescedLog;
  readonly #faultLog: CoalescedLog;
  #failed = 0;
  #faults = 0;

  /** `windowMillis`: after this time the spans are counted that followed the first lost one. */
  constructor(diagnostics: Diagnostics, clock: Clock, windowMillis: number) {
    this.#diagnostics = diagnostics;
    this.#drops = new CoalescedLog(clock, windowMillis);
    this.#failures = new CoalescedLog(clock, windowMillis);
    this.#faultLog = new CoalescedLog(clock, faultWindowMillis);
  }

  /** Spans that were not passed on. */
  get dropped(): number {
    return this.#lost.total - this.#failed;
  }

  /** Spans that were passed on and did not arrive. */
  get failed(): number {
    return this.#failed;
  }

  /** All lost spans by `error.type`. */
  get lostBy(): Readonly<Record<string, number>> {
    return this.#lost.byType;
  }

  /** Calls that failed or threw; not a number of spans. */
  get faults(): number {
    return this.#faults;
  }

  /** Spans are not passed on. */
  drop(spans: number, { type, why }: LossReason): void {
    this.#lost.add(type, spans);
    const log = (message: string) => this.#diagnostics.log("warn", message);
    this.#drops.add(why, spans, {
      first: () => log(`dropped ${counted(spans, "span")}: ${why}`),
      more: (more) => log(`dropped ${counted(more, "span", "more")}: ${why} (${this.dropped} in all)`),
    });
  }

  /** Spans were passed on and did not arrive; `cause` is the error of the first failure. */
  fail(spans: number, { type, why }: LossReason, cause?: unknown): void {
    this.countFailed(spans, type);
    const log = (message: string, error?: unknown) => this.#diagnostics.log("error", message, error);
    this.#failures.add(type, spans, {
      first: () => log(`${counted(spans, "span")} ${wasOrWere(spans)} not exported: ${why}`, cause),
      more: (more) =>
        log(
          `${counted(more, "span", "more")} ${wasOrWere(more)} not exported: ${why} (${this.#failed} in all)`,
        ),
    });
  }

  /** As {@link fail}, where a fault is logged already. */
  countFailed(spans: number, type: string): void {
    this.#failed += spans;
    this.#lost.add(type, spans);
  }

  /** Counts a fault and logs the first of its kind, until there was none for a minute. */
  fault(kind: string, messages: CoalescedMessages): void {
    this.#faults++;
    this.problem(kind, messages);
  }

  /** As {@link fault}, for what `faults` does not count. */
  problem(kind: string, messages: CoalescedMessages): void {
    this.#faultLog.add(kind, 1, messages);
  }

  /**
   * Logs the drops that were only counted so far. Failures stay for their window: a flush at the end of each turn would
   * log a backend that is down once per turn.
   */
  reportDrops(): void {
    this.#drops.flush();
  }

  /** The component has ended: logs what was only counted so far and stops the timers. Later losses are still counted. */
  end(): void {
    this.#faultLog.end();
    this.#drops.end();
    this.#failures.end();
  }
}

/** A number with its noun: `1 span`, `2 more spans`. */
export const counted = (count: number, noun: string, more?: "more"): string =>
  `${count}${more ? " more" : ""} ${noun}${count === 1 ? "" : "s"}`;

const wasOrWere = (spans: number): string => (spans === 1 ? "was" : "were");

/** An error in one word, its name (semantic conventions, `error.type`), as the SDK's components give it. */
export function errorTypeOf(error: unknown): string {
  try {
    const { name } = error as Error;
    if (error instanceof Error && typeof name === "string" && name !== "") return name.slice(0, 100);
  } catch {
    // The error cannot be read.
  }
  return "_OTHER";
}
