/**
 * What a directory and this runtime give, tried once: each thing that sessions use is used, with their calls, in a directory
 * of its own that is removed again.
 */
import { documentPath, longestPath, tempPath } from "../format/file-names.js";
import { timers } from "../platform/clock.js";
import { errorCode, type FileCalls, tryRemoveDirectory, tryUnlink } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import { type Capability, Ground, isHeld, isUnlinkable, onGround } from "../platform/ground.js";
import { isDead } from "../platform/liveness.js";
import { buildFile } from "../storage/build-file.js";
import { type CommitOutcome, type CommitPorts, commit } from "../storage/commit.js";
import { writeAll } from "../storage/lines.js";

/** One thing that sessions use, and whether it is there. */
export interface GroundAnswer {
  /** The name for programs. What `stats().refused` has is here under the same name. */
  readonly capability: string;
  /** The name for people. */
  readonly what: string;
  readonly isGiven: boolean;
  /** What was seen: a size, a time, the code of an error. */
  readonly seen: string;
  /** Without it, no document can be written. */
  readonly isNeeded: boolean;
  /** What its absence costs. Absent where it is given. */
  readonly cost?: string;
}

/** What a trial saw. */
interface Seen {
  readonly isGiven: boolean;
  readonly seen: string;
}

const saw = (isGiven: boolean, seen: string): Seen => ({ isGiven, seen });

/** The directory of the trials. */
class Place {
  readonly ports: CommitPorts;
  readonly dir: string;
  readonly ground: Ground;
  #files = 0;

  constructor(ports: CommitPorts, dir: string, ground: Ground) {
    this.ports = ports;
    this.dir = dir;
    this.ground = ground;
  }

  get calls(): FileCalls {
    return this.ports.fileSystem.sync;
  }

  /** Creates a file with a byte, under a name of its own or the given one. Returns its path. */
  create(name = `file-${++this.#files}`): string {
    const path = `${this.dir}/${name}`;
    const fd = this.calls.open(path, "create");
    try {
      this.calls.write(fd, Buffer.from("x"), 0, 1);
    } finally {
      this.calls.close(fd);
    }
    return path;
  }

  /** Opens a file, and closes it after the use. */
  using<T>(path: string, mode: "append" | "read", use: (fd: number) => T): T {
    const fd = this.calls.open(path, mode);
    try {
      return use(fd);
    } finally {
      this.calls.close(fd);
    }
  }

  /** What the ground knows of a capability after its use. */
  known(capability: Capability): Seen {
    const code = this.ground.refused[capability];
    return saw(code === undefined, code ?? "yes");
  }
}

interface Trial {
  readonly what: string;
  /** What its absence costs. Absent: no document can be written. */
  readonly cost?: string;
  /** An error that it throws is the code of what is not given. */
  run(place: Place): Seen | Promise<Seen>;
}

/** The next commit must not replace a document that it was not built on. */
async function commitTwice({ ports, dir }: Place): Promise<Seen> {
  const { fileSystem, liveness } = ports;
  const files = { dir, name: "document" };
  const token = liveness.newToken();
  const once = (): Promise<CommitOutcome> =>
    runAsync(
      fileSystem,
      buildFile(fileSystem, tempPath(files, token), function* ({ fd, path }) {
        yield* writeAll(fd, Buffer.from("{}\n"));
        const request = { files, token, source: path, by: "move", base: undefined } as const;
        return yield* commit(ports, { ...request, mayCommit: () => true });
      }),
    );
  const outcomes = [await once(), await once()].join(", then ");
  const isRight = fileSystem.sync.exists(documentPath(files)) && outcomes === "committed, then superseded";
  return saw(isRight, isRight ? "yes" : outcomes);
}

/** The longest name in bytes, up to that of the longest file of a session. */
function longestName({ calls, dir }: Place): Seen {
  const most = Buffer.byteLength(longestPath({ dir: "", name: "n".repeat(120) })) - 1;
  let [longest, tooLong] = [0, most + 1];
  for (let bytes = most; tooLong - longest > 1; bytes = Math.floor((longest + tooLong) / 2)) {
    const path = `${dir}/${"n".repeat(bytes)}`;
    try {
      calls.close(calls.open(path, "create"));
      tryUnlink(calls, path);
      longest = bytes;
    } catch {
      tooLong = bytes;
    }
  }
  return saw(longest === most, `${longest}${longest === most ? " or more" : ""} bytes`);
}

