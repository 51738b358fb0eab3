/**
 * A file system that, when no descriptor is left (EMFILE), has a silent session close its files and tries again.
 */
import { type AsyncFileCalls, errorCode, type FileCalls, type FileSystem } from "../platform/file-system.js";

/** The calls that need a descriptor of their own. */
const opening = ["open", "readdir", "readText", "syncDirectory"] as const;
type OpeningCall = (typeof opening)[number];

/** `closeOne` closes a descriptor; returns `false` when there is none left to close. */
export function retryOnEmfile(fileSystem: FileSystem, closeOne: () => boolean): FileSystem {
  const canRetry = (error: unknown) => {
    const code = errorCode(error);
    return (code === "EMFILE" || code === "ENFILE") && closeOne();
  };
  const now =
    (name: OpeningCall) =>
    (...args: never[]) => {
      for (;;) {
        try {
          return (fileSystem.sync[name] as (...args: never[]) => unknown)(...args);
        } catch (error) {
          if (!canRetry(error)) throw error;
        }
      }
    };
  const later =
    (name: OpeningCall) =>
    async (...args: never[]) => {
      for (;;) {
        try {
          return await (fileSystem.async[name] as (...args: never[]) => Promise<unknown>)(...args);
        } catch (error) {
          if (!canRetry(error)) throw error;
        }
      }
    };
  const each = <T>(make: (name: OpeningCall) => T) =>
    Object.fromEntries(opening.map((name) => [name, make(name)]));
  return {
    ...fileSystem,
    sync: { ...fileSystem.sync, ...each(now) } as FileCalls,
    async: { ...fileSystem.async, ...each(later) } as AsyncFileCalls,
  };
}
