// The agent's tools. All of them do what they say, on this repository and this disk.
import { execFile } from "node:child_process";
import { open, readdir, readFile, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { trace } from "@opentelemetry/api";
import { tool } from "ai";
import { z } from "zod";

const root = fileURLToPath(new URL("../..", import.meta.url));
const runFile = promisify(execFile);
const tracer = trace.getTracer("tools");
const roundMillis = 500;

/** `git log` where this is a git checkout; an unpacked tarball has no history, and tells Node's version. */
export async function historyCommand() {
  try {
    const { stdout } = await runFile("git", ["rev-parse", "--show-prefix"], { cwd: root });
    // A prefix means that the checkout around us is somebody else's.
    if (stdout.trim() === "") return { command: "git", args: ["log", "--oneline", "-n", "5"] };
  } catch {
    // No git here, or git does not trust the directory.
  }
  return { command: "node", args: ["--version"] };
}

export const tools = {
  list_files: tool({
    description: "Names and line counts of the files below a directory of the repository",
    inputSchema: z.object({ directory: z.string() }),
    async execute({ directory }) {
      announce("tool", `list_files ${directory}`);
      const dir = inRepository(directory);
      const entries = await readdir(dir, { recursive: true, withFileTypes: true });
      const files = entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
      const sizes = files.map(
        async (file) => `${relative(dir, file)} ${(await readFile(file, "utf8")).split("\n").length}`,
      );
      return Promise.all(sizes);
    },
  }),
  read_file: tool({
    description: "A file of the repository",
    inputSchema: z.object({ path: z.string() }),
    async execute({ path }) {
      announce("tool", `read_file ${path}`);
      return (await readFile(inRepository(path), "utf8")).slice(0, 2000);
    },
  }),
  run: tool({
    description: "Runs git or node in the repository",
    inputSchema: z.object({ command: z.enum(["git", "node"]), args: z.array(z.string()) }),
    async execute({ command, args }) {
      announce("tool", `run ${[command, ...args].join(" ")}`);
      const file = command === "node" ? process.execPath : command;
      return (await runFile(file, args, { cwd: root })).stdout;
    },
  }),
  time_disk_sync: tool({
    description: "How long fdatasync takes, measured for a number of seconds",
    inputSchema: z.object({ seconds: z.number() }),
    async execute({ seconds }) {
      announce("tool", `time_disk_sync for ${seconds} s`);
      return timeDiskSync(seconds);
    },
  }),
};

/** In rounds, each a span of its own under the tool's. */
async function timeDiskSync(seconds) {
  const path = join(tmpdir(), `disk-sync-${process.pid}`);
  const file = await open(path, "wx", 0o600);
  // Nameless from here on: whatever ends this process, nothing is left lying about.
  await unlink(path);
  const times = [];
  const rounds = Math.ceil((seconds * 1000) / roundMillis);
  try {
    for (let round = 1; round <= rounds; round++) {
      await tracer.startActiveSpan(`round ${round}`, async (span) => {
        announce("round", `${round} of ${rounds}`);
        times.push(...(await timeRound(file)));
        span.end();
      });
    }
  } finally {
    await file.close();
  }
  times.sort((a, b) => a - b);
  return { syncs: times.length, medianMillis: Number(times[times.length >> 1].toFixed(2)) };
}

async function timeRound(file) {
  const times = [];
  const end = performance.now() + roundMillis;
  do {
    await file.write(Buffer.alloc(4096, "x"));
    const start = performance.now();
    await file.datasync();
    times.push(performance.now() - start);
    await pause(10);
  } while (performance.now() < end);
  return times;
}

function inRepository(path) {
  const full = resolve(root, path);
  if (relative(root, full).startsWith("..")) throw new Error(`${path} is outside the repository`);
  return full;
}

const announce = (event, what) => console.log(`${event.padEnd(8)}${what}`);
