/**
 * A process that writes to a session together with its peers, controlled by its parent: what it acknowledged, and
 * the signals it gets.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const program = fileURLToPath(new URL("../programs/twin-writer.mjs", import.meta.url));
/** `TWINS_BUILD` runs the test on another build, such as a deliberately broken one. */
const build = process.env.TWINS_BUILD
  ? pathToFileURL(`${process.env.TWINS_BUILD}/`).href
  : new URL("../../build/", import.meta.url).href;

/** What all processes together have acknowledged. */
export interface Acknowledged {
  readonly started: Set<string>;
  readonly ended: Set<string>;
}

export interface TwinOptions {
  readonly dir: string;
  readonly sessionId: string;
  readonly seed: number;
  /** How often it reports a live owner as dead, from 0 to 1. */
  readonly lies: number;
}

export class TwinProcess {
  isStopped = false;
  /** Whether it has recorded a span: then it has the session. */
  hasJoined = false;
  /** Resolves when it has joined, or has ended. */
  readonly joined: Promise<void>;
  /** Resolves when it has ended and all its lines were read. */
  readonly gone: Promise<void>;
  sentBye = false;
  errors = "";
  readonly #child: ChildProcess;

  constructor(options: TwinOptions, acknowledged: Acknowledged, onAcknowledged: () => void) {
    const child = spawn(process.execPath, [program, JSON.stringify({ build, ...options })], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
    });
    let onJoined = () => {};
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line === "bye") this.sentBye = true;
      else if (line.startsWith("s ")) {
        acknowledged.started.add(line.slice(2));
        this.hasJoined = true;
        onJoined();
      } else if (line.startsWith("e ")) {
        acknowledged.ended.add(line.slice(2));
        onAcknowledged();
      }
    });
    this.gone = new Promise((resolve) => child.on("close", () => resolve()));
    const joining = new Promise<void>((resolve) => {
      onJoined = resolve;
    });
    this.joined = Promise.race([joining, this.gone]);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  stop(): void {
    this.isStopped = this.#child.kill("SIGSTOP");
  }

  resume(): void {
    this.isStopped = false;
    this.#child.kill("SIGCONT");
  }

  end(): void {
    this.#child.stdin?.write("end\n");
  }
}