/** Longest wait for another time of a file: FAT has steps of 2 s. */
const longestStepMillis = 2_500;

async function stepOfTimes(place: Place): Promise<Seen> {
  const { calls } = place;
  const { clock } = place.ports;
  const path = place.create();
  const time = () => calls.lstat(path)?.mtimeMs;
  const [first, begun] = [time(), clock.monotonic()];
  while (time() === first && clock.monotonic() - begun < longestStepMillis) {
    await new Promise<void>((resolve) => void timers.setTimeout(resolve, 1));
    calls.touch(path);
  }
  const millis = Math.ceil(clock.monotonic() - begun);
  return saw(millis < 1_000, `${millis} ms`);
}

/** Difference between the clock of the file system and that of this machine which costs nothing; FAT rounds to 2 s. */
const clockToleranceMillis = 3_000;

/** Everything that sessions use, in the order of the report. */
const trials: Readonly<Record<string, Trial>> = {
  exclusiveCreate: {
    what: "a create fails where a file is",
    run(place) {
      const path = place.create();
      try {
        place.calls.close(place.calls.open(path, "create"));
      } catch (error) {
        return saw(errorCode(error) === "EEXIST", errorCode(error) ?? "an error");
      }
      return saw(false, "a second create succeeds");
    },
  },
  append: {
    what: "a write goes to the end of the file",
    run(place) {
      const { calls } = place;
      const path = place.create();
      place.using(path, "append", (one) =>
        place.using(path, "append", (other) => {
          for (const fd of [one, other, one]) calls.write(fd, Buffer.from("y"), 0, 1);
        }),
      );
      const { size = 0 } = calls.lstat(path) ?? {};
      return saw(size === 4, `${size} of 4 bytes`);
    },
  },
  rename: {
    what: "a rename replaces a file",
    run(place) {
      const { calls } = place;
      const [older, newer] = [place.create(), place.create()];
      const size = place.using(newer, "append", (fd) => calls.write(fd, Buffer.from("new"), 0, 3)) + 1;
      calls.rename(newer, older);
      const isReplaced = calls.lstat(older)?.size === size && !calls.exists(newer);
      return saw(isReplaced, isReplaced ? "yes" : "both files are there");
    },
  },
  commit: {
    what: "a document takes its name under the lock of its session",
    run: commitTwice,
  },
  sync: {
    what: "syncs of files",
    run(place) {
      place.using(place.create(), "append", (fd) => place.calls.fdatasync(fd));
      return place.known("sync");
    },
  },
  directorySync: {
    what: "syncs of directories",
    run(place) {
      place.calls.syncDirectory(place.dir);
      return place.known("directorySync");
    },
  },
  hardLinks: {
    what: "hard links",
    run(place) {
      try {
        place.calls.link(place.create(), `${place.dir}/link`);
      } catch (error) {
        if (!isUnlinkable(error)) throw error;
        place.ground.refuse("hardLinks", error);
      }
      return place.known("hardLinks");
    },
  },
  stableInodes: {
    what: "inode numbers that stay",
    run(place) {
      const path = place.create();
      place.using(path, "read", (fd) => place.ground.probeInodes(place.calls, fd, path));
      return place.known("stableInodes");
    },
  },
  openFiles: {
    what: "a rename over a file that is open",
    run(place) {
      const [held, newer] = [place.create(), place.create()];
      return place.using(held, "read", () => {
        try {
          place.calls.rename(newer, held);
          return saw(true, "yes");
        } catch (error) {
          if (!isHeld(error)) throw error;
          return saw(false, errorCode(error) ?? "");
        }
      });
    },
  },
  letterCase: {
    what: "names that differ in letter case",
    cost: "sessions whose ids differ in letter case alone get names with a hash; nothing is lost",
    run: (place) => {
      place.create("Case");
      return place.calls.exists(`${place.dir}/cASE`) ? saw(false, "one file") : saw(true, "two files");
    },
  },
  unicodeForm: {
    what: "names that differ in Unicode form",
    cost: "sessions whose ids differ in Unicode form alone get names with a hash; nothing is lost",
    run: (place) => {
      place.create("caf\u00e9");
      return place.calls.exists(`${place.dir}/cafe\u0301`) ? saw(false, "one file") : saw(true, "two files");
    },
  },
  longNames: {
    what: "long names",
    cost: "sessions with long ids get shorter names with a hash; nothing is lost",
    run: longestName,
  },
  nameCharacters: {
    what: 'names with one of < > " | ? *',
    run(place) {
      if (place.ports.fileSystem.refusedInNames) return saw(false, "EINVAL");
      place.ground.probeNames(place.calls, `${place.dir}/< > " | ? *`);
      return place.known("nameCharacters");
    },
  },
  privateFiles: {
    what: "files that only their owner reads",
    cost: "other users of this machine read documents, as far as the directory lets them",
    run(place) {
      const { mode = 0 } = place.calls.lstat(place.create()) ?? {};
      return saw((mode & 0o077) === 0, `0${mode.toString(8)}`);
    },
  },
  timeSteps: {
    what: "times of files with steps below 1 s",
    cost: "files that were written within one step have one age in listings and for retention",
    run: stepOfTimes,
  },
  sameClock: {
    what: "times of files by the clock of this machine",
    cost: "the lease of a writer in another container or on another host ends as much too early or too late",
    run(place) {
      const millis = (place.calls.lstat(place.create())?.mtimeMs ?? 0) - place.ports.clock.now();
      return saw(Math.abs(millis) < clockToleranceMillis, `${Math.round(millis / 1_000)} s apart`);
    },
  },
  processIdentity: {
    what: "start times of processes (/proc)",
    cost: "a process counts as alive while its number is in use and its files are touched: a session may wait 60 s for recovery",
    run: ({ ports: { liveness } }) =>
      liveness.verdict(liveness.newToken()) === "alive" ? saw(true, "yes") : saw(false, "numbers alone"),
  },
};

