/**
 * The faults of the exporter and the spans that it lost: counted at once, logged once per fault.
 */
import {
  counted,
  Diagnostics,
  errorTypeOf,
  type LossReason as Loss,
  LossAccount,
} from "../otel/diagnostics.js";
import type { Clock } from "../platform/clock.js";
import { messageOf, reasonOf } from "../platform/errors.js";
import { errorCode } from "../platform/file-system.js";
import type { Refusal } from "../platform/ground.js";
import { type AppliedLimits, isRetentionFault, unnamedBounds } from "../recovery/retention.js";
import type { Durability } from "../storage/durability.js";
import { advice } from "./advice.js";
import { KeptFiles } from "./kept-files.js";

/** After this time the spans are counted that followed the first lost one. */
const lossWindowMillis = 1_000;

/** Why an ended span is in no file. */
export type LossReason = keyof typeof losses;

const losses = {
  closed: {
    type: "session_ended",
    why: "its session had ended before it; end spans before their session, or start one to resume it",
  },
  ended: {
    type: "session_ended",
    why: "its session had ended before it; open the session again to go on with it",
  },
  crashed: {
    type: "session_crashed",
    why: "its session was ended by crash(); a crashed session accepts spans only after it was opened again",
  },
  unnamed: {
    type: "no_session",
    why: 'its trace names no session, and the option withoutSession is "drop"; name a session, or choose "trace"',
  },
  stopped: { type: "already_shutdown", why: "after shutdown; end spans before it" },
  fenced: { type: "crashed", why: "after the crash fence; an exporter accepts no spans after crash()" },
  nested: {
    type: "nested",
    why:
      "it was recorded by code that reads spans, such as a redactor, while that code read a span that it had recorded " +
      "itself; do not record spans there",
  },
  unreadable: { type: "unreadable", why: "it cannot be read; check the code that makes such spans" },
  full: {
    type: "queue_full",
    why: "writing to the disk fails and the retry queue is full; free some space, or repair the disk",
  },
} as const satisfies Record<string, Loss>;

export class FaultLog {
  readonly #diagnostics: Diagnostics;
  readonly #losses: LossAccount;
  #droppedStarts = 0;
  #lastFault: unknown;
  readonly #keptFiles: KeptFiles;
  /** Spans in memory that were reported last. */
  #waiting = 0;

  /** `isDeferred`: messages wait until the state of all exporters is whole. */
  constructor(clock: Clock, { isDeferred = false } = {}) {
    this.#diagnostics = new Diagnostics("CrashSafeFileSpanExporter", { clock, isDeferred });
    this.#losses = new LossAccount(this.#diagnostics, clock, lossWindowMillis);
    this.#keptFiles = new KeptFiles(this.#diagnostics);
  }

  /** Calls that failed. */
  get faults(): number {
    return this.#losses.faults;
  }

  /** Spans that are in no file. */
  get dropped(): number {
    return this.#losses.dropped;
  }

  /** Starts of spans that are in no file. */
  get droppedStarts(): number {
    return this.#droppedStarts;
  }

  /** The dropped spans by `error.type`. */
  get lostBy(): Readonly<Record<string, number>> {
    return this.#losses.lostBy;
  }

