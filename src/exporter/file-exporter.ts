/**
 * The exporter: writes spans to one trace document per session.
 */

import type { Context } from "@opentelemetry/api";
import { type EnginePorts, joinDirectory } from "../directory/registry.js";
import type { DirectoryListener, DirectoryUser, MovingSpan } from "../directory/shared-directory.js";
import { callerEnd } from "../format/session-end.js";
import type { TraceSpan } from "../format/trace-file.js";
import { counted, reports } from "../otel/diagnostics.js";
import { sessionIdText } from "../otel/session-attributes.js";
import {
  type ExportResult,
  ExportResultCode,
  type LiveSpanExporter,
  provisionalFence,
  type ReadableSpan,
} from "../otel/types.js";
import { untracedClock } from "../otel/untraced.js";
import { withTimeout } from "../platform/async.js";
import { environment } from "../platform/environment.js";
import { CrashSafeFileError, reasonOf } from "../platform/errors.js";
import { Lifecycle } from "../platform/lifecycle.js";
import { isOwnCall } from "../platform/own-work.js";
import { advice } from "./advice.js";
import { ContentFilter } from "./content-filter.js";
import { ExporterAccount, type FileExporterStats } from "./exporter-stats.js";
import { FaultLog, type LossReason } from "./fault-log.js";
import {
  type CrashSafeFileSpanExporterOptions,
  endErrorOf,
  type ResolvedExporterOptions,
  reportUnknownVariables,
  resolveExporterOptions,
} from "./file-exporter-options.js";
import { ProcessExit } from "./process-exit.js";
import { findRecordedSession, openSessionHandle, type SessionHost } from "./session-handle.js";
import { SessionPolicy } from "./session-policy.js";
import type { SessionHandle, SessionOpening, SessionStore } from "./session-store.js";
import { SpanAdmission } from "./span-admission.js";

/** Longest time that calls wait for the disk. A call that gives up loses nothing that was recorded. */
const timeoutMillis = 30_000;

/**
 * An OpenTelemetry `SpanExporter` that writes one trace document per agent session. A document stays whole however the
 * process ends.
 *
 * With a {@link CrashSafeSpanProcessor} the start of a span is in a file when `onStart` returns, and the span when `onEnd`
 * returns. With the processors of the SDK a span is in a file when `export` returns. Calls may be concurrent.
 */
export class CrashSafeFileSpanExporter implements LiveSpanExporter, SessionStore {
  readonly #options: ResolvedExporterOptions;
  readonly #directory: DirectoryUser;
  readonly #filter: ContentFilter;
  readonly #admission: SpanAdmission;
  readonly #host: SessionHost;
  /** Sessions that `shutdown` ended: a later `crash` marks them as crashed. */
  #ended: readonly string[] = [];
  readonly #log: FaultLog;
  readonly #account: ExporterAccount;
  readonly #exit: ProcessExit;
  readonly #lifecycle = new Lifecycle();
  /** The shutdown that is under way, or has succeeded. */
  #shutdown: Promise<void> | undefined;

