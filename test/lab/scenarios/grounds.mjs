/**
 * Whole lives, kills and recoveries on file systems and in sandboxes that differ from ext4 and one root: overlayfs, a disk
 * that folds names, FAT, a hidden /proc, the /proc of the host, a read-only root; and directories that come late, go, become
 * links and move. A ground that this machine does not have is named in the notes.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { lacksMount, memoryDisk } from "../disks.mjs";
import { everyLife, Life, leftAlone, problemsIn } from "../ground-lives.mjs";
import { undoLater } from "../interruption.mjs";

const tries = (command, ...args) => spawnSync(command, args, { stdio: "ignore" }).status === 0;

const inShell = (script) => ["unshare", "--mount", "sh", "-c", `${script} && exec "$@"`, "sh"];

/** An image with a file system, mounted. Returns the reason if that is not possible here. */
function imageDisk(scratch, command, args, options = "loop") {
  const image = join(scratch.dir, `${command}-${Math.random().toString(36).slice(2)}.img`);
  writeFileSync(image, "");
  truncateSync(image, 64 * 1024 * 1024);
  if (!tries(command, ...args, image)) return { reason: `${command} ${args.join(" ")} does not work here` };
  const dir = scratch.newDirectory();
  if (!tries("mount", "-o", options, image, dir))
    return { reason: `an image of ${command} does not mount here` };
  undoLater(scratch, () => void tries("umount", "--lazy", dir));
  return { dir };
}

