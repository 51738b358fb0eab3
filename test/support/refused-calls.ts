/** Calls of the process's own file system that fail for some paths, for programs that take no file system. */
import { onTestFinished } from "vitest";
import { nodeFileSystem } from "../../src/platform/file-system.js";

type Call = (...args: never[]) => unknown;

/** To the end of the test, `name` fails with the error that `fault` returns, if it returns one. */
function failing(name: string, fault: (...args: never[]) => Error | undefined): void {
  const { sync, async } = nodeFileSystem as unknown as Record<"sync" | "async", Record<string, Call>>;
  for (const calls of [sync, async]) {
    const real = calls[name] as Call;
    calls[name] = (...args) => {
      const error = fault(...args);
      if (error === undefined) return real(...args);
      if (calls === async) return Promise.reject(error);
      throw error;
    };
    onTestFinished(() => {
      calls[name] = real;
    });
  }
}

/** From now to the end of the test, `name` fails with `code` for paths that match. */
export const refuse = (
  name: "open" | "unlink" | "rename" | "lstat" | "readdir",
  code: string,
  path: RegExp,
): void =>
  failing(name, (at: string) => {
    if (!path.test(at)) return undefined;
    return Object.assign(new Error(`${code}: refused, ${name} '${at}'`), { code, path: at, syscall: name });
  });

/** From now to the end of the test, reads of files whose path matches fail with EIO: a disk with bad sectors. */
export function refuseReads(path: RegExp): void {
  const { sync } = nodeFileSystem;
  const bad = new Set<string>();
  failing("open", (at: string) => {
    const stat = path.test(at) ? sync.lstat(at) : undefined;
    if (stat) bad.add(`${stat.dev} ${stat.ino}`);
    return undefined;
  });
  failing("read", (fd: number) => {
    const { dev, ino } = sync.fstat(fd);
    if (!bad.has(`${dev} ${ino}`)) return undefined;
    return Object.assign(new Error("EIO: i/o error, read"), { code: "EIO", syscall: "read" });
  });
}
