/**
 * One job at a time, in order: publishing and sealing share the host's thread pool of four, and take one place.
 */
export class Lane {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `job` when all before it have ended, however they ended. */
  run<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#last.then(job, job);
    this.#last = result.catch(() => {});
    return result;
  }
}

/** Waits for all, then throws the first failure. */
export async function allDone(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}
