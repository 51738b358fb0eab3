// Runs in the thread of hooks, after the modules of `--require`: prints whether OpenTelemetry's API has a provider there.
import { writeSync } from "node:fs";

export function initialize() {
  const api = globalThis[Symbol.for("opentelemetry.js.api.1")];
  writeSync(2, `thread of hooks: ${api?.trace ? "traced" : "not traced"}\n`);
}
