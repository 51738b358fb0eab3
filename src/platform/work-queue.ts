/**
 * Jobs of several lanes in one order: one at a time, or several beside each other that allow it. The directories of a
 * process have a lane each, since the thread pool is the host's.
 *
 * A job that is late holds up the other jobs of its lane only: the calls of a mount that hangs may never return, and
 * documents in other directories are written as if it were not there.
 */
import { type Clock, systemClock, type Timer } from "./clock.js";

/** Other lanes wait no longer for a job: most take a few milliseconds, and 25 MB are copied in 30. */
const lateMillis = 250;

interface Job {
  readonly lane: WorkLane;
  /** Grows in the order in which jobs were added to the queue. */
  readonly number: number;
  readonly isAlone: boolean;
  readonly start: () => Promise<unknown>;
}

export class WorkQueue {
  readonly #width: number;
  readonly #clock: Clock;
  /** The lanes with jobs that have not begun, and these jobs in their order. */
  readonly #waiting = new Map<WorkLane, Job[]>();
  /** The jobs that have begun, and the monotonic time of that. */
  readonly #running = new Map<Job, number>();
  #numbers = 0;
  #look: Timer | undefined;

  /** `width`: how many jobs run beside each other at most. */
  constructor(width: number, clock: Clock = systemClock) {
    this.#width = width;
    this.#clock = clock;
  }

  /** A new lane of this queue. */
  lane(): WorkLane {
    return new WorkLane((lane, job, isAlone) => this.#add(lane, job, isAlone));
  }

  #add<T>(lane: WorkLane, work: () => Promise<T>, isAlone: boolean): Promise<T> {
    return new Promise((resolve, reject) => {
      const start = () => work().then(resolve, reject);
      const jobs = this.#waiting.get(lane) ?? [];
      jobs.push({ lane, number: ++this.#numbers, isAlone, start });
      this.#waiting.set(lane, jobs);
      // Not in this turn: the caller goes on first.
      void Promise.resolve().then(() => this.#startNext());
    });
  }

  #startNext(): void {
    for (let next = this.#next(); next; next = this.#next()) this.#start(next);
    this.#lookAgain();
  }

  /** The job that begins next, if one can. A lane with a late job lets the other ones pass. */
  #next(): Job | undefined {
    const running = [...this.#running.keys()];
    const late = new Set(running.filter((job) => this.#isLate(job)));
    for (const job of this.#heads()) {
      const counted = running.filter((other) => other.lane === job.lane || !late.has(other));
      if (this.#hasRoom(job, counted)) return job;
      if (!counted.some((other) => late.has(other))) return undefined;
    }
    return undefined;
  }

  /** The first job of each lane that waits, oldest first. */
  #heads(): Job[] {
    const heads: Job[] = [];
    for (const [head] of this.#waiting.values()) if (head) heads.push(head);
    return heads.length > 1 ? heads.sort((a, b) => a.number - b.number) : heads;
  }

  #hasRoom({ isAlone }: Job, beside: readonly Job[]): boolean {
    if (beside.length === 0) return true;
    return !isAlone && beside.length < this.#width && beside.every((running) => !running.isAlone);
  }

  #isLate(job: Job): boolean {
    return this.#clock.monotonic() - (this.#running.get(job) ?? 0) >= lateMillis;
  }

  #start(job: Job): void {
    const jobs = this.#waiting.get(job.lane);
    jobs?.shift();
    if (jobs?.length === 0) this.#waiting.delete(job.lane);
    this.#running.set(job, this.#clock.monotonic());
    void job.start().then(() => {
      this.#running.delete(job);
      this.#startNext();
    });
  }

  /** Looks for jobs again when one that runs is late, if jobs of another lane wait. */
  #lookAgain(): void {
    this.#look?.cancel();
    this.#look = undefined;
    const holding = [...this.#running].filter(([job]) => !this.#isLate(job) && this.#isAwaited(job.lane));
    if (holding.length === 0) return;
    const firstBegin = Math.min(...holding.map(([, begun]) => begun));
    const wait = firstBegin + lateMillis - this.#clock.monotonic();
    this.#look = this.#clock.after(Math.max(1, Math.ceil(wait)), () => this.#startNext());
  }

  #isAwaited(by: WorkLane): boolean {
    for (const lane of this.#waiting.keys()) if (lane !== by) return true;
    return false;
  }
}

type Add = <T>(lane: WorkLane, job: () => Promise<T>, isAlone: boolean) => Promise<T>;

/** The jobs of one directory in a {@link WorkQueue}, in their order. */
export class WorkLane {
  readonly #add: Add;

  /** Made by {@link WorkQueue.lane}. */
  constructor(add: Add) {
    this.#add = add;
  }

  /** Runs `job` when all earlier jobs have settled, whether they succeeded or not; later jobs wait for it. */
  run<T>(job: () => Promise<T>): Promise<T> {
    return this.#add(this, job, true);
  }

  /** Like {@link run}, and beside neighbours that were added by this method, too. */
  runBeside<T>(job: () => Promise<T>): Promise<T> {
    return this.#add(this, job, false);
  }
}
