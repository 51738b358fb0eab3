/** The blocks of the package that were reached: V8's precise coverage, read after each input. Bun has none. */
import { pathToFileURL } from "node:url";

export class Coverage {
  #session;
  #root;
  #seen = new Set();

  /** Must start before the package is loaded: only code compiled afterwards is counted by blocks. */
  static async start(build) {
    const coverage = new Coverage();
    coverage.#root = String(pathToFileURL(`${build}/`));
    if (process.versions.bun) return coverage;
    const { Session } = await import("node:inspector");
    coverage.#session = new Session();
    coverage.#session.connect();
    coverage.#ask("Profiler.enable");
    coverage.#ask("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
    return coverage;
  }

  get blocks() {
    return this.#seen.size;
  }

  /** Whether a block was reached since the last call that was never reached before. */
  hasGrown() {
    if (!this.#session) return false;
    const before = this.#seen.size;
    for (const { url, functions } of this.#ask("Profiler.takePreciseCoverage").result) {
      if (!url.startsWith(this.#root)) continue;
      for (const { ranges } of functions)
        for (const { startOffset, endOffset, count } of ranges)
          if (count > 0) this.#seen.add(`${url} ${startOffset} ${endOffset}`);
    }
    return this.#seen.size > before;
  }

  #ask(method, params) {
    let answer;
    this.#session.post(method, params, (error, result) => {
      if (error) throw new Error(`${method}: ${error.message}`);
      answer = result;
    });
    return answer;
  }
}
