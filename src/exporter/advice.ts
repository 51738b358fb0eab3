import { errorCode } from "../platform/file-system.js";
import { isHeld } from "../platform/ground.js";

/** What to do about a fault of the file system. */
export function advice(error: unknown): string {
  const isRename = (error as { readonly syscall?: unknown } | null | undefined)?.syscall === "rename";
  // Windows replaces no file that is open.
  if (isRename && isHeld(error))
    return "close the program that holds the file open, such as a viewer, an indexer or a virus scanner, or check the write permissions there";
  switch (errorCode(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return "free some space on that disk";
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return "check the write permissions there";
    case "EMFILE":
    case "ENFILE":
      return "raise the limit of open files";
    case "EFBIG":
      return "raise the limit of a file's size";
    default:
      return "check that directory and its disk";
  }
}
