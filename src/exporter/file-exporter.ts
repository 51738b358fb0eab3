/**
 * The exporter: spans in, one trace document per session out.
 */

import type { Context } from "@opentelemetry/api";
import { type EnginePorts, joinDirectory } from "../directory/registry.js";
import type { DirectoryUser } from "../directory/shared-directory.js";
import { reports } from "../otel/diagnostics.js";
import {
  type ExportResult,
  ExportResultCode,
  type LiveSpanExporter,
  type ReadableSpan,
} from "../otel/types.js";
import { withTimeout } from "../platform/async.js";
import { systemClock } from "../platform/clock.js";
import { environment } from "../platform/environment.js";
import { CrashSafeFileError } from "../platform/errors.js";
import { joinExitFlush, leaveExitFlush } from "../platform/exit-flush.js";
import { Lifecycle } from "../platform/lifecycle.js";
import { ContentFilter } from "./content-filter.js";
import { ExporterAccount, type FileExporterStats } from "./exporter-stats.js";
import { describe, FaultLog, type LossReason } from "./fault-log.js";
import {
  type CrashSafeFileSpanExporterOptions,
  type ResolvedExporterOptions,
  reportUnknownVariables,
  resolveExporterOptions,
} from "./file-exporter-options.js";
import { endOf, findRecordedSession, openSessionHandle, type SessionHost } from "./session-handle.js";
import type { SessionHandle, SessionOpening, SessionStore } from "./session-store.js";
import { SpanAdmission } from "./span-admission.js";

/** `shutdown` and `forceFlush` give up waiting for the disk after this long; nothing recorded is lost by it. */
const timeoutMillis = 30_000;

/**
 * An OpenTelemetry `SpanExporter` that writes one trace document per agent session, and keeps it whole whatever
 * ends the process.
 *
 * Under a {@link CrashSafeSpanProcessor} a span is in a file when `onEnd` returns, and its start when `onStart`
 * returns. Under the SDK's own processors the same holds for what reaches `export`.
 */
export class CrashSafeFileSpanExporter implements LiveSpanExporter, SessionStore {
  readonly #options: ResolvedExporterOptions;
  readonly #directory: DirectoryUser;
  readonly #filter: ContentFilter;
  readonly #admission: SpanAdmission;
  readonly #host: SessionHost;
  /** Sessions that `shutdown` ended: an explicit `crash` after it marks them. */
  #ended: readonly string[] = [];
  readonly #log: FaultLog;
  readonly #account: ExporterAccount;
  readonly #onExitFlushError = (error: unknown): void => this.#log.exitFlush(error);
  readonly #lifecycle = new Lifecycle();
  #shutdown: Promise<void> | undefined;

