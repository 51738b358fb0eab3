/** Facts about a file without reading it. */
import { tryOr } from "../platform/errors.js";
import { type FileStat, nodeFileSystem } from "../platform/file-system.js";

/** `undefined` when the file is gone, or when lstat(2) is refused: one such file must not end a listing of all. */
export const statOf = (path: string): FileStat | undefined =>
  tryOr(() => nodeFileSystem.sync.lstat(path), undefined);
