/**
 * What becomes of an export, as the SDK counts it.
 *
 * The same as in `@opentelemetry/core`, of which no other part is needed: a package that asks for it beside an SDK cannot
 * be installed with npm, which takes the newest core for its peer and not the one that the SDK brings (ERESOLVE, seen
 * with sdk-node 0.301 and npm 11).
 */

/** How an export went. */
export interface ExportResult {
  /** {@link ExportResultCode} */
  code: number;
  /** Why it failed. */
  error?: Error;
}

/** Codes of an {@link ExportResult}. */
export const ExportResultCode = { SUCCESS: 0, FAILED: 1 } as const;
