/**
 * Lives of `programs/ground-life.mjs` on a ground `{ build, wrap }`, and what a directory must hold after them. `wrap` is a
 * program with arguments that starts another program, such as a sandbox.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { problemOf } from "./reader.mjs";

const lifeProgram = fileURLToPath(new URL("programs/ground-life.mjs", import.meta.url));
const hungMillis = 60_000;

/** A life, in a sandbox where there is one. */
export class Life {
  lines = [];
  #child;
  #end;
  #stderr = "";

  constructor({ build, wrap = [], program = lifeProgram }, dir, how, ...rest) {
    const [command, ...args] = [...wrap, process.execPath, program, build, dir, how, ...rest];
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    const hung = setTimeout(() => this.#child.kill("SIGKILL"), hungMillis);
    this.#child.stderr.setEncoding("utf8").on("data", (text) => {
      this.#stderr += text;
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      this.lines.push(JSON.parse(line));
      this.onLine?.();
    });
    this.#end = once(this.#child, "close").finally(() => clearTimeout(hung));
  }

  /** Resolves with its next line. */
  async next() {
    const count = this.lines.length;
    const line = new Promise((resolve) => {
      this.onLine = resolve;
    });
    if (this.#child.stdin.writable) this.#child.stdin.write("\n");
    await Promise.race([line, this.#end]);
    if (this.lines.length === count) throw new Error(`a life ended without a word: ${this.#stderr}`);
    return this.lines.at(-1);
  }

  /** Resolves with its first line. */
  async begun() {
    if (this.lines.length > 0) return this.lines[0];
    const line = new Promise((resolve) => {
      this.onLine = resolve;
    });
    await Promise.race([line, this.#end]);
    if (this.lines.length === 0) throw new Error(`a life ended without a word: ${this.#stderr}`);
    return this.lines[0];
  }

  /** Ends its input, and resolves with its last line. */
  async ended() {
    this.#child.stdin.on("error", () => {}).end();
    await this.#end;
    const last = this.lines.at(-1);
    if (!last) throw new Error(`a life ended without a word: ${this.#stderr}`);
    return last;
  }
}

/** What a directory lacks of a session, or has too much of. */
export function problemsIn(dir, session, spans, { isOpen = false, status } = {}) {
  const problems = [];
  for (const name of readdirSync(dir)) {
    if (name === "lost+found") continue;
    if (!name.endsWith(".json")) problems.push(`${name} is left over`);
  }
  const path = join(dir, `${session}.json`);
  if (!existsSync(path)) return [...problems, `there is no document of ${session}`];
  const text = readFileSync(path, "utf8");
  const problem = problemOf(text);
  if (problem) return [...problems, `the document ${problem}`];
  const document = JSON.parse(text);
  const ended = document.spans.filter(({ name, interrupted }) => name.startsWith("span ") && !interrupted);
  if (ended.length !== spans) problems.push(`${ended.length} of ${spans} spans are in the document`);
  if (status && document.summary.status !== status)
    problems.push(`the document is ${document.summary.status}`);
  if (isOpen && !document.spans.some(({ name, interrupted }) => name === "open" && interrupted))
    problems.push("the open span is lost");
  return problems;
}

/** A whole life, a killed one, and a recovery. */
export async function everyLife(ground, dir) {
  const problems = [];
  const whole = await new Life(ground, dir, "whole").ended();
  if (whole.flushed !== "resolved" || whole.shut !== "resolved" || whole.dropped > 0)
    problems.push(`a whole life: ${JSON.stringify(whole)}`);
  problems.push(...problemsIn(dir, "s", whole.spans));
  const died = await new Life(ground, dir, "die", "died").ended();
  const report = await new Life(ground, dir, "recover").ended();
  if (report.failures.length > 0 || report.running > 0 || report.recovered !== 1)
    problems.push(`the recovery of a killed life: ${JSON.stringify(report)}`);
  problems.push(...problemsIn(dir, "died", died.spans, { isOpen: true }));
  return problems;
}

/** A living writer is left alone by a recovery, and ends with all of its spans. */
export async function leftAlone(ground, dir, other = ground) {
  const problems = [];
  const life = new Life(ground, dir, "stay", "stays");
  await life.begun();
  const report = await new Life(other, dir, "recover").ended();
  if (report.recovered > 0 || report.running !== 1)
    problems.push(`a recovery beside a living writer: ${JSON.stringify(report)}`);
  const { spans, shut } = await life.ended();
  if (shut !== "resolved") problems.push(`shutdown() ${shut}`);
  return [...problems, ...problemsIn(dir, "stays", spans)];
}

const usesProgram = fileURLToPath(new URL("programs/ground-uses.mjs", import.meta.url));

/** What a user does with sessions in a directory: `{ done, problems, seen }`. */
export const usesOf = (ground, dir) => new Life({ ...ground, program: usesProgram }, dir, "").ended();
