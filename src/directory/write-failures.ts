/** Failures of documents, as the exporters of the directory report them: with the file, and with the cause. */
import { CrashSafeFileError, reasonOf } from "../platform/errors.js";

/** The document with this path could not be written. */
export const notWritten = (path: string, cause: unknown): CrashSafeFileError =>
  new CrashSafeFileError("WRITE_FAILED", `cannot write ${path}: ${reasonOf(cause)}`, { cause });

/** Work that is awaited in a later turn: until then its rejection has no other handler, and would end the process. */
export function awaitedLater(work: Promise<void>): Promise<void> {
  work.catch(() => {});
  return work;
}

/** Waits until all have settled. Throws the first failure, with the number of documents that failed besides. */
export async function allWritten(work: readonly Promise<void>[]): Promise<void> {
  const failures = (await Promise.allSettled(work)).filter((result) => result.status === "rejected");
  const [first, ...more] = failures.map(({ reason }) => reason as CrashSafeFileError);
  if (first === undefined) return;
  if (more.length === 0) throw first;
  const message = `${reasonOf(first)}, and ${more.length} more ${more.length === 1 ? "document" : "documents"}`;
  throw new CrashSafeFileError("WRITE_FAILED", message, { cause: first.cause });
}