  /** Throws {@link CrashSafeFileError} `INVALID_OPTION`. Creates nothing on disk; recovers dead sessions in the background. */
  constructor(options?: CrashSafeFileSpanExporterOptions);
  /** @internal Tests put parts of their own in the place of the machine's. */
  constructor(options?: CrashSafeFileSpanExporterOptions, ports?: EnginePorts);
  constructor(options: CrashSafeFileSpanExporterOptions = {}, ports?: EnginePorts) {
    this.#options = resolveExporterOptions(options, environment());
    reportUnknownVariables(environment());
    const clock = ports?.clock ?? systemClock;
    this.#log = new FaultLog(clock, { isDeferred: true });
    const listener = {
      onFault: (error: unknown, path: string) => this.#log.fault(error, path),
      onRemoved: (path: string) => this.#log.removed(path),
    };
    this.#directory = joinDirectory(this.#options.dir, this.#options, listener, ports);
    this.#account = new ExporterAccount(
      this.#directory,
      clock,
      this.#log,
      this.#options.selfObsMeterProvider,
    );
    this.#filter = new ContentFilter(this.#options.redact, this.#options);
    this.#admission = new SpanAdmission(
      this.#directory,
      this.#options.sessionId,
      this.#filter,
      () => this.#lifecycle.isOpen,
    );
    this.#host = {
      directory: this.#directory,
      filter: this.#filter,
      guard: (work) => this.#guard(work),
      bounded: (what, work) => this.#bounded(what, work),
      onUse: () => joinExitFlush(this, this.#onExitFlushError),
    };
  }

  /** `true` once a normal end is on disk: process hooks have nothing to fence then. */
  get stopped(): boolean {
    return this.#lifecycle.state === "ended";
  }

  /** A snapshot of the counters. */
  stats(): FileExporterStats {
    return this.#account.stats();
  }

  /** `SpanExporter.export`: records ended spans. Calls back before it returns; never throws. */
  export(spans: ReadableSpan[], resultCallback: (result: ExportResult) => void): void {
    const lost = reports.during(() => {
      const begun = this.#account.begin();
      for (const span of spans) this.#guard(() => this.#admission.learn(span));
      const losses = spans.map((span) => this.#recordSpan(span)).filter((loss) => loss !== undefined);
      this.#account.end(begun, losses[0]);
      return losses.length;
    });
    const error = new CrashSafeFileError("SPANS_DROPPED", `${lost} of ${spans.length} spans were dropped`);
    resultCallback(
      lost === 0 ? { code: ExportResultCode.SUCCESS } : { code: ExportResultCode.FAILED, error },
    );
  }

  /** Journals a span's start. When it returns, the start survives the process. Never throws. */
  recordStart(span: ReadableSpan, parentContext?: Context): void {
    if (!this.#lifecycle.isOpen) return;
    this.#guard(() => {
      const admitted = this.#admission.admit(span, parentContext);
      if (typeof admitted === "string") {
        // Unless code of the host ended it while its start was read.
        if (admitted !== "recorded") this.#admission.leaveOut(span);
        return;
      }
      const { session, span: first, metadata } = admitted;
      const read = () => this.#admission.read(span, admitted, parentContext);
      if (first === undefined) session.learn(metadata);
      else if (session.recordStart(span, first, () => read() ?? first, metadata) === "full")
        this.#log.dropStart();
      joinExitFlush(this, this.#onExitFlushError);
    });
  }

  /** Records an ended span. When it returns, the span survives the process. Never throws. */
  recordEnd(span: ReadableSpan): void {
    reports.during(() => {
      const begun = this.#account.begin();
      this.#account.end(begun, this.#recordSpan(span));
    });
  }

  /**
   * Resolves when every span recorded before the call is in its published document (and synced, where
   * `durability` says so). Rejects with `WRITE_FAILED` when the disk refuses: then what was recorded is kept, and
   * written when it recovers.
   */
  forceFlush(): Promise<void> {
    return this.#bounded("forceFlush", this.#directory.flush());
  }

  /** Ends all sessions of this exporter (status `completed`) and resolves when their documents are written. Idempotent. */
  shutdown(): Promise<void> {
    this.#shutdown ??= this.#end();
    return this.#shutdown;
  }

  /**
   * The crash fence: synchronous. When it returns, the documents of this exporter's sessions hold every ended
   * span, open spans marked interrupted, and status `crashed`; nothing begun before can change that. Never throws.
   */
  crash(reason?: string): void {
    this.#guard(() => {
      const isGiven = typeof reason === "string" && reason !== "";
      const shown = isGiven ? this.#filter.error(reason) : undefined;
      this.#lifecycle.crash();
      leaveExitFlush(this);
      this.#directory.crash(this.#ended, shown);
    });
  }

  /**
   * Ends one session: its open spans are closed, its status becomes `completed`, or `error` with a message. Spans
   * that start later resume it. One of which this exporter has recorded nothing stays as it is. Rejects with
   * `WRITE_FAILED` when the disk refuses; it is tried again then.
   */
  endSession(sessionId: string, options: { readonly error?: string | undefined } = {}): Promise<void> {
    const { error } = options;
    const end = endOf(error && this.#filter.error(error));
    if (!this.#lifecycle.isOpen) return Promise.resolve();
    return this.#bounded("endSession", this.#directory.end(sessionId, end));
  }

  /** Where the session's document is, or will be. */
  tracePath(sessionId: string): string {
    return this.#directory.path(sessionId);
  }

  /**
   * Opens a session explicitly, or goes on where its document stands; spans alone do not reopen it after its end.
   * Synchronous: there is a document when it returns. Throws `WRITE_FAILED` after `shutdown` or `crash`.
   */
  openSession(opening: SessionOpening): SessionHandle {
    return reports.during(() => {
      const facts = this.#filter.facts(opening);
      if (!this.#lifecycle.isOpen) throw ended();
      return openSessionHandle(this.#host, opening, facts);
    });
  }

  /**
   * Goes on where a session's document stands, without changing it yet; `undefined` when there is none that is
   * usable. What a dead process left of the session is recovered first. Rejects with `WRITE_FAILED` after `shutdown`
   * or `crash`, or when the disk refuses.
   */
  async resumeSession(id: string): Promise<SessionHandle | undefined> {
    const resume = await this.findSession(id);
    return resume?.();
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

  /** Records and counts a span, for a caller that has reports wait. Never throws. */
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

  /** Records a span, or says why it is lost. */
  #record(span: ReadableSpan): LossReason | undefined {
    const admitted = this.#admission.admit(span);
    if (typeof admitted === "string") return admitted === "recorded" ? undefined : admitted;
    const { session, span: record, metadata } = admitted;
    joinExitFlush(this, this.#onExitFlushError);
    if (record) {
      const outcome = session.recordEnd(span, record, metadata);
      return outcome === "recorded" ? undefined : outcome;
    }
    session.learn(metadata);
    return undefined;
  }

  async #end(): Promise<void> {
    const directory = this.#directory;
    try {
      if (this.#lifecycle.end()) {
        const { ended, done } = directory.leave();
        this.#ended = ended;
        await this.#bounded("shutdown", done);
      }
      // A crash came before the shutdown or during it. What the disk refused to its fence is tried again and reported.
      if (!this.#lifecycle.confirmEnd()) await this.#bounded("shutdown", directory.flush());
    } finally {
      leaveExitFlush(this);
      this.#log.end();
      this.#account.close();
      directory.release();
    }
  }

  async #bounded(what: string, work: Promise<void>): Promise<void> {
    const error = () =>
      new CrashSafeFileError(
        "WRITE_FAILED",
        `${what} did not finish in ${timeoutMillis} ms; all recorded spans are in the side files of ${this.#options.dir}`,
      );
    try {
      await withTimeout((bounded) => bounded(work), { millis: timeoutMillis, error });
    } catch (cause) {
      if (cause instanceof CrashSafeFileError) throw cause;
      const message = `${what}: ${describe(cause)}; all recorded spans are kept and written when the disk accepts them`;
      throw new CrashSafeFileError("WRITE_FAILED", message, { cause });
    }
  }

  #guard(work: () => void): void {
    try {
      reports.during(work);
    } catch (error) {
      this.#log.fault(error, this.#options.dir);
    }
  }
}

const ended = () =>
  new CrashSafeFileError("WRITE_FAILED", "the exporter has ended: a session needs one that takes spans");