/** Each returns its problems, or the reason why this machine does not have it. */
const grounds = {
  async overlayfs({ build, scratch }) {
    const disk = memoryDisk(scratch, "size=32m");
    for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(join(disk, name));
    mkdirSync(join(disk, "lower/traces"));
    // A document of a lower layer is copied up when it is replaced: its inode number changes.
    const before = await new Life({ build }, join(disk, "lower/traces"), "whole").ended();
    const layers = ["lower", "upper", "work"].map((name) => `${name}dir=${join(disk, name)}`).join(",");
    const merged = join(disk, "merged");
    if (!tries("mount", "-t", "overlay", "-o", layers, "overlay", merged))
      return "an overlay does not mount here";
    undoLater(scratch, () => void tries("umount", "--lazy", merged));
    const dir = join(merged, "traces");
    const { spans } = await new Life({ build }, dir, "whole").ended();
    const problems = problemsIn(dir, "s", before.spans + spans);
    const fresh = join(merged, "fresh");
    return [...problems, ...(await everyLife({ build }, fresh)), ...(await leftAlone({ build }, fresh))];
  },
  async "ext4 that folds names"({ build, scratch }) {
    const { dir, reason } = imageDisk(scratch, "mkfs.ext4", ["-q", "-F", "-O", "casefold"]);
    if (reason) return reason;
    mkdirSync(join(dir, "traces"));
    if (!tries("chattr", "+F", join(dir, "traces"))) return "directories do not fold names here";
    return everyLife({ build }, join(dir, "traces"));
  },
  async FAT({ build, scratch }) {
    const { dir, reason } = imageDisk(scratch, "mkfs.vfat", []);
    return reason ?? (await everyLife({ build }, join(dir, "traces")));
  },
  async exFAT({ build, scratch }) {
    const { dir, reason } = imageDisk(scratch, "mkfs.exfat", []);
    return reason ?? (await everyLife({ build }, join(dir, "traces")));
  },
  async "a /proc that hides processes (hidepid=2)"({ build, scratch }) {
    const dir = join(scratch.newDirectory(), "traces");
    mkdirSync(dir);
    chmodSync(dir, 0o777);
    // Another user reads the build, and writes the directory.
    for (const from of [dir, build])
      for (let above = dirname(from), i = 0; i < 3; above = dirname(above), i++) chmodSync(above, 0o755);
    const script = "mount -t proc -o hidepid=2 proc /proc";
    const user = ["setpriv", "--reuid=65534", "--clear-groups"];
    if (!tries(...inShell(script), ...user, "true")) return "/proc does not hide processes here";
    const ground = { build, wrap: [...inShell(script), ...user] };
    return [...(await everyLife(ground, dir)), ...(await leftAlone(ground, dir))];
  },
  async "sandboxes with the /proc of the host"({ build, scratch }) {
    const dir = join(scratch.newDirectory(), "traces");
    const wrap = ["unshare", "--pid", "--fork", "--kill-child"];
    if (!tries(...wrap, "true")) return "process namespaces are not allowed here";
    // In sandboxes of their own, neither can tell whether the other lives: the lease keeps its files.
    return leftAlone({ build, wrap }, dir);
  },
  async "a read-only root"({ build, scratch }) {
    const root = scratch.newDirectory();
    const dir = join(root, "traces");
    mkdirSync(dir);
    const script = `mount --bind ${dir} ${dir} && mount -o remount,ro,bind /`;
    if (!tries(...inShell(script), "true")) return "the root cannot be read-only here";
    return everyLife({ build, wrap: inShell(script) }, dir);
  },
  async "a directory that comes late"({ build, scratch }) {
    const root = scratch.newDirectory();
    const dir = join(root, "volume/traces");
    // A file is in its way until the volume is there.
    writeFileSync(join(root, "volume"), "");
    const life = new Life({ build }, dir, "stay", "stays");
    const { flushed } = await life.begun();
    rmSync(join(root, "volume"));
    mkdirSync(join(root, "volume"));
    const { spans, shut, dropped } = await life.ended();
    const problems = problemsIn(dir, "stays", spans);
    if (!flushed.startsWith("rejected")) problems.push(`a flush without a directory ${flushed}`);
    if (shut !== "resolved" || dropped > 0) problems.push(`shutdown() ${shut}, ${dropped} spans dropped`);
    return problems;
  },
  async "a directory that disappears"({ build, scratch }) {
    const dir = join(scratch.newDirectory(), "traces");
    const life = new Life({ build }, dir, "stay", "stays");
    await life.begun();
    rmSync(dir, { recursive: true });
    const { spans, shut } = await life.ended();
    return [...problemsIn(dir, "stays", spans), ...(shut === "resolved" ? [] : [`shutdown() ${shut}`])];
  },
  async "a directory that becomes a link to where it moved"({ build, scratch }) {
    const root = scratch.newDirectory();
    const dir = join(root, "traces");
    const life = new Life({ build }, dir, "stay", "stays");
    await life.begun();
    renameSync(dir, join(root, "moved"));
    symlinkSync(join(root, "moved"), dir);
    const { spans, shut } = await life.ended();
    const problems = problemsIn(join(root, "moved"), "stays", spans);
    return shut === "resolved" ? problems : [...problems, `shutdown() ${shut}`];
  },
  async "a directory that becomes a link to an empty one"({ build, scratch }) {
    const root = scratch.newDirectory();
    const dir = join(root, "traces");
    const life = new Life({ build }, dir, "stay", "stays");
    await life.begun();
    renameSync(dir, join(root, "moved"));
    mkdirSync(join(root, "empty"));
    symlinkSync(join(root, "empty"), dir);
    const { spans, shut } = await life.ended();
    const problems = problemsIn(join(root, "empty"), "stays", spans);
    return shut === "resolved" ? problems : [...problems, `shutdown() ${shut}`];
  },
  async "a directory over which another disk is mounted"({ build, scratch }) {
    const dir = join(scratch.newDirectory(), "traces");
    const life = new Life({ build }, dir, "stay", "stays");
    await life.begun();
    if (!tries("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", dir)) return "mounting is not allowed here";
    undoLater(scratch, () => void tries("umount", "--lazy", dir));
    const { spans, shut } = await life.ended();
    const problems = problemsIn(dir, "stays", spans);
    return shut === "resolved" ? problems : [...problems, `shutdown() ${shut}`];
  },
};

export default {
  name: "grounds",
  title: "overlayfs, folded names, FAT, sandboxes, a read-only root; directories that come late, go and move",
  promise: "P2 P6 P12",
  needs: lacksMount,
  async run({ build, broken, scratch, report }) {
    const failures = [];
    const [tried, absent] = [[], []];
    for (const name of broken?.grounds ?? Object.keys(grounds)) {
      report(name);
      let problems;
      try {
        problems = await grounds[name]({ build, scratch });
      } catch (error) {
        problems = [String(error.message)];
      }
      if (typeof problems === "string") {
        absent.push(`${name} (${problems})`);
        continue;
      }
      tried.push(name);
      failures.push(...problems.map((problem) => `${name}: ${problem}`));
    }
    const notes = [`tried: ${tried.join("; ")}`];
    if (absent.length > 0) notes.push(`skipped: ${absent.join("; ")}`);
    return { trials: tried.length, failures, notes };
  },
  brokenWriters: [
    {
      name: "no look after an append whether the file is gone",
      grounds: ["a directory that disappears"],
      patch: [
        { file: "storage/append-log.js", from: "isRemoved() {", to: "isRemoved() {\n        return false;" },
        {
          file: "storage/append-log.js",
          from: "checkRemoved() {",
          to: "checkRemoved() {\n        return false;",
        },
      ],
      catches: /a directory that disappears/,
    },
  ],
};
