/** Facts about a file without reading it. */
import { tryOr } from "../platform/errors.js";
import { type FileStat, nodeFileSystem } from "../platform/file-system.js";

/** Nothing is known of a file that is gone, or at which the file system lets nobody look: the others are listed. */
export const statOf = (path: string): FileStat | undefined =>
  tryOr(() => nodeFileSystem.sync.lstat(path), undefined);
