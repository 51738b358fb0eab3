/**
 * The real file system below a mount whose server dies, that is unmounted, and mounted again: calls on the dead mount and on
 * descriptors of it fail with ENOTCONN, and while nothing is mounted, names lead into the directory below the mount point.
 */
import {
  type AsyncFileCalls,
  type FileCalls,
  type FileSystem,
  nodeFileSystem,
} from "../../src/platform/file-system.js";

type Mount = "mounted" | "dead" | "unmounted";

/** Calls that answer instead of throwing. */
const looks: ReadonlySet<keyof FileCalls> = new Set(["exists", "existsQuickly", "isDirectory"]);

export class RemountedFileSystem implements FileSystem {
  readonly sync: FileCalls;
  readonly async: AsyncFileCalls;
  #state: Mount = "mounted";
  /** Calls until the mount is back. */
  #callsLeft = 0;
  /** Descriptors whose mount has died. */
  readonly #dead = new Set<number>();
  /** Open descriptors of files in the mount. */
  readonly #open = new Set<number>();
  readonly #point: string;
  readonly #below: string;

  /** `point`: the directory that names the mount. `below`: what these names lead to while nothing is mounted. */
  constructor(point: string, below: string) {
    this.#point = point;
    this.#below = below;
    const names = Object.keys(nodeFileSystem.sync) as (keyof FileCalls)[];
    const now = (name: keyof FileCalls) => [name, (...args: unknown[]) => this.#run(name, args)] as const;
    const later = (name: keyof FileCalls) =>
      [name, async (...args: unknown[]) => this.#run(name, args)] as const;
    this.sync = Object.fromEntries(names.map(now)) as unknown as FileCalls;
    this.async = Object.fromEntries(names.map(later)) as unknown as AsyncFileCalls;
  }

  get isMounted(): boolean {
    return this.#state === "mounted";
  }

  /** The server of the mount dies. */
  die(): void {
    this.#state = "dead";
    for (const fd of this.#open) this.#dead.add(fd);
    this.#open.clear();
  }

  /** An administrator unmounts it, and mounts it again after so many further calls. */
  remountAfter(calls: number): void {
    this.#state = calls === 0 ? "mounted" : "unmounted";
    this.#callsLeft = calls;
  }

  #run(name: keyof FileCalls, args: unknown[]): unknown {
    if (this.#state === "unmounted" && this.#callsLeft-- === 0) this.#state = "mounted";
    const [first] = args;
    const isDead = typeof first === "number" ? this.#dead.has(first) : this.#state === "dead";
    if (isDead && name === "close") this.#dead.delete(first as number);
    else if (isDead && looks.has(name)) return false;
    else if (isDead)
      throw Object.assign(new Error("ENOTCONN: socket is not connected"), { code: "ENOTCONN" });
    const call = nodeFileSystem.sync[name] as (...args: unknown[]) => unknown;
    const result = call(...args.map((arg) => this.#translated(arg)));
    if (name === "open" && this.#state === "mounted") this.#open.add(result as number);
    if (name === "close") this.#open.delete(first as number);
    return result;
  }

  #translated(arg: unknown): unknown {
    if (this.#state !== "unmounted" || typeof arg !== "string") return arg;
    return arg.startsWith(this.#point) ? this.#below + arg.slice(this.#point.length) : arg;
  }
}
