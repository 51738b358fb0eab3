import type { SessionMetadata } from "../format/trace-file.js";

/**
 * A change of the session as a whole; absent members stay as they are. Part of the contract between copies of the package
 * (`directory/shared-directory.ts`).
 */
export interface SessionChange {
  /** Name of the session span. */
  readonly name?: string;
  /** Input of the session span. */
  readonly input?: unknown;
  readonly metadata?: Partial<SessionMetadata>;
  /** Merged into the attributes of the session span. */
  readonly attributes?: Readonly<Record<string, unknown>>;
}
