/**
 * The machine's file system with the rules of macOS: names are folded as in `folding-file-system.ts` and kept in Unicode's
 * decomposed form (NFD), there is no /proc, and link(2) follows a symlink.
 */
import type { FileCalls, FileSystem } from "../../src/platform/file-system.js";
import { foldingFileSystem } from "./folding-file-system.js";

const noSuchFile = (path: string): Error =>
  Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), { code: "ENOENT" });

/** Keeps names below `root`. */
export function macosFileSystem(root: string): FileSystem {
  const folding = foldingFileSystem(root);
  const decomposed = <Calls extends object>(calls: Calls): Calls =>
    Object.fromEntries(
      Object.entries(calls).map(([name, call]) => [
        name,
        (...args: unknown[]) => {
          const path = args[0];
          if (typeof path === "string" && path.startsWith("/proc")) {
            if (name === "exists" || name === "existsQuickly") return false;
            throw noSuchFile(path);
          }
          return call(
            ...args.map((arg) =>
              typeof arg === "string" && arg.startsWith(root) ? arg.normalize("NFD") : arg,
            ),
          );
        },
      ]),
    ) as Calls;
  return { sync: decomposed<FileCalls>(folding.sync), async: decomposed(folding.async) };
}
