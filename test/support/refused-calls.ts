/** Calls of the process's own file system that fail for some paths, for programs that take no file system. */
import { onTestFinished, vi } from "vitest";
import { type FileCalls, nodeFileSystem } from "../../src/platform/file-system.js";

/** What a system call fails with. */
const refusal = (code: string, path: string, syscall: string): Error =>
  Object.assign(new Error(`${code}: refused, ${syscall} '${path}'`), { code, path, syscall });

/** From now to the end of the test, `name` fails with `code` for paths that match. */
export function refuse(
  name: "open" | "unlink" | "rename" | "lstat" | "readdir",
  code: string,
  path: RegExp,
): void {
  for (const calls of [nodeFileSystem.sync, nodeFileSystem.async]) {
    const real = calls[name] as (...args: unknown[]) => unknown;
    const spy = vi.spyOn(calls as FileCalls, name).mockImplementation(((...args: unknown[]) => {
      const error = path.test(String(args[0])) ? refusal(code, String(args[0]), name) : undefined;
      if (error === undefined) return real(...args);
      if (calls === nodeFileSystem.async) return Promise.reject(error);
      throw error;
    }) as never);
    onTestFinished(() => spy.mockRestore());
  }
}

/** From now to the end of the test, reads of files whose path matches fail with EIO: a disk with bad sectors. */
export function refuseReads(path: RegExp): void {
  const inodes = new Set<string>();
  const { sync } = nodeFileSystem;
  const isBad = (fd: number): boolean => {
    const { dev, ino } = sync.fstat(fd);
    return inodes.has(`${dev} ${ino}`);
  };
  for (const calls of [nodeFileSystem.sync, nodeFileSystem.async]) {
    const { open, read } = calls as FileCalls;
    const isAsync = calls === nodeFileSystem.async;
    const opening = vi.spyOn(calls as FileCalls, "open").mockImplementation(((at: string, mode: "read") => {
      const stat = path.test(at) ? sync.lstat(at) : undefined;
      if (stat) inodes.add(`${stat.dev} ${stat.ino}`);
      return open(at, mode);
    }) as never);
    const reading = vi.spyOn(calls as FileCalls, "read").mockImplementation(((
      fd: number,
      ...rest: [never]
    ) => {
      if (!isBad(fd)) return (read as (...args: unknown[]) => unknown)(fd, ...rest);
      const error = Object.assign(new Error("EIO: i/o error, read"), { code: "EIO", syscall: "read" });
      if (isAsync) return Promise.reject(error);
      throw error;
    }) as never);
    onTestFinished(() => {
      opening.mockRestore();
      reading.mockRestore();
    });
  }
}