  /**
   * Creates no file. Recovers the sessions of dead processes in the background.
   *
   * @throws CrashSafeFileError `INVALID_OPTION`, naming the option or variable, its value and what is allowed
   */
  constructor(options?: CrashSafeFileSpanExporterOptions);
  /** @internal For tests, which replace parts of the machine. */
  constructor(options?: CrashSafeFileSpanExporterOptions, ports?: EnginePorts);
  constructor(options: CrashSafeFileSpanExporterOptions = {}, ports?: EnginePorts) {
    this.#options = resolveExporterOptions(options, environment());
    reportUnknownVariables(environment());
    const clock = ports?.clock ?? untracedClock;
    this.#log = new FaultLog(clock, { isDeferred: true });
    const listener: DirectoryListener = {
      onFault: (error, path) => this.#log.fault(error, path),
      onRemoved: (path, limits) => this.#log.removed(path, limits),
      onRefused: (refusal) => this.#log.refused(refusal, this.#options),
      onReleased: () => this.#onReleased(),
      onLost: (reason, spans) => this.#account.lose(reason, spans),
    };
    const policy = new SessionPolicy(this.#options.withoutSession);
    const directoryOptions = { ...this.#options, clock: untracedClock, unnamed: policy };
    this.#directory = joinDirectory(this.#options.dir, directoryOptions, listener, ports);
    this.#account = new ExporterAccount(
      this.#directory,
      clock,
      this.#log,
      this.#options.selfObsMeterProvider,
    );
    this.#exit = new ProcessExit(this, this.#account, this.#log, this.#options.dir);
    this.#filter = new ContentFilter(this.#options.redact, this.#options);
    this.#admission = new SpanAdmission(
      this.#directory,
      { sessionId: this.#options.sessionId, policy },
      this.#filter,
      () => this.#closedBy(),
    );
    this.#host = {
      directory: this.#directory,
      filter: this.#filter,
      guard: (work) => this.#guard(work),
      bounded: (what, work) => this.#bounded(what, work),
      onUse: () => this.#exit.join(),
    };
  }

  /** Whether all documents are written after `shutdown`: then process hooks have nothing to fence. */
  get stopped(): boolean {
    return this.#lifecycle.state === "ended";
  }

  /** A snapshot of the counters. */
  stats(): FileExporterStats {
    return this.#account.stats();
  }

  /**
   * Records ended spans. Calls back before it returns: with success, or with `SPANS_DROPPED` if a span is in no file.
   * After `shutdown` and `crash` every call fails, also one without spans. Never throws.
   */
  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    // A simple processor passes on a span that an instrumentation ended within our own call.
    if (spans.length === 1 && isOwnCall()) {
      resultCallback({ code: ExportResultCode.SUCCESS });
      return;
    }
    const lost = reports.during(() => {
      const begun = this.#account.begin();
      const losses = spans.map((span) => this.#recordSpan(span)).filter((loss) => loss !== undefined);
      this.#account.end(begun, losses[0]);
      return losses.length;
    });
    const error = new CrashSafeFileError("SPANS_DROPPED", `${lost} of ${spans.length} spans were dropped`);
    resultCallback(
      lost === 0 && this.#lifecycle.isOpen
        ? { code: ExportResultCode.SUCCESS }
        : { code: ExportResultCode.FAILED, error },
    );
  }