  /** The file system failed, or reading a span did. Logged once for as long as the fault lasts, and when it is over. */
  fault(error: unknown, path: string): void {
    if (isRetentionFault(error)) {
      this.#keptFiles.add(error, path);
      return;
    }
    const code = errorCode(error);
    const kind = code ?? errorTypeOf(error);
    if (code !== undefined) this.#lastFault = error;
    this.#losses.fault(kind, {
      first: () =>
        this.#diagnostics.log(
          "error",
          code === undefined
            ? `internal error while writing ${path}: ${reasonOf(error)}. Some spans may be incomplete. Further errors ` +
                "of this kind are only counted. Please report this as a bug"
            : `cannot write ${path}: ${reasonOf(error)}. Spans are kept in memory and written when the disk accepts ` +
                `them; ${advice(error)}`,
        ),
      over: (total) =>
        this.#diagnostics.log(
          "info",
          `no ${kind} for one minute (${counted(total, "failed call")} in all, first at ${path})`,
        ),
    });
  }

  /** The file system of the directory refuses something for good. */
  refused(
    { capability, message }: Refusal,
    { dir, durability }: { readonly dir: string; readonly durability: Durability },
  ): void {
    const isPromised = durability !== "process" && (capability === "sync" || capability === "directorySync");
    const broken = isPromised ? `. The durability ${JSON.stringify(durability)} cannot be kept there` : "";
    this.#losses.problem(`refused ${capability}`, {
      first: () => this.#diagnostics.log("warn", `${refusalText({ capability, message }, dir)}${broken}`),
    });
  }

  /** Retention removed a document. */
  removed(path: string, limits: AppliedLimits): void {
    const { maxFiles, maxTotalBytes } = unnamedBounds;
    const why =
      limits === "given"
        ? "the limits of the directory (maxFiles, maxFileAgeMillis, maxTotalBytes)"
        : `by default, traces that name no session keep ${maxFiles} documents and ${maxTotalBytes} bytes; set maxFiles ` +
          "and maxTotalBytes to keep more, or name sessions";
    this.#diagnostics.log("info", `removed ${path}: ${why}`);
  }

  /** The meter provider of the host threw. */
  metrics(error: unknown): void {
    this.#losses.problem("selfObsMeterProvider", {
      first: () =>
        this.#diagnostics.log(
          "warn",
          `selfObsMeterProvider threw: ${reasonOf(error)}. Metrics are missing, spans are not; check the provider`,
        ),
    });
  }

  /** The process ends, or may end, while spans wait in memory. Logged once as long as their number stays. */
  waiting(spans: number, dir: string): void {
    const isKnown = spans === this.#waiting;
    this.#waiting = spans;
    if (spans === 0 || isKnown) return;
    const fault = this.#lastFault;
    const why = fault === undefined ? "writing to the disk fails" : reasonOf(fault);
    this.#diagnostics.log(
      "error",
      `${counted(spans, "span")} ${spans === 1 ? "is" : "are"} in memory only and lost with the process, because ${dir} ` +
        `cannot be written: ${why}; ${advice(fault)}`,
    );
  }

  /** The flush before a natural exit failed. */
  exitFlush(error: unknown): void {
    this.#losses.problem("exit flush", {
      first: () => this.#diagnostics.log("error", `the flush before exit failed: ${messageOf(error)}`),
    });
  }

  /** Ended spans are in no file. */
  drop(reason: LossReason, spans = 1): void {
    this.#losses.drop(spans, losses[reason]);
  }

  /** The start of a span is in no file; its end may still be recorded. */
  dropStart(): void {
    this.#droppedStarts++;
    const why =
      "writing to the disk fails and the retry queue is full; a span that is still open at a crash is lost";
    this.#losses.problem("dropped starts", {
      first: () => this.#diagnostics.log("warn", `dropped the start of 1 span: ${why}`),
      more: (starts) =>
        this.#diagnostics.log(
          "warn",
          `dropped the start of ${counted(starts, "span", "more")}: ${why} (${this.#droppedStarts} in all)`,
        ),
    });
  }

  /** The exporter has ended: logs every loss that was only counted so far. */
  end(): void {
    this.#losses.end();
  }
}

/** The `error.type` of a loss in the metrics. */
export const lossType = (reason: LossReason): string => losses[reason].type;

/** The message about a thing that the file system of a directory refuses for good. */
export const refusalText = ({ capability, message }: Omit<Refusal, "code">, dir: string): string =>
  `works without ${refusedThings[capability]} in ${dir}: ${message}`;

const refusedThings: Readonly<Record<Refusal["capability"], string>> = {
  sync: "syncs of files",
  directorySync: "syncs of directories",
  hardLinks: "hard links",
  stableInodes: "inode numbers",
  openFiles: "renames over open files",
  nameCharacters: "some characters in names",
};
