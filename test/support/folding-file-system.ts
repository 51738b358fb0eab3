/**
 * The machine's file system with the default of macOS and Windows: a name finds a file that differs only in letter
 * case or Unicode form, and a file keeps the name it was created with.
 */
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { type FileCalls, type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";

const fold = (name: string): string => name.normalize("NFC").toLowerCase();

function resolveIn(root: string, path: string): string {
  if (path === root || !path.startsWith(root)) return path;
  const dir = resolveIn(root, dirname(path));
  const name = basename(path);
  try {
    const there = fs.readdirSync(dir).find((entry) => fold(entry) === fold(name));
    return join(dir, there ?? name);
  } catch {
    return join(dir, name);
  }
}

/** Folds names below `root`. */
export function foldingFileSystem(root: string): FileSystem {
  const wrap = <Calls extends object>(calls: Calls): Calls =>
    Object.fromEntries(
      Object.entries(calls).map(([name, call]) => [
        name,
        (...args: unknown[]) =>
          call(...args.map((arg) => (typeof arg === "string" ? resolveIn(root, arg) : arg))),
      ]),
    ) as Calls;
  return { sync: wrap<FileCalls>(nodeFileSystem.sync), async: wrap(nodeFileSystem.async) };
}