  /** Journals the start of a span. The start survives the process when this returns. Never throws. */
  recordStart(span: ReadableSpan, parentContext?: Context): void {
    if (!this.#lifecycle.isOpen) return;
    this.#guard(() => {
      const admitted = this.#admission.admit(span, parentContext);
      if (typeof admitted === "string") {
        // `recorded`: code of the host ended the span while its start was read.
        if (admitted !== "recorded") this.#admission.leaveOut(span);
        return;
      }
      const { home, span: first, metadata } = admitted;
      const read = this.#admission.reader(span, admitted, parentContext);
      const sessionOf = () => this.#admission.ownSession(span);
      if (first === undefined) home.learn(metadata);
      else if (home.recordStart(span, first, () => read() ?? first, metadata, sessionOf) === "full")
        this.#log.dropStart();
      this.#exit.join();
    });
  }

  /** Records an ended span. The span survives the process when this returns. Never throws. */
  recordEnd(span: ReadableSpan): void {
    reports.during(() => {
      const begun = this.#account.begin();
      this.#account.end(begun, this.#recordSpan(span));
    });
  }

  /**
   * Resolves when every span that was recorded before the call is in its published document, and synced where
   * `durability` asks for it.
   *
   * @throws CrashSafeFileError `WRITE_FAILED` when writing fails; recorded spans are kept and written later
   */
  forceFlush(): Promise<void> {
    return this.#bounded("forceFlush", this.#flush());
  }

  /**
   * Ends all sessions of this exporter with status `completed`, and resolves when their documents are written. Calls share
   * one shutdown until it fails; the next call after that tries again. What a failed shutdown could not write is retried
   * every second while the process lives, and is written by a recovery after that. A span that waits in memory is lost
   * with the process: see `inflight` of {@link stats}.
   *
   * @throws CrashSafeFileError `WRITE_FAILED` when writing fails
   */
  shutdown(): Promise<void> {
    this.#shutdown ??= this.#end().catch((error: unknown) => {
      this.#shutdown = undefined;
      throw error;
    });
    return this.#shutdown;
  }

  /**
   * The crash fence, synchronous. When it returns, the documents of the exporter's sessions have status `crashed` and hold
   * every ended span, and every open span marked as interrupted. No earlier operation can change them. Never throws.
   */
  crash(reason?: string): void {
    this.#guard(() => {
      const shown = reason && typeof reason === "string" ? this.#filter.error(reason) : undefined;
      this.#lifecycle.crash();
      this.#exit.leaveFlush();
      this.#directory.crash(this.#ended, shown);
    });
    this.#exit.report();
  }

  /** @internal Called by process hooks. */
  [provisionalFence](reason: string, detector: string | undefined): void {
    this.#guard(() => this.#directory.fence({ reason: this.#filter.error(reason), detector }));
    this.#exit.report();
  }

  /**
   * Ends one session: closes its open spans and gives it the status `completed`, or `error` with a message. A span that
   * starts later resumes the session. No effect on a session that has no record of this exporter. For a session that has
   * ended and could not be written, tries again; also after `shutdown` and `crash`.
   *
   * @throws CrashSafeFileError `WRITE_FAILED` when writing fails; the end is retried
   */
  endSession(
    sessionId: string | number,
    options: { readonly error?: string | undefined } = {},
  ): Promise<void> {
    const id = sessionIdText(sessionId, "the id of endSession");
    const error = endErrorOf(options);
    const end = callerEnd(error && this.#filter.error(error));
    if (id === undefined) return Promise.resolve();
    const directory = this.#directory;
    const work = this.#lifecycle.isOpen ? directory.end(id, end) : directory.flushSession(id);
    return this.#bounded("endSession", work);
  }

  /** Path of the session's document, which need not exist yet. */
  tracePath(sessionId: string | number): string {
    return this.#directory.path(sessionIdText(sessionId, "the id of tracePath") ?? "");
  }

  /**
   * Opens a session explicitly, or continues its document. Synchronous: the document exists when this returns. After the
   * end of the session, spans do not reopen it.
   *
   * @throws CrashSafeFileError `WRITE_FAILED` after `shutdown` or `crash`
   */
  openSession(opening: SessionOpening): SessionHandle {
    return reports.during(() => {
      const facts = this.#filter.facts(opening);
      if (!this.#lifecycle.isOpen) throw ended();
      return openSessionHandle(this.#host, opening, facts);
    });
  }

  /**
   * Continues the document of a session, without a change to it yet; `undefined` if there is no usable document. Recovers
   * first what a dead process left of the session.
   *
   * @throws CrashSafeFileError `WRITE_FAILED` after `shutdown` or `crash`, or when writing fails
   */
  async resumeSession(id: string): Promise<SessionHandle | undefined> {
    return (await this.findSession(id))?.();
  }

  /**
   * @internal Finds the document of a session as {@link resumeSession} does, and returns a function that resumes the
   * session synchronously. Rejects, and the function throws, as `resumeSession` rejects.
   */
  async findSession(id: string): Promise<(() => SessionHandle) | undefined> {
    if (!this.#lifecycle.isOpen) throw ended();
    const resume = await findRecordedSession(this.#host, id);
    return (
      resume &&
      (() =>
        reports.during(() => {
          if (!this.#lifecycle.isOpen) throw ended();
          return resume();
        }))
    );
  }

  /** Records and counts a span, inside of `reports.during`. Never throws. */
  #recordSpan(span: ReadableSpan): LossReason | undefined {
    let lost: LossReason | undefined = "unreadable";
    try {
      lost = this.#record(span);
    } catch (error) {
      this.#log.fault(error, this.#options.dir);
    }
    this.#account.span(lost);
    return lost;
  }

  /** Records a span, or returns why it is lost. */
  #record(span: ReadableSpan): LossReason | undefined {
    const admitted = this.#admission.admit(span);
    if (typeof admitted === "string") return admitted === "recorded" ? undefined : admitted;
    const { home, span: record, metadata, startedIn } = admitted;
    this.#exit.join();
    if (record) {
      const recordEnd = () => home.recordEnd(span, record, metadata);
      const outcome =
        startedIn && home.id !== undefined
          ? startedIn.moveOut(movingOf(span, record), home.id, recordEnd)
          : recordEnd();
      return outcome === "recorded" ? undefined : outcome;
    }
    home.learn(metadata);
    return undefined;
  }

  async #end(): Promise<void> {
    const directory = this.#directory;
    try {
      // After a shutdown that failed, and after a crash, what was not written is retried.
      await this.#bounded("shutdown", this.#lifecycle.end() ? this.#leave() : directory.flush());
      // A crash came meanwhile.
      if (!this.#lifecycle.confirmEnd()) await this.#bounded("shutdown", directory.flush());
    } finally {
      this.#log.end();
      directory.release();
    }
  }

  /** Why spans are lost that come now; `undefined` while they are accepted. */
  #closedBy(): LossReason | undefined {
    if (this.#lifecycle.isOpen) return undefined;
    return this.#lifecycle.state === "crashed" ? "fenced" : "stopped";
  }

  async #flush(): Promise<void> {
    await this.#directory.flush();
    await this.#admission.resourcesKnown()?.then(() => this.#directory.flush());
  }

  async #leave(): Promise<void> {
    // A session learns nothing after its end.
    const known = this.#admission.resourcesKnown();
    if (known) await known;
    const { ended, done } = this.#directory.leave();
    this.#ended = ended;
    await done;
  }

  /** All that this exporter recorded is written. */
  #onReleased(): void {
    this.#lifecycle.confirmEnd();
    this.#exit.leave();
    this.#log.end();
    this.#account.close();
  }

  async #bounded(what: string, work: Promise<void>): Promise<void> {
    const late = new CrashSafeFileError("WRITE_FAILED", `not finished in ${timeoutMillis} ms`);
    try {
      await withTimeout((bounded) => bounded(work), { millis: timeoutMillis, error: () => late });
    } catch (error) {
      // Another copy of this package, which opened the directory, has another error class.
      const { code, cause = undefined } = error as CrashSafeFileError;
      const isKnown = code === "WRITE_FAILED";
      const known = isKnown ? cause : error;
      const message = `${what}: ${reasonOf(error)}. ${this.#outlook(what, known)}`;
      throw new CrashSafeFileError("WRITE_FAILED", message, error === late ? {} : { cause: known });
    }
  }

  /** Where the recorded spans are while a write fails, and what to do. */
  #outlook(what: string, cause: unknown): string {
    const { inflight } = this.#account.stats();
    const where =
      inflight > 0
        ? `${counted(inflight, "span")} of this exporter ${inflight === 1 ? "waits" : "wait"} in memory and would be lost with the process`
        : `All recorded spans are in side files in ${this.#options.dir} and are not lost with the process`;
    return `${where}. The write is retried while the process lives; ${advice(cause)}, and call ${what}() again`;
  }

  #guard(work: () => void): void {
    try {
      reports.during(work);
    } catch (error) {
      this.#log.fault(error, this.#options.dir);
    }
  }
}

function movingOf(span: ReadableSpan, { parentSpanId }: TraceSpan): MovingSpan {
  const { traceId, spanId } = span.spanContext();
  return { traceId, spanId, parentSpanId };
}

const ended = () =>
  new CrashSafeFileError(
    "WRITE_FAILED",
    "the exporter has ended; open the session with an exporter that accepts spans",
  );
