/**
 * Faults of real disks, and their end: each is `{ dir, wrap, hit(writer), mend(writer) }`, where `dir` is the
 * directory of the traces, and `wrap` starts the writer as another user.
 */
import { chmodSync, chownSync, mkdirSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { FileDisk, memoryDisk, run } from "./disks.mjs";
import { undoLater } from "./interruption.mjs";

const nobody = 65534;

/** Fills the disk with another file, so that nothing more fits. */
function fill(dir) {
  for (let i = 0; ; i++) {
    try {
      writeFileSync(join(dir, `filler ${i}`), Buffer.alloc(4096));
    } catch (error) {
      if (error.code === "ENOSPC") return;
      throw error;
    }
  }
}

export const faults = {
  full(scratch) {
    const disk = memoryDisk(scratch, "size=1m");
    return {
      dir: join(disk, "traces"),
      hit: () => fill(disk),
      mend: () => run("mount", "-o", "remount,size=4m", disk),
    };
  },

  inodes(scratch) {
    const disk = memoryDisk(scratch, "size=8m,nr_inodes=50");
    const empty = [];
    return {
      dir: join(disk, "traces"),
      hit() {
        for (let i = 0; ; i++) {
          const path = join(disk, `empty ${i}`);
          try {
            writeFileSync(path, "");
          } catch (error) {
            if (error.code === "ENOSPC") return;
            throw error;
          }
          empty.push(path);
        }
      },
      mend: () => empty.forEach(unlinkSync),
    };
  },

  /**
   * Linux remounts nothing read-only while files are open, so the directory is reached through another mount that
   * is read-only.
   */
  "read-only"(scratch) {
    const dir = scratch.newDirectory();
    let undo;
    return {
      dir,
      hit() {
        run("mount", "--bind", dir, dir);
        undo = undoLater(scratch, () => run("umount", "--lazy", dir));
        run("mount", "-o", "remount,bind,ro", dir);
      },
      mend: () => undo(),
    };
  },

  /** Removes the whole disk between two sessions. */
  "read-only-disk"(scratch) {
    const disk = memoryDisk(scratch, "size=8m");
    return {
      dir: join(disk, "traces"),
      async hit(writer, sessions) {
        await writer.do("end", { sessions });
        for (let attempt = 0; ; attempt++) {
          try {
            return run("mount", "-o", "remount,ro", disk);
          } catch (error) {
            // A recovery in the background may be reading.
            if (attempt > 50) throw error;
            await wait(20);
          }
        }
      },
      mend: () => run("mount", "-o", "remount,rw", disk),
    };
  },

  deleted(scratch) {
    const dir = join(scratch.newDirectory(), "traces");
    return { dir, isSilent: true, hit: () => rmSync(dir, { recursive: true }), mend() {} };
  },

  replaced(scratch) {
    const dir = join(scratch.newDirectory(), "traces");
    return {
      dir,
      hit() {
        rmSync(dir, { recursive: true });
        writeFileSync(dir, "in the way");
      },
      mend: () => unlinkSync(dir),
    };
  },

  immutable(scratch) {
    const disk = new FileDisk(scratch, "ext4");
    disk.mount();
    const dir = disk.newDirectory("traces");
    let undo;
    return {
      dir,
      hit() {
        run("chattr", "+i", dir);
        undo = undoLater(scratch, () => run("chattr", "-i", dir));
      },
      mend: () => undo(),
    };
  },

  "file-size"(scratch) {
    return {
      dir: join(scratch.newDirectory(), "traces"),
      // A process that does not ignore SIGXFSZ, as Node does, dies of it.
      hit: ({ pid }) => run("prlimit", "--pid", String(pid), "--fsize=50000:unlimited"),
      mend: ({ pid }) => run("prlimit", "--pid", String(pid), "--fsize=unlimited:unlimited"),
    };
  },

  /** The directory becomes another user's. */
  "another-user"(scratch) {
    const dir = reachable(scratch);
    chownSync(dir, nobody, nobody);
    return {
      dir,
      wrap: asNobody,
      hit: () => chownSync(dir, 0, 0),
      mend: () => chownSync(dir, nobody, nobody),
    };
  },

  /** The directory belonged to another user from the start. */
  "another-user-first"(scratch) {
    const dir = reachable(scratch);
    return { dir, wrap: asNobody, isFirst: true, hit() {}, mend: () => chownSync(dir, nobody, nobody) };
  },
};

export const asNobody = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", "--"];

/** A directory that only its owner may enter, below one that every user may enter. */
function reachable(scratch) {
  const dir = join(scratch.newDirectory(), "traces");
  mkdirSync(dir, { mode: 0o700 });
  for (let above = dirname(dir), i = 0; i < 3; above = dirname(above), i++) chmodSync(above, 0o755);
  return dir;
}
