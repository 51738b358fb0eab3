/** The real file system without syncs, for tests of tens of thousands of recoveries. */
import { type AsyncFileCalls, type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";

const sync = { ...nodeFileSystem.sync, fdatasync: () => {}, syncDirectory: () => {} };

/** Every call runs at once, the asynchronous calls included: none waits for the thread pool or the event loop. */
export const unsyncedFileSystem: FileSystem = {
  sync,
  async: Object.fromEntries(
    Object.entries(sync).map(([name, call]) => [
      name,
      async (...args: unknown[]) => (call as (...args: unknown[]) => unknown)(...args),
    ]),
  ) as unknown as AsyncFileCalls,
};
