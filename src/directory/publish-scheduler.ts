/**
 * When documents are published: each session at its pace, one at a time, and again whenever there is news left.
 */

import type { SerialQueue as Lane } from "../platform/async.js";
import type { Timer } from "../platform/clock.js";
import { OperationCancelled, runAsync } from "../platform/gensync.js";
import type { AppendFile } from "../storage/append-log.js";
import { publish } from "../storage/publish.js";
import { backgroundSyncBytes } from "../storage/seal.js";
import type { SessionWriter } from "../storage/session-writer.js";
import { syncFile, syncNames } from "../storage/side-file-sync.js";

/** After a failure, the next try waits this long, doubling up to the second. */
const firstRetryMillis = 500;
const lastRetryMillis = 30_000;

interface Schedule {
  timer: Timer;
  isUrgent: boolean;
}

export class Publisher {
  readonly #lane: Lane;
  readonly #syncLane: Lane;
  readonly #onFault: (error: unknown, path: string) => void;
  readonly #onUse: (writer: SessionWriter) => void;
  readonly #schedules = new Map<SessionWriter, Schedule>();
  readonly #retries = new WeakMap<SessionWriter, number>();
  readonly #syncing = new WeakSet<SessionWriter>();

  /** `onUse` is told of each session that was worked on: its files are open now, if they were not before. */
  constructor(
    lane: Lane,
    syncLane: Lane,
    onFault: (error: unknown, path: string) => void,
    onUse: (writer: SessionWriter) => void,
  ) {
    this.#lane = lane;
    this.#syncLane = syncLane;
    this.#onFault = onFault;
    this.#onUse = onUse;
  }

  /** Something was recorded. Cheap: most calls find the session scheduled. */
  changed(writer: SessionWriter): void {
    if (writer.open.unsynced > backgroundSyncBytes) this.sync(writer, [writer.open]);
    const known = this.#schedules.get(writer);
    if (known && (known.isUrgent || !writer.pace.hasGrown(writer.open.good))) return;
    known?.timer.cancel();
    this.#schedule(writer);
  }

  /** Publishes until the document holds everything recorded before the call. Rejects when it cannot. */
  async flush(writer: SessionWriter): Promise<void> {
    const { version } = writer;
    while (isUnderWay(writer) && (writer.publishedVersion < version || !writer.open.isSettled)) {
      await this.#lane.run(() => this.#publish(writer));
    }
    if (writer.publishedVersion < version) throw fenceRefused();
  }

  /** Syncs files of a session off-thread, unless that is under way: who asks every second asks again. */
  sync(writer: SessionWriter, files: readonly AppendFile[]): void {
    if (this.#syncing.has(writer)) return;
    this.#syncing.add(writer);
    const { durability, fileSystem } = writer.ports;
    this.#syncLane
      .run(async () => {
        // Again for what came during a sync: no later record may ask for it.
        do {
          for (const file of files) if (writer.state === "open") await runAsync(fileSystem, syncFile(file));
          if (durability !== "process" && writer.state === "open")
            await runAsync(fileSystem, syncNames(writer.files.dir, files));
        } while (writer.state === "open" && writer.open.unsynced > backgroundSyncBytes);
      })
      .catch((error: unknown) => this.#onFault(error, writer.open.path))
      .finally(() => {
        this.#syncing.delete(writer);
        this.#used(writer);
      });
  }

  /** Forgets a session that has ended. */
  forget(writer: SessionWriter): void {
    this.#schedules.get(writer)?.timer.cancel();
    this.#schedules.delete(writer);
  }

  #schedule(writer: SessionWriter): void {
    const { clock } = writer.ports;
    const retry = this.#retries.get(writer) ?? 0;
    const wait = Math.max(retry, writer.pace.wait(writer.open.good, clock.monotonic()));
    const timer = clock.after(wait, () => void this.#lane.run(() => this.#publishScheduled(writer)));
    this.#schedules.set(writer, { timer, isUrgent: retry > 0 || writer.pace.hasGrown(writer.open.good) });
  }

  async #publishScheduled(writer: SessionWriter): Promise<void> {
    try {
      if (writer.state === "open" && !writer.isPublished) await this.#publish(writer);
      this.#retries.delete(writer);
    } catch (error) {
      const last = this.#retries.get(writer) ?? firstRetryMillis / 2;
      this.#retries.set(writer, Math.min(lastRetryMillis, last * 2));
      this.#onFault(error, writer.path);
    } finally {
      // However it ended: what came meanwhile, or could not be written, has its next time.
      this.#schedules.delete(writer);
      if (writer.state === "open" && !writer.isPublished) this.#schedule(writer);
    }
  }

  async #publish(writer: SessionWriter): Promise<void> {
    if (!isUnderWay(writer)) return;
    const { epoch } = writer;
    try {
      await runAsync(writer.ports.fileSystem, publish(writer), () => writer.epoch !== epoch);
    } catch (error) {
      if (!(error instanceof OperationCancelled)) throw error;
    } finally {
      this.#used(writer);
    }
  }

  #used(writer: SessionWriter): void {
    if (writer.state === "open") this.#onUse(writer);
  }
}

/** Said to those whose work was overtaken by a fence that the file system did not take. */
export const fenceRefused = (): Error => new Error("the crashed session waits to be written");

/** Whether there is something to publish: also between the end of a session and its seal, to whom asked before. */
const isUnderWay = ({ state }: SessionWriter): boolean => state === "open" || state === "sealing";
