/** The real file system with one failing call: the Nth, synchronous and asynchronous calls counted together. */
import {
  type AsyncFileCalls,
  type FileCalls,
  type FileSystem,
  nodeFileSystem,
} from "../../src/platform/file-system.js";

export const faultCodes = ["ENOSPC", "EIO", "EMFILE", "EACCES"] as const;

/** The fault. */
export interface Fault {
  /** The first call is 1. With `isShort`, only writes are counted. */
  readonly nth: number;
  /** `forever`: this call and all later ones. */
  readonly times: "once" | "forever";
  readonly code: (typeof faultCodes)[number];
  /** The write writes half of its bytes, and the next write fails, as on a disk that fills up. */
  readonly isShort?: boolean;
}

/** Calls that do not throw: they answer that nothing is there. */
const looks: ReadonlySet<keyof FileCalls> = new Set(["exists", "existsQuickly", "isDirectory"]);

export class FaultyFileSystem implements FileSystem {
  /** Calls so far, or writes if the fault is a short write. */
  calls = 0;
  /** The number of calls that failed or were cut short. */
  fired = 0;
  /** The name of the first of these calls. */
  firedAt: keyof FileCalls | undefined;
  /** Runs after each call, failed ones included. */
  afterCall: () => void = () => {};
  /** Descriptors that are open. */
  readonly descriptors = new Set<number>();
  readonly sync: FileCalls;
  readonly async: AsyncFileCalls;
  #fault: Fault | undefined;
  #broken: { readonly name: keyof FileCalls; readonly code: Fault["code"] } | undefined;
  #isShortened = false;
  #isDead = false;
  /** Asynchronous calls under way. */
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(fault?: Fault) {
    this.#fault = fault;
    const names = Object.keys(nodeFileSystem.sync) as (keyof FileCalls)[];
    this.sync = Object.fromEntries(names.map((name) => [name, this.#now(name)])) as unknown as FileCalls;
    this.async = Object.fromEntries(
      names.map((name) => [name, this.#later(name)]),
    ) as unknown as AsyncFileCalls;
  }

  /** Makes every later call of this name fail. */
  fail(name: keyof FileCalls, code: Fault["code"]): void {
    this.#broken = { name, code };
  }

  /** Counts calls from here on, and makes the call of the fault fail. */
  begin(fault: Fault): void {
    this.#fault = fault;
    this.#isShortened = false;
    this.calls = 0;
    this.fired = 0;
    this.firedAt = undefined;
  }

  /** Removes the fault. */
  clear(): void {
    this.#fault = undefined;
    this.#broken = undefined;
  }

  /**
   * Every later call fails, and the calls under way have ended: as the kernel leaves a process that was killed. A call that
   * went on beside the next process would write to a file of that process under the same number.
   */
  async die(): Promise<void> {
    this.begin({ nth: 1, times: "forever", code: "EIO" });
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
    this.closeAll();
  }

  /** Closes what a writer that the test reports as dead had open, as its death would. */
  closeAll(): void {
    this.#isDead = true;
    for (const fd of this.descriptors) nodeFileSystem.sync.close(fd);
    this.descriptors.clear();
  }

  #now(name: keyof FileCalls) {
    return (...args: unknown[]): unknown => {
      const call = nodeFileSystem.sync[name] as (...args: unknown[]) => unknown;
      try {
        const verdict = this.#decide(name, args);
        if (verdict.type === "answer") return verdict.value;
        this.#forgetClosed(name, args);
        const result = call(...verdict.args);
        if (name === "open") this.descriptors.add(result as number);
        if (verdict.type === "fail late") throw verdict.error;
        return result;
      } finally {
        this.afterCall();
      }
    };
  }

  #later(name: keyof FileCalls) {
    return async (...args: unknown[]): Promise<unknown> => {
      const call = nodeFileSystem.async[name] as (...args: unknown[]) => Promise<unknown>;
      try {
        const verdict = this.#decide(name, args);
        if (verdict.type === "answer") return verdict.value;
        this.#forgetClosed(name, args);
        const work = call(...verdict.args);
        this.#underWay.add(work);
        const result = await work.finally(() => this.#underWay.delete(work));
        if (name === "open") this.descriptors.add(result as number);
        if (verdict.type === "fail late") throw verdict.error;
        return result;
      } finally {
        this.afterCall();
      }
    };
  }

  #decide(name: keyof FileCalls, args: unknown[]) {
    const fault = this.#fault;
    // A dead process closes nothing: by now the number may be a file of a live one.
    if (this.#isDead && name === "close") throw errnoOf("EBADF", name);
    if (this.#broken?.name === name) throw errnoOf(this.#broken.code, name);
    if (fault === undefined) return { type: "call", args } as const;
    if (fault.isShort && name !== "write") return { type: "call", args } as const;
    this.calls++;
    const isDue = fault.times === "once" ? this.calls === fault.nth : this.calls >= fault.nth;
    if (fault.isShort) {
      if (isDue && !this.#isShortened) {
        this.#isShortened = true;
        this.#fire(name);
        const [fd, bytes, offset, length] = args as [number, Uint8Array, number, number];
        return { type: "call", args: [fd, bytes, offset, Math.ceil(length / 2)] } as const;
      }
      const isNext = fault.times === "once" ? this.calls === fault.nth + 1 : isDue;
      if (isNext) throw errnoOf(fault.code, name);
      return { type: "call", args } as const;
    }
    if (!isDue) return { type: "call", args } as const;
    this.#fire(name);
    // These calls ignore every error. close(2) closes even where it fails.
    if (looks.has(name)) return { type: "answer", value: false } as const;
    if (name === "close") return { type: "fail late", args, error: errnoOf(fault.code, name) } as const;
    throw errnoOf(fault.code, name);
  }

  #fire(name: keyof FileCalls): void {
    this.fired++;
    this.firedAt ??= name;
  }

  /** Runs before the call: once it is closed, the number may be reused. */
  #forgetClosed(name: keyof FileCalls, args: unknown[]): void {
    if (name === "close") this.descriptors.delete(args[0] as number);
  }
}

const errnoOf = (code: string, name: string): Error =>
  Object.assign(new Error(`${code}: injected, ${name}`), { code });
