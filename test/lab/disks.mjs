/** Real disks of a few megabytes: in memory, or in a file with a file system on it. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { undoLater } from "./interruption.mjs";
import { lacks, lacksRoot } from "./tools.mjs";

/** Runs a program. Throws its output when it fails. */
export function run(program, ...args) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr.trim() || `status ${status}`}`);
  return stdout;
}

const tries = (program, ...args) => spawnSync(program, args, { stdio: "ignore" }).status === 0;

/** Root on a Linux that allows mounts. */
export function lacksMount() {
  if (process.platform !== "linux") return `it mounts disks, and this is ${process.platform}`;
  const reason = lacksRoot() ?? lacks("mount", ["--version"]);
  if (reason) return reason;
  // Containers often have root without the right to mount.
  const isAllowed = tries("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp");
  return isAllowed ? undefined : "mounting is not allowed here";
}

/** Whether this file system can be mounted from a file, as `lacksMount`. */
export function lacksFileSystem(type) {
  const reason = lacksMount() ?? lacks(`mkfs.${type}`, ["-V"]) ?? lacks("xfs_io", ["-V"]);
  if (reason) return reason;
  if (!tries("losetup", "--find")) return "there is no loop device here";
  const known = readFileSync("/proc/filesystems", "utf8");
  const isKnown = new RegExp(`\\b${type}$`, "m").test(known) || tries("modprobe", type);
  return isKnown ? undefined : `this kernel has no ${type}`;
}

/** A mounted disk in memory. */
export function memoryDisk(scratch, options) {
  const dir = scratch.newDirectory();
  run("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir);
  undoLater(scratch, () => void tries("umount", "--lazy", dir));
  return dir;
}

async function until(what, holds) {
  for (let attempt = 0; !holds(); attempt++) {
    if (attempt > 200) throw new Error(`waited in vain until ${what}`);
    await wait(20);
  }
}

/** A file system in a file: mounted, cut off from its power, and mounted again. */
export class FileDisk {
  #image;
  #isMounted = false;
  dir;

  constructor(scratch, type) {
    this.dir = scratch.newDirectory();
    this.#image = join(scratch.dir, `${type}-${Math.random().toString(36).slice(2)}.img`);
    writeFileSync(this.#image, "");
    // The smallest size that XFS accepts. The file is sparse.
    truncateSync(this.#image, (type === "xfs" ? 320 : 96) * 1024 * 1024);
    run(`mkfs.${type}`, "-q", type === "xfs" ? "-f" : "-F", this.#image);
    undoLater(scratch, () => {
      if (this.#isMounted) tries("umount", "--lazy", this.dir);
    });
  }

  mount(options = "defaults") {
    run("mount", "-o", `loop,${options}`, this.#image, this.dir);
    this.#isMounted = true;
  }

  /**
   * From here on nothing reaches the disk, and every call fails. `log`: the journal of the file system is written
   * before, as it may be just before a real cut. Data is not.
   */
  cut({ log = false } = {}) {
    run("xfs_io", "-x", "-c", log ? "shutdown -f" : "shutdown", this.dir);
  }

  /** Syncs everything to the disk. */
  sync() {
    run("sync", "--file-system", this.dir);
  }

  /**
   * Every process with open files must have ended. A mount namespace that was made meanwhile, by another program, has the mount
   * too until it ends: without the wait, the next mount would get the disk as it was cut.
   */
  async unmount() {
    await until(`${this.dir} is free`, () => tries("umount", this.dir));
    this.#isMounted = false;
    await until(
      `${this.#image} has no loop device`,
      () => !run("losetup", "--associated", this.#image).trim(),
    );
  }

  newDirectory(name) {
    const dir = join(this.dir, name);
    mkdirSync(dir);
    return dir;
  }
}
