/**
 * A child process whose file-system calls on a directory of traces are controlled by strace, without the start of
 * the runtime and its pipes.
 *
 * The child loads its modules, prints its process number, its threads that make asynchronous calls, and the owner
 * tokens of its writers, and waits. From the tokens the parent derives the name of every possible file (strace -P),
 * attaches, and releases the child. strace counts calls by thread, so that a call is hit exactly where only one
 * thread is traced.
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { dieWithLab } from "./interruption.mjs";
import { runtimes } from "./tools.mjs";

/**
 * Calls that change a directory or its files, or may do so. Some of them are made by no runtime. Then none is hit.
 */
export const changingCalls = [
  "openat",
  "write",
  "pwrite64",
  "copy_file_range",
  "sendfile",
  "ioctl",
  "fdatasync",
  "fsync",
  "rename",
  "renameat",
  "renameat2",
  "link",
  "linkat",
  "mkdir",
  "mkdirat",
  "unlink",
  "unlinkat",
  "rmdir",
  "truncate",
  "ftruncate",
  "fallocate",
  "utime",
  "utimensat",
  "close",
];

/** Calls that only read. */
export const lookingCalls = [
  "read",
  "pread64",
  "getdents64",
  "fstat",
  "lstat",
  "stat",
  "newfstatat",
  "statx",
  "access",
  "faccessat",
  "faccessat2",
];

/** The most files that one owner builds in a life. */
const mostTemps = 16;

/** Every path under `dir` that writers with these tokens can touch. */
function pathsOf(dir, sessions, tokens) {
  const paths = new Set([dir]);
  const add = (name) => paths.add(join(dir, name));
  for (const name of existsSync(dir) ? readdirSync(dir, { recursive: true }) : []) add(name);
  for (const session of sessions) {
    add(`${session}.json`);
    add(`${session}.json.lock`);
    for (const token of tokens.flatMap((token) => [token, `${token}-recovery`])) {
      for (const end of ["open", "live"]) add(`${session}.json.${token}.${end}`);
      add(`${session}.json.lock/${token}`);
      for (let n = 1; n <= mostTemps; n++) add(`${session}.json.tmp.${token}.${n}`);
    }
  }
  return [...paths];
}

export class TracedProcess {
  /** Its output, one word a line. */
  words = [];
  stderr = "";
  #child;
  #hear;
  #waiting = new Map();
  #strace;
  #closed;

  /** @param plan the plan of the program, with `dir` and `build` */
  constructor(runtime, program, plan, { hear = () => {}, wrapper = [] } = {}) {
    this.plan = plan;
    this.#hear = hear;
    const path = fileURLToPath(new URL(`programs/${program}`, import.meta.url));
    const command = [...wrapper, runtimes[runtime].path, path, JSON.stringify(plan)];
    this.#child = dieWithLab(
      spawn(command[0], command.slice(1), {
        // The last token is never used.
        stdio: ["pipe", "pipe", "pipe", "pipe"],
        // One thread for asynchronous calls, so that their order is defined. Bun has at least two (`child.mjs`).
        env: { ...process.env, UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0" },
      }),
    );
    this.#child.stdin.on("error", () => {});
    this.#closed = this.#listen();
  }

  get pid() {
    return this.#child.pid;
  }

  /** Resolves with a word of the child, past or future; with `undefined` when the child ends without it. */
  async heard(verb) {
    const word = this.words.find(([first]) => first === verb);
    if (word) return word;
    return Promise.race([
      new Promise((resolve) => this.#waiting.set(verb, resolve)),
      this.#closed.then(() => this.words.find(([first]) => first === verb)),
    ]);
  }

  /** Sends a line, which releases the child. */
  send(text) {
    this.#child.stdin.write(`${text}\n`);
  }

  kill() {
    this.#child.kill("SIGKILL");
  }

  /**
   * Attaches strace and resolves when it traces. `threads` is `main`, `pool` (asynchronous calls) or `all`;
   * `options` are strace's `-e` options.
   */
  async attach(threads, options, log = "/dev/null") {
    const ready = await this.heard("ready");
    if (!ready) {
      const { code, signal } = await this.#closed;
      throw new Error(`it ended with ${signal ?? code} before it was ready: ${this.stderr}`);
    }
    const [, { pool, tokens }] = ready;
    const { pid } = this;
    const targets = { main: ["-p", pid], pool: pool.flatMap((tid) => ["-p", tid]), all: ["-f", "-p", pid] };
    const { dir, sessions } = this.plan;
    const paths = pathsOf(dir, sessions, tokens).flatMap((path) => ["-P", path]);
    const expressions = options.flatMap((option) => ["-e", option]);
    const args = [
      "-y",
      "-s",
      "8",
      "-o",
      log,
      ...targets[threads].map(String),
      ...expressions,
      "-e",
      "signal=none",
      ...paths,
    ];
    const strace = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
    this.#strace = strace;
    let output = "";
    const count = threads === "pool" ? pool.length : 1;
    await new Promise((resolve, reject) => {
      strace.stderr.setEncoding("utf8").on("data", (text) => {
        output += text;
        if (output.split(" attached").length > count) resolve();
      });
      strace.on("error", reject);
      strace.on("close", () => reject(new Error(`strace ended: ${output}`)));
    });
  }

  /**
   * The calls in a log that `attach` wrote for `all` threads: how often each was made by the main thread, and by
   * the threads of asynchronous calls together.
   */
  callsIn(log) {
    const counts = new Map();
    // A call that another thread interrupted has two lines. The second starts differently.
    for (const [, tid, call] of readFileSync(log, "utf8").matchAll(/^(\d+) +([a-z0-9_]+)\(/gm)) {
      const threads = Number(tid) === this.pid ? "main" : "pool";
      const key = `${threads} ${call}`;
      counts.set(key, { threads, call, count: (counts.get(key)?.count ?? 0) + 1 });
    }
    return [...counts.values()];
  }

  /** Detaches strace. The child continues by itself. */
  async detach() {
    const strace = this.#strace;
    this.#strace = undefined;
    if (!strace || strace.exitCode !== null || strace.signalCode !== null) return;
    const closed = new Promise((resolve) => strace.on("close", resolve));
    strace.kill("SIGTERM");
    await closed;
  }

  /** Resolves when the child is dead, all its lines were read, and strace has written its log. */
  async ended() {
    const end = await this.#closed;
    const strace = this.#strace;
    if (strace && strace.exitCode === null && strace.signalCode === null) {
      await new Promise((resolve) => strace.on("close", resolve));
    }
    return end;
  }

  #listen() {
    const child = this.#child;
    const hung = setTimeout(() => {
      this.stderr += "hung for two minutes, and was killed";
      child.kill("SIGKILL");
    }, 120_000);
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        const word = JSON.parse(line);
        this.words.push(word);
        this.#hear(word);
        this.#waiting.get(word[0])?.(word);
      }
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      this.stderr += text;
    });
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => {
        clearTimeout(hung);
        resolve({ code, signal });
      });
    });
  }
}
