/**
 * The global error handler of the SDK (`setGlobalErrorHandler` of `@opentelemetry/core`): a host that has set one wants the
 * failures of every component.
 *
 * The package is not imported. Only a copy of it that the host has loaded can have a handler, and there may be several
 * copies: they are found among the loaded modules.
 */
// The default export: webpack would read a call of `createRequire`, and log a warning about what is no literal.
import nodeModule from "node:module";
import { tryOr } from "../platform/errors.js";

/** A loaded module: CommonJS, and under Bun an ES module too. */
type Loaded = { readonly exports?: { readonly globalErrorHandler?: (error: Error) => void } } | undefined;
const loaded: Readonly<Record<string, Loaded>> = nodeModule.createRequire(process.execPath).cache ?? {};

const coreEntry = /[\\/]@opentelemetry[\\/]core[\\/]build[\\/]\w+[\\/]index\.js$/;

/**
 * A failure as the handler gets it. The default handler logs an error through `diag`, where this package has logged the
 * failure already. The default handler alone reads the members of prototypes, as such: it throws here, and
 * `globalErrorHandler` ignores what a handler throws.
 */
class ReportedFailure extends Error {
  override readonly name = "CrashSafeFileFailure";

  get isLogged(): boolean {
    if (this === ReportedFailure.prototype) throw new TypeError("This failure is logged already");
    return true;
  }
}

/** Passes a failure that was logged to the handlers that the host has set. Never throws. */
export function reportGlobally(message: string, cause: unknown): void {
  const failure = new ReportedFailure(message, cause === undefined ? undefined : { cause });
  for (const path of tryOr(() => Object.keys(loaded), []))
    if (coreEntry.test(path)) tryOr(() => loaded[path]?.exports?.globalErrorHandler?.(failure), undefined);
}
