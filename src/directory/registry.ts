/**
 * One writer per session and process: exporters on one directory share it, also those of another version of
 * this package in the process.
 */
import { resolve } from "node:path";
import { SerialQueue as Lane } from "../platform/async.js";
import { systemClock } from "../platform/clock.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { type DirectoryTally, newTally, tallied } from "../platform/io-counters.js";
import { SystemLiveness } from "../platform/liveness.js";
import { defaultPace } from "../storage/pace.js";
import type { WriterPorts } from "../storage/writer-ports.js";
import { Housekeeping, type HousekeepingOptions } from "./housekeeping.js";
import { type Lanes, TraceDirectory } from "./trace-directory.js";

/** Parts of the machine, replaced by tests. */
export type EnginePorts = Partial<Pick<WriterPorts, "fileSystem" | "clock" | "liveness" | "pace">>;

/** How a directory's sessions are written; the first exporter on a directory decides. */
export interface DirectoryOptions extends HousekeepingOptions {
  readonly durability: WriterPorts["durability"];
  readonly maxSpans: number;
}

interface OpenDirectory {
  readonly directory: TraceDirectory;
  readonly housekeeping: Housekeeping;
  readonly tally: DirectoryTally;
  readonly listeners: Set<(error: unknown, path: string) => void>;
  users: number;
}

interface Registry {
  readonly directories: Map<string, OpenDirectory>;
  readonly lanes: Lanes;
}

const slot = Symbol.for("opentelemetry-exporter-crash-safe-file/registry/1");
const slots = globalThis as unknown as Record<symbol, Registry | undefined>;

function registry(): Registry {
  slots[slot] ??= { directories: new Map(), lanes: { publish: new Lane(), sync: new Lane() } };
  return slots[slot];
}

/** An exporter's hold on a directory. */
export interface DirectoryLease {
  readonly directory: TraceDirectory;
  readonly housekeeping: Housekeeping;
  /** Of all its users. */
  readonly tally: DirectoryTally;
  /** This exporter's number among the directory's users. */
  readonly user: number;
  /** Lets go; the last one stops the housekeeping. */
  release(): void;
}

/** Opens a directory, or joins those who have it open. Creates nothing on disk. */
export function leaseDirectory(
  dir: string,
  options: DirectoryOptions,
  onFault: (error: unknown, path: string) => void,
  ports: EnginePorts = {},
): DirectoryLease {
  const path = resolve(dir);
  const { directories, lanes } = registry();
  // With parts of its own, a test has a directory of its own.
  const isShared = Object.keys(ports).length === 0;
  const known = isShared ? directories.get(path) : undefined;
  const open =
    known ??
    openDirectory(path, options, isShared ? lanes : { publish: new Lane(), sync: new Lane() }, ports);
  if (isShared) directories.set(path, open);
  open.users++;
  open.listeners.add(onFault);
  return {
    directory: open.directory,
    housekeeping: open.housekeeping,
    tally: open.tally,
    user: open.directory.join(),
    release() {
      if (!open.listeners.delete(onFault)) return;
      if (--open.users > 0) return;
      open.housekeeping.stop();
      open.directory.abandon();
      if (directories.get(path) === open) directories.delete(path);
    },
  };
}

function openDirectory(
  path: string,
  options: DirectoryOptions,
  lanes: Lanes,
  ports: EnginePorts,
): OpenDirectory {
  const fileSystem = ports.fileSystem ?? nodeFileSystem;
  const tally = newTally();
  const writerPorts = {
    fileSystem: tallied(fileSystem, tally),
    tally,
    clock: ports.clock ?? systemClock,
    liveness: ports.liveness ?? new SystemLiveness(fileSystem.sync),
    pace: ports.pace ?? defaultPace,
    durability: options.durability,
    maxSpans: options.maxSpans,
  };
  const listeners = new Set<(error: unknown, path: string) => void>();
  // Of several exporters on a directory one tells a fault: its host is the same.
  const onFault = (error: unknown, at: string) => {
    for (const listener of listeners) return listener(error, at);
  };
  const directory = new TraceDirectory(path, writerPorts, lanes, onFault);
  const housekeeping = new Housekeeping(directory, options, onFault);
  return { directory, housekeeping, tally, listeners, users: 0 };
}
