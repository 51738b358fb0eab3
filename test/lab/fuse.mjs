/** A file system of the lab's own (`fuse/refusing.c`), mounted by FUSE, that refuses what a trial wants. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { lacksMount } from "./disks.mjs";
import { dieWithLab, undoLater } from "./interruption.mjs";

const source = fileURLToPath(new URL("fuse/refusing.c", import.meta.url));

let program;

/** Compiles the file system once for the lab. Returns the path of the program, or the reason why there is none. */
function compiled() {
  if (program) return program;
  const dir = mkdtempSync(join(tmpdir(), "lab-fuse-"));
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, "refusing");
  const args = [
    "-O1",
    "-D_FILE_OFFSET_BITS=64",
    "-I/usr/include/fuse3",
    source,
    "-o",
    path,
    "-lfuse3",
    "-lpthread",
  ];
  const { error, status, stderr } = spawnSync("gcc", args, { encoding: "utf8" });
  const firstLine = () => stderr.split("\n").find((line) => line.includes("error")) ?? `status ${status}`;
  program = {
    path,
    reason: error
      ? "there is no gcc here"
      : status === 0
        ? undefined
        : `FUSE does not compile here: ${firstLine()}`,
  };
  return program;
}

/** Root on a Linux with FUSE, a compiler and libfuse 3. */
export function lacksFuse() {
  const reason = lacksMount();
  if (reason) return reason;
  if (!existsSync("/dev/fuse")) return "there is no /dev/fuse here";
  return compiled().reason;
}

/** A mounted directory. Every file in it is a file of `below`, which refuses nothing. */
export class FuseMount {
  dir;
  below;
  /** The threads whose calls were held since the last `hold`. */
  held = [];
  #server;
  #lines;
  #undo;

  /** Mounts it. `options` are those of `refusing.c`. */
  static async on(scratch, options) {
    const mount = new FuseMount(scratch, options);
    await mount.#heard("mounted");
    return mount;
  }

  constructor(scratch, options) {
    [this.below, this.dir] = [scratch.newDirectory(), scratch.newDirectory()];
    this.#mount(options);
    this.#undo = undoLater(scratch, () => {
      // Calls that are held return, and a process that waits for one can end.
      this.#server.kill("SIGKILL");
      spawnSync("umount", ["--lazy", this.dir], { stdio: "ignore" });
    });
  }

  #mount(options) {
    this.#server = dieWithLab(
      spawn(compiled().path, [this.below, this.dir, ...options], { stdio: ["pipe", "pipe", "ignore"] }),
    );
    this.#server.stdin.on("error", () => {});
    this.#lines = createInterface({ input: this.#server.stdout });
    this.#lines.on("line", (line) => {
      if (line.startsWith("held ")) this.held.push(Number(line.slice(5)));
    });
  }

  /** A word of the file system that begins so. */
  #heard(word) {
    return new Promise((resolve, reject) => {
      const hear = (line) => {
        if (!line.startsWith(word)) return;
        this.#lines.off("line", hear);
        resolve(line);
      };
      this.#lines.on("line", hear);
      this.#lines.once("close", () => reject(new Error(`the file system ended before it said "${word}"`)));
    });
  }

  #tell(word, answer) {
    const heard = this.#heard(answer);
    this.#server.stdin.write(`${word}\n`);
    return heard;
  }

  /** From now on no fsync returns, and no fdatasync. */
  holdSyncs() {
    this.held = [];
    return this.#tell("hold syncs", "holding");
  }

  /** Resolves when a call is held. */
  hasHeld() {
    return this.held.length > 0 ? Promise.resolve() : this.#heard("held ");
  }

  /** Calls return again. */
  release() {
    return this.#tell("release", "released");
  }

  /** The number of calls so far. */
  async calls() {
    return Number((await this.#tell("count", "count ")).slice(6));
  }

  /** The server of the file system dies: every call fails with ENOTCONN. */
  async die() {
    const ended = once(this.#server, "close");
    this.#server.kill("SIGKILL");
    await ended;
  }

  /** Mounts it again, as an administrator does after the server has died. */
  async mountAgain(options) {
    spawnSync("umount", ["--lazy", this.dir], { stdio: "ignore" });
    this.#mount(options);
    await this.#heard("mounted");
  }

  unmount() {
    this.#undo();
  }
}
