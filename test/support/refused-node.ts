/**
 * Node's own file functions with refusals, for the paths of one directory and for descriptors: below the port, so that
 * commands, readers and the altimate API meet them, too.
 */
import fs from "node:fs";
import { basename } from "node:path";
import type { Refusals } from "./refusing-file-system.js";

type AnyFunction = (...args: unknown[]) => unknown;

/** Calls of the port by the function of Node that they use. */
const portCalls: Readonly<Record<string, string>> = {
  fdatasync: "fdatasync",
  fsync: "syncDirectory",
  link: "link",
  rename: "rename",
  fchown: "adopt",
  fchmod: "adopt",
  lutimes: "touch",
};

/** Functions of the port. Those that answer `false` refuse nothing. */
const names = [
  "open",
  "close",
  "read",
  "write",
  "fdatasync",
  "fsync",
  "fstat",
  "lstat",
  "rename",
  "link",
  "unlink",
  "mkdir",
  "rmdir",
  "readdir",
  "lutimes",
  "fchown",
  "fchmod",
];

/** Refuses from the construction to {@link restore}. */
export class RefusedNode {
  readonly #dir: string;
  readonly #refusals: Refusals;
  readonly #undo: (() => void)[] = [];
  readonly #mostCalls: number;
  #held: number;
  #looks = 0n;
  #calls = 0;

  /** `mostCalls`: a later call throws. An operation that loops has no end of them. */
  constructor(dir: string, refusals: Refusals, mostCalls = 20_000) {
    this.#dir = dir;
    this.#refusals = refusals;
    this.#mostCalls = mostCalls;
    this.#held = refusals.heldRenames ?? 0;
    for (const name of names) {
      this.#replace(fs, `${name}Sync`, (call) => (...args) => {
        this.#refuse(name, args);
        return this.#answer(name, call(...args));
      });
      this.#replace(fs, name, (call) => (...args) => {
        const done = args.at(-1) as AnyFunction;
        try {
          this.#refuse(name, args);
        } catch (error) {
          return process.nextTick(done, error);
        }
        return call(...args.slice(0, -1), (error: unknown, result: unknown, ...rest: unknown[]) =>
          done(error, error ? result : this.#answer(name, result), ...rest),
        );
      });
      this.#replace(fs.promises, name, (call) => async (...args) => {
        this.#refuse(name, args);
        return this.#answer(name, await call(...args));
      });
    }
  }

  /** Calls so far. */
  get calls(): number {
    return this.#calls;
  }

  restore(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }

  #replace(module: object, name: string, by: (call: AnyFunction) => AnyFunction): void {
    const functions = module as Record<string, AnyFunction>;
    const call = functions[name];
    if (typeof call !== "function") return;
    functions[name] = by(call.bind(module));
    this.#undo.push(() => {
      functions[name] = call;
    });
  }

  #refuse(name: string, args: readonly unknown[]): void {
    const paths = args.filter((arg): arg is string => typeof arg === "string" && arg.startsWith(this.#dir));
    if (paths.length === 0 && typeof args[0] === "string") return;
    if (++this.#calls > this.#mostCalls)
      throw new Error(`${this.#mostCalls} calls: the operation makes no progress`);
    const { calls = {}, maxNameBytes = 255 } = this.#refusals;
    const longest = Math.max(0, ...paths.map((path) => Buffer.byteLength(basename(path))));
    if (longest > maxNameBytes) throw refusal("ENAMETOOLONG", name);
    const code = calls[portCalls[name] as keyof typeof calls];
    if (code !== undefined) throw refusal(code, name);
    if (name === "rename" && String(args[1]).endsWith(".json") && this.#held > 0) {
      this.#held--;
      throw refusal("EPERM", name);
    }
  }

  #answer(name: string, result: unknown): unknown {
    const { inodes } = this.#refusals;
    if (!inodes || (name !== "lstat" && name !== "fstat")) return result;
    const stat = result as { ino: bigint | number } | undefined;
    if (typeof stat?.ino !== "bigint") return result;
    if (inodes === "all zero") stat.ino = 0n;
    else if (inodes === "differ by call" && name === "fstat") stat.ino += 1_000_000n;
    else if (inodes === "new at each look" && name === "lstat") stat.ino = 10_000_000n + ++this.#looks;
    return stat;
  }
}

const refusal = (code: string, syscall: string): Error =>
  Object.assign(new Error(`${code}: refused, ${syscall}`), { code, syscall });
