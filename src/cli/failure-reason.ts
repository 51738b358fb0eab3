/** Why the file system refused a call, in words. */
import { messageOf } from "../platform/errors.js";
import { errorCode } from "../platform/file-system.js";

const reasons: Readonly<Record<string, string>> = {
  EACCES: "no permission",
  EPERM: "not permitted",
  ENOENT: "it does not exist",
  ENOTDIR: "a part of its path is no directory",
  EISDIR: "it is a directory",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
  EIO: "the disk reports an error",
  EMFILE: "too many files are open",
};

/** The reason with the code of the error; the message of an error without words here. */
export function failureReason(error: unknown): string {
  const code = errorCode(error);
  const words = code === undefined ? undefined : reasons[code];
  return words === undefined ? String(code ?? messageOf(error)) : `${words} (${code})`;
}
