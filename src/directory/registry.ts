/**
 * The directories that are open in this process. Exporters on one directory share its sessions, also exporters of
 * another copy of this package, of this version or another one from 0.2 on.
 */
import { resolve } from "node:path";
import type { UnnamedPolicy } from "../format/unnamed-policy.js";
import { gated } from "../platform/call-gate.js";
import { type Clock, systemClock } from "../platform/clock.js";
import { environment, halfOfThreadPool } from "../platform/environment.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { Ground, onGround } from "../platform/ground.js";
import { IoCounters } from "../platform/io-counters.js";
import { SystemLiveness } from "../platform/liveness.js";
import { sharedState } from "../platform/shared-state.js";
import { SparedCalls } from "../platform/spared-calls.js";
import { WorkQueue } from "../platform/work-queue.js";
import { UserOfDirectory } from "./directory-user.js";
import { Housekeeping, type HousekeepingOptions } from "./housekeeping.js";
import type { WorkLanes, WorkQueues } from "./publish-scheduler.js";
import { defaultPace, TokenBucket } from "./publish-scheduler.js";
import type { DirectoryListener, DirectoryUser, SharedDirectory } from "./shared-directory.js";
import { type DirectoryPorts, TraceDirectory } from "./trace-directory.js";
import { UnnamedTraces } from "./unnamed-traces.js";

/** Parts of the machine that tests replace. */
export type EnginePorts = Partial<Pick<DirectoryPorts, "fileSystem" | "clock" | "liveness" | "pace">>;

/** How the sessions of a directory are written; the first exporter on a directory decides. */
export interface DirectoryOptions extends HousekeepingOptions {
  readonly unnamed: UnnamedPolicy;
  readonly durability: DirectoryPorts["durability"];
  readonly maxSpans: number;
  readonly clock: Clock;
}

/** The directories that are open in this process, by their absolute paths, and the queues that they share. */
interface Registry {
  readonly directories: Map<string, SharedDirectory>;
  readonly queues: WorkQueues;
}

const newQueues = (clock: Clock = systemClock): WorkQueues => ({
  publish: new WorkQueue(halfOfThreadPool(environment()), clock),
  sync: new WorkQueue(1, clock),
  bucket: TokenBucket.ofProcess(clock.monotonic()),
});

// The contract is in `shared-directory.ts`. Copies of version 0.1.0 use `registry/1`: they act as peer writers.
const registry = () =>
  sharedState<Registry>("registry/2", () => Object.freeze({ directories: new Map(), queues: newQueues() }));

/** Opens a directory, or joins the users that have it open. Creates nothing on disk. */
export function joinDirectory(
  dir: string,
  options: DirectoryOptions,
  listener: DirectoryListener,
  ports: EnginePorts = {},
): DirectoryUser {
  const path = resolve(dir);
  // With ports of its own, a test has a directory of its own.
  if (Object.keys(ports).length > 0)
    return openDirectory(path, options, newQueues(ports.clock), ports).join(listener);
  const { directories, queues } = registry();
  let open = directories.get(path);
  if (!open) {
    open = openDirectory(path, options, queues, ports, () => directories.delete(path));
    directories.set(path, open);
  }
  return open.join(listener);
}

/** `onClose` is called when the last user is gone. */
function openDirectory(
  path: string,
  options: DirectoryOptions,
  queues: WorkQueues,
  ports: EnginePorts,
  onClose: () => void = () => {},
): SharedDirectory {
  const fileSystem = ports.fileSystem ?? nodeFileSystem;
  const clock = ports.clock ?? options.clock;
  const counters = new IoCounters();
  // Of several users on a directory the first hears of an event: their host is the same.
  const listeners = new Set<DirectoryListener>();
  const ground = new Ground((refusal) => [...listeners][0]?.onRefused(refusal));
  const spared = new SparedCalls(clock);
  const directoryPorts = {
    fileSystem: onGround(counters.counting(spared.over(gated(fileSystem, clock))), ground),
    counters,
    clock,
    liveness: ports.liveness ?? new SystemLiveness(fileSystem.sync),
    pace: ports.pace ?? defaultPace,
    durability: options.durability,
    maxSpans: options.maxSpans,
  };
  const onFault = (error: unknown, at: string) => [...listeners][0]?.onFault(error, at);
  const onRemoved: DirectoryListener["onRemoved"] = (removed, limits) =>
    [...listeners][0]?.onRemoved(removed, limits);
  const onLost: DirectoryListener["onLost"] = (reason, spans) => [...listeners][0]?.onLost(reason, spans);
  const lanes: WorkLanes = {
    publish: queues.publish.lane(),
    sync: queues.sync.lane(),
    bucket: queues.bucket,
  };
  const directory = new TraceDirectory(path, directoryPorts, lanes, onFault);
  const events = { onFault, onRemoved, onLost };
  const unnamed = new UnnamedTraces(directory, options.unnamed, events, options.maxFiles);
  const housekeeping = new Housekeeping(directory, unnamed, options, onFault, onRemoved);
  return Object.freeze({
    join(listener: DirectoryListener): DirectoryUser {
      listeners.add(listener);
      return new UserOfDirectory(directory, unnamed, housekeeping, { counters, spared }, () => {
        if (!listeners.delete(listener)) return;
        listener.onReleased();
        if (listeners.size > 0) return;
        housekeeping.stop();
        directory.close();
        unnamed.close();
        onClose();
      });
    },
  });
}
