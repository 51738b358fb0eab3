import type { Diagnostics } from "../otel/diagnostics.js";
import { reasonOf } from "../platform/errors.js";
import { advice } from "./advice.js";

/** Files whose names are remembered, and logged: a directory may be full of such files. */
const most = 1_000;

/** Files that retention cannot read or remove. Nothing that was recorded waits for them: each is logged once. */
export class KeptFiles {
  readonly #diagnostics: Diagnostics;
  readonly #paths = new Set<string>();

  constructor(diagnostics: Diagnostics) {
    this.#diagnostics = diagnostics;
  }

  add(error: Error, path: string): void {
    if (this.#paths.has(path) || this.#paths.size >= most) return;
    this.#paths.add(path);
    this.#diagnostics.log("warn", `retention keeps ${path}: ${reasonOf(error)}; ${advice(error)}`);
  }
}