const costWithoutDocuments = "no document can be written here";

/** Begins the name of a directory of trials. The token of its process follows. */
const prefix = "ground-probe.";

/**
 * Tries each thing in the directory. Removes the directory of the trials, and those of probes that were killed.
 *
 * Never throws: an error is the answer of its trial.
 */
export async function probeGround(ports: CommitPorts, dir: string): Promise<readonly GroundAnswer[]> {
  const ground = new Ground();
  const fileSystem = onGround(ports.fileSystem, ground);
  const calls = fileSystem.sync;
  const own = `${dir}/${prefix}${ports.liveness.newToken()}`;
  try {
    calls.mkdir(own);
  } catch (error) {
    const answer = { capability: "writing", what: "writing into the directory", isNeeded: true };
    return [
      { ...answer, isGiven: false, seen: errorCode(error) ?? String(error), cost: costWithoutDocuments },
    ];
  }
  const place = new Place({ ...ports, fileSystem }, own, ground);
  const answers: GroundAnswer[] = [];
  try {
    for (const [capability, { what, cost, run }] of Object.entries(trials)) {
      let seen: Seen;
      try {
        seen = await run(place);
      } catch (error) {
        seen = saw(false, errorCode(error) ?? String(error));
      }
      const isKnown = isCapability(capability);
      const costs = isKnown ? ground.costOf(capability) : (cost ?? costWithoutDocuments);
      const isNeeded = !isKnown && cost === undefined;
      answers.push({ capability, what, ...seen, isNeeded, ...(!seen.isGiven && { cost: costs }) });
    }
  } finally {
    removeTrials(calls, own);
    removeLeft(ports, dir);
  }
  return answers;
}

const known: readonly string[] = [
  "sync",
  "directorySync",
  "hardLinks",
  "stableInodes",
  "openFiles",
  "nameCharacters",
] satisfies Capability[];

const isCapability = (name: string): name is Capability => known.includes(name);

/** Probes that were killed have left their directories. */
function removeLeft({ fileSystem: { sync: calls }, liveness }: CommitPorts, dir: string): void {
  for (const name of calls.readdir(dir))
    if (name.startsWith(prefix) && isDead(liveness, name.slice(prefix.length)))
      removeTrials(calls, `${dir}/${name}`);
}

/** A directory of trials has files, and the lock of a session. No call follows a symlink. */
function removeTrials(calls: FileCalls, dir: string, depth = 0): void {
  try {
    if (calls.lstat(dir)?.isDirectory !== true) return;
    for (const name of calls.readdir(dir)) {
      const path = `${dir}/${name}`;
      if (calls.lstat(path)?.isDirectory === true) {
        if (depth === 0) removeTrials(calls, path, depth + 1);
      } else tryUnlink(calls, path);
    }
    tryRemoveDirectory(calls, dir);
  } catch {
    // The next probe tries again, once this process has ended.
  }
}
