/**
 * The life of a session tracer: idle, then one session after the other, of which each is open, ended or crashed.
 */

import type { RecordedSession } from "../exporter/session-recorder.js";
import type { SessionMetadata } from "../format/trace-file.js";
import { Diagnostics } from "../otel/diagnostics.js";
import { newTraceId } from "../otel/ids.js";
import type { SessionTracerPorts } from "./input-types.js";
import { startMetadata } from "./metadata.js";
import { type Closing, type LoggedSession, SessionLog } from "./session-log.js";
import { clientContext } from "./trace-context.js";
import { textMember } from "./untrusted-input.js";

/**
 * - `idle`: no session yet. Log methods do nothing.
 * - `open`: logs.
 * - `ended`, `crashed`: the session is over; what is logged is dropped and counted.
 */
type Life =
  | { readonly state: "idle"; readonly log?: undefined }
  | { readonly state: "open" | "ended"; readonly log: SessionLog }
  | { readonly state: "crashed"; readonly log: SessionLog; readonly reason: string | undefined };

/** Said of a session that was fenced without a reason. */
const defaultReason = "Process exited before trace completed";

export class SessionLifecycle {
  readonly #ports: SessionTracerPorts;
  readonly #diagnostics = new Diagnostics("SessionTracer");
  #life: Life = { state: "idle" };
  #ending: Promise<void> = Promise.resolve();
  dropped = 0;

  constructor(ports: SessionTracerPorts) {
    this.#ports = ports;
  }

  /** The present session, or the last one. */
  get log(): SessionLog | undefined {
    return this.#life.log;
  }

  get isOpen(): boolean {
    return this.#life.state === "open";
  }

  /** Ends an open session, and begins one. */
  start(id: string, options: unknown, parent: LoggedSession["parent"]): void {
    this.end(undefined);
    const metadata = startMetadata(options);
    const traceId = newTraceId();
    const { prompt } = metadata;
    const now = Date.now();
    const opening = {
      id,
      traceId,
      startTime: now,
      name: textMember(options, "instance_id") ?? id,
      metadata,
      ...(prompt !== undefined && { input: prompt }),
    };
    const recorded: RecordedSession[] = [];
    for (const recorder of this.#ports.recorders)
      this.guard("startTrace", () => recorded.push(recorder.openSession(opening)));
    this.#begin(id, traceId, metadata, recorded, parent);
    const client = clientContext(options);
    if (client) this.#life.log?.openTurn(now, client);
  }

  /** Goes on with a session that has a document. */
  async resume(id: string): Promise<boolean> {
    if (this.isOpen && this.log?.id === id) return true;
    await this.#ending;
    const recorded: RecordedSession[] = [];
    for (const recorder of this.#ports.recorders) {
      const session = await recorder.resumeSession(id);
      if (session) recorded.push(session);
    }
    const first = recorded[0];
    if (!first) return false;
    this.end(undefined);
    this.#begin(id, first.traceId, {}, recorded, undefined);
    return true;
  }

  /** Ends the session in good order; {@link ended} tells when its documents are written. */
  end(error: string | undefined): void {
    const { log } = this.#life;
    if (!this.#close({ type: "end", error })) return;
    this.#ending = this.settle(log?.recorded.map((session) => session.end(error)) ?? []);
  }

  /** The same at once. */
  endNow(error: string | undefined): void {
    this.#close({ type: "end", error });
    if (this.#life.state !== "ended") return;
    for (const session of this.#life.log.recorded) this.guard("finalizeSync", () => session.endNow(error));
  }

  ended(): Promise<void> {
    return this.#ending;
  }

  /** The crash fence: also after an end, and again for another reason. */
  crash(reason: string | undefined): void {
    const life = this.#life;
    if (life.state === "idle") return;
    if (life.state === "crashed" && (reason === undefined || reason === life.reason)) return;
    this.#close({ type: "crash", reason: reason ?? defaultReason });
    this.#life = { state: "crashed", log: life.log, reason };
    for (const session of life.log.recorded) this.guard("flushSync", () => session.crash(reason));
  }

  /** Logs to the open session; what comes after its end is dropped, and counted. */
  with(what: string, run: (log: SessionLog) => void): void {
    const { state, log } = this.#life;
    if (state === "open") this.guard(what, () => run(log));
    else if (state !== "idle") this.#drop(what, log.id);
  }

  /** Nothing throws into the host. */
  guard(what: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#diagnostics.failure(`${what} failed`, error);
    }
  }

  /** Waits for the disk; what it refuses is told, and tried again by those who keep it. */
  async settle(work: readonly Promise<void>[]): Promise<void> {
    for (const result of await Promise.allSettled(work))
      if (result.status === "rejected")
        this.#diagnostics.failure("a trace could not be written yet; the write is retried", result.reason);
  }

  #begin(
    id: string,
    traceId: string,
    metadata: SessionMetadata,
    recorded: readonly RecordedSession[],
    parent: LoggedSession["parent"],
  ): void {
    const { tracer, turnIds, onTurnEnd = () => {} } = this.#ports;
    const log = new SessionLog(
      { tracer, turnIds, onTurnEnd },
      {
        id,
        traceId,
        metadata: { ...recorded[0]?.metadata, ...metadata },
        recorded,
        parent,
      },
    );
    this.#life = { state: "open", log };
    this.guard("start", () => this.#ports.onSessionStart?.(id));
  }

  /** `false` when no session was open. */
  #close(closing: Closing): boolean {
    const { state, log } = this.#life;
    if (state !== "open") return false;
    this.#life = { state: "ended", log };
    this.guard("end", () => log.close(closing, Date.now()));
    this.guard("end", () => this.#ports.onSessionEnd?.(log.id));
    return true;
  }

  #drop(what: string, id: string): void {
    this.dropped++;
    const why = `session ${id} is over; start or resume it to go on`;
    this.#diagnostics.repeated("dropped", {
      first: () => this.#diagnostics.log("warn", `dropped ${what}: ${why}`),
      more: (calls) =>
        this.#diagnostics.log(
          "warn",
          `dropped ${calls} more ${calls === 1 ? "call" : "calls"}: ${why} (${this.dropped} in all)`,
        ),
    });
  }
}
