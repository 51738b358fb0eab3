/** One trial of the kill matrix: a child writes, the parent reads, kills, recovers and compares. */
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TraceFile } from "../../src/format/trace-file.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import type { AcknowledgedSessions, Word } from "./acknowledged-sessions.mjs";
import { PublishedLooks } from "./published-looks.js";

const program = fileURLToPath(new URL("../programs/kill-writer.mjs", import.meta.url));
const hungMillis = 60_000;

/** What the child does, and when it dies. */
export interface KillPlan {
  readonly step: string;
  readonly seed: number;
  /** Stops before this file-system call after the step has begun, and is killed there. 0: never. */
  readonly freezeAt: number;
  /** Otherwise it is killed this long after the step has begun. */
  readonly delayMillis: number;
  /** Killed after this many reads of documents, and not by time. */
  readonly afterLooks?: number;
  readonly maxSpans?: number;
  readonly broken?: "records later" | "writes in place";
}

/** The result of a trial. */
export interface KillResult {
  readonly problems: readonly string[];
  readonly looks: number;
}

/** Runs the child in `dir` until it is dead. Its lines go to `acknowledged`. */
export async function writeAndKill(
  dir: string,
  plan: KillPlan,
  acknowledged: AcknowledgedSessions,
): Promise<KillResult> {
  const child = spawn(process.execPath, [program, JSON.stringify({ ...plan, dir })], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const looks = new PublishedLooks(dir);
  const problems: string[] = [];
  const closed = listen(child, plan, (word) => acknowledged.take(word));
  let isOver = false;
  void closed.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    looks.look();
    if (plan.afterLooks !== undefined && looks.count >= plan.afterLooks) child.kill("SIGKILL");
    // The pipe is read between the reads of documents, and the child needs the processor too.
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const { stderr, wasKilled } = await closed;
  if (!wasKilled) problems.push(`the writer ended by itself: ${stderr}`);
  looks.look();
  acknowledged.died();
  return { problems: [...problems, ...looks.problems], looks: looks.count };
}

/** Kills at the planned moment. Resolves when the child is dead and all its lines were read. */
function listen(
  child: ChildProcess,
  plan: KillPlan,
  hear: (word: Word) => void,
): Promise<{ stderr: string; wasKilled: boolean }> {
  return new Promise((resolve, reject) => {
    let rest = "";
    let stderr = "";
    const kill = () => child.kill("SIGKILL");
    const isTimed = plan.freezeAt === 0 && plan.afterLooks === undefined;
    const hung = setTimeout(kill, hungMillis);
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const word = JSON.parse(line) as Word;
        hear(word);
        if (word[0] === "frozen") kill();
        if (word[0] === "done" && plan.freezeAt > 0) kill();
        if (word[0] === "at" && isTimed) setTimeout(kill, plan.delayMillis);
      }
    });
    child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (_code, signal) => {
      clearTimeout(hung);
      resolve({ stderr, wasKilled: signal === "SIGKILL" });
    });
  });
}

/** Recovers, compares with what was acknowledged, and recovers again, which must change nothing. */
export async function recoverAndCheck(dir: string, acknowledged: AcknowledgedSessions): Promise<string[]> {
  const first = await recoverTraces(dir);
  const problems = first.failures.map(({ path, error }) => `recovery of ${path} failed: ${String(error)}`);
  if (first.running > 0) problems.push(`recovery takes ${first.running} dead writers for alive`);
  const before = contentsOf(dir);
  for (const name of before.keys()) {
    if (!name.endsWith(".json")) problems.push(`${name} is left over`);
  }
  problems.push(...acknowledged.problemsIn(readDocuments(before, problems)));
  const second = await recoverTraces(dir);
  if (second.sessions.length > 0) problems.push("a second recovery found something to do");
  const after = contentsOf(dir);
  const isUnchanged =
    before.size === after.size && [...before].every(([name, bytes]) => after.get(name)?.equals(bytes));
  if (!isUnchanged) problems.push("a second recovery changed the directory");
  acknowledged.recovered();
  return problems;
}

function contentsOf(dir: string): Map<string, Buffer> {
  const names = fs.existsSync(dir) ? fs.readdirSync(dir).sort() : [];
  return new Map(
    names.map((name) => {
      const path = join(dir, name);
      return [name, fs.statSync(path).isFile() ? fs.readFileSync(path) : Buffer.alloc(0)];
    }),
  );
}

function readDocuments(contents: Map<string, Buffer>, problems: string[]): TraceFile[] {
  const documents: TraceFile[] = [];
  for (const [name, bytes] of contents) {
    if (!name.endsWith(".json")) continue;
    try {
      documents.push(JSON.parse(bytes.toString("utf8")));
    } catch (error) {
      problems.push(`${name} is no document: ${String(error)}`);
    }
  }
  return documents;
}
