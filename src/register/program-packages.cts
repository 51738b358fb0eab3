/**
 * OpenTelemetry packages that a program may have. They are looked up where the program runs, then beside this package,
 * since a package manager that links strictly shows each package only what it names.
 *
 * CommonJS in the sources because of `__filename`, which the build replaces for ES modules; the file imports no other source
 * file, since those are ES modules.
 */
// The default export: webpack would read calls of `createRequire`, and log a warning about what is no literal.
import nodeModule from "node:module";
import { join } from "node:path";

/** Stands for a file of the program in this directory: lookups begin there. */
export const placeIn = (directory: string): string => join(directory, "register.js");

/**
 * The exports of a package, by name; `undefined` if it is not installed. Throws what a package throws that cannot be
 * loaded.
 */
export function packageOf(directory: string, name: string): Readonly<Record<string, unknown>> | undefined {
  for (const requireThere of [
    nodeModule.createRequire(placeIn(directory)),
    nodeModule.createRequire(__filename),
  ]) {
    try {
      requireThere.resolve(name);
    } catch {
      continue;
    }
    return requireThere(name);
  }
  return undefined;
}
