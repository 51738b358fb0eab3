/**
 * A file system that, when no descriptor is left, has somebody give theirs up and tries again: the files of a
 * silent session are worth less than the one that is needed now.
 */
import { type AsyncFileCalls, errorCode, type FileCalls, type FileSystem } from "../platform/file-system.js";

/** The calls that need a descriptor of their own. */
const needy = ["open", "readdir", "readText", "syncDirectory"] as const;
type Needy = (typeof needy)[number];

/** `giveUp` closes something, and returns `false` when there is nothing left to close. */
export function thrifty(fileSystem: FileSystem, giveUp: () => boolean): FileSystem {
  const isWorthAnotherTry = (error: unknown) => {
    const code = errorCode(error);
    return (code === "EMFILE" || code === "ENFILE") && giveUp();
  };
  const now =
    (name: Needy) =>
    (...args: never[]) => {
      for (;;) {
        try {
          return (fileSystem.sync[name] as (...args: never[]) => unknown)(...args);
        } catch (error) {
          if (!isWorthAnotherTry(error)) throw error;
        }
      }
    };
  const later =
    (name: Needy) =>
    async (...args: never[]) => {
      for (;;) {
        try {
          return await (fileSystem.async[name] as (...args: never[]) => Promise<unknown>)(...args);
        } catch (error) {
          if (!isWorthAnotherTry(error)) throw error;
        }
      }
    };
  const each = <T>(make: (name: Needy) => T) => Object.fromEntries(needy.map((name) => [name, make(name)]));
  return {
    sync: { ...fileSystem.sync, ...each(now) } as FileCalls,
    async: { ...fileSystem.async, ...each(later) } as AsyncFileCalls,
  };
}
