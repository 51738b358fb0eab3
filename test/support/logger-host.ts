/** A program whose threads or child processes log sessions, on a chosen runtime, controlled by its parent. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { TraceFile } from "../../src/format/trace-file.js";

const program = fileURLToPath(new URL("../programs/logger-host.mjs", import.meta.url));
const bun = fileURLToPath(new URL("../matrix/node_modules/@oven/bun-linux-x64/bin/bun", import.meta.url));

/**
 * This runtime, and on Node also Bun, unless a run of the matrix comes to Bun itself. A runtime that is not installed has
 * no path, and its name contains the fact.
 */
export const runtimes: { readonly name: string; readonly path: string | undefined }[] =
  process.versions.bun || process.env.THIS_RUNTIME_ONLY
    ? [{ name: process.versions.bun ? "Bun" : "Node", path: process.execPath }]
    : [{ name: "Node", path: process.execPath }, installedBun()];

function installedBun() {
  const path = [process.env.BUN, bun].find((one) => one && existsSync(one));
  return { name: path ? "Bun" : "Bun, which is not installed,", path };
}

export interface LoggerScenario {
  readonly as: "thread" | "process";
  readonly sessionId: string;
  /** The number of calls by each logger. */
  readonly calls: number;
  readonly loggers: readonly { readonly name: string; readonly end: string }[];
  /** The loggers end one after the other, not at once. */
  readonly inTurn?: boolean;
  /** Everything is logged in one turn of an event loop without other work. */
  readonly isQuiet?: boolean;
  /** The logger exits by itself, in the same turn. Otherwise the parent terminates it. */
  readonly exits?: boolean;
}

export class LoggerHost {
  readonly dir = mkdtempSync(join(tmpdir(), "logger-host-"));
  errors = "";
  readonly #child: ChildProcess;
  readonly #gone: Promise<unknown>;
  #onSettled = () => {};

  constructor(runtime: string) {
    this.#child = spawn(runtime, [program, this.dir], { stdio: ["pipe", "pipe", "pipe"] });
    this.#gone = once(this.#child, "close");
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on("line", () =>
      this.#onSettled(),
    );
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
    });
  }

  path(sessionId: string): string {
    return join(this.dir, `${sessionId}.json`);
  }

  /** Resolves with the session's document when all loggers have ended, and none of their files is left. */
  async run(scenario: LoggerScenario): Promise<TraceFile> {
    const settled = new Promise<void>((resolve) => {
      this.#onSettled = resolve;
    });
    this.#child.stdin?.write(`${JSON.stringify(scenario)}\n`);
    await Promise.race([settled, this.#gone]);
    if (this.errors) throw new Error(this.errors);
    return JSON.parse(readFileSync(this.path(scenario.sessionId), "utf8"));
  }

  get files(): string[] {
    return readdirSync(this.dir).sort();
  }

  async end(): Promise<void> {
    this.#child.stdin?.end();
    await this.#gone;
    rmSync(this.dir, { recursive: true, force: true });
  }
}
