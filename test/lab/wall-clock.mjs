/**
 * A wall clock that jumps, for programs that are started with `programs/jumping-clock.mjs`.
 *
 * A machine's own clock cannot be set for some of its processes only: Linux has namespaces for the monotonic clock
 * and the time since boot, and none for this one. So the programs read from a file how far their clock is ahead: a
 * list of jumps, each with the machine's time at which it was made, so that files keep the times at which they were
 * written.
 */
import { appendFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const preload = fileURLToPath(new URL("programs/jumping-clock.mjs", import.meta.url));

export class WallClock {
  jumps = 0;
  #path;
  #ahead = 0;

  constructor(path) {
    this.#path = path;
    writeFileSync(path, "");
  }

  /** Arguments and environment that give a runtime this clock. */
  preload(runtime) {
    return {
      args: runtime === "bun" ? ["--preload", preload] : ["--import", preload],
      env: { LAB_WALL_CLOCK: this.#path },
    };
  }

  /**
   * Sets the clock forward or back. Files written at this moment may get either time, as in kernels with ticks of
   * 10 ms.
   */
  jump(byMillis) {
    this.jumps++;
    this.#ahead += Math.round(byMillis);
    appendFileSync(this.#path, new Uint8Array(new Float64Array([Date.now(), this.#ahead]).buffer));
  }
}
