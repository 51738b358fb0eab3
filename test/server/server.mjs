/** The server of `app.cjs` in a process of its own, and what that process holds. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const app = fileURLToPath(new URL("./app.cjs", import.meta.url));
const inPidNamespace = ["unshare", "-p", "-f", "--mount-proc", "--kill-child"];
const answerMillis = 30_000;

export class Server {
  /** The directory of its traces. */
  dir;
  /** Resolves with code and signal. */
  gone;
  url;
  /** Of the server itself, by its number in our own namespace. */
  pid;
  #child;

  /** `isInit`: the server is PID 1 of a PID namespace. `drains`: it has a listener for SIGTERM. */
  static async start(root, policy, { drains = false, isInit = false, collector } = {}) {
    const server = new Server();
    server.dir = mkdtempSync(join(root, "traces-"));
    const [command, ...args] = [...(isInit ? inPidNamespace : []), process.execPath, app];
    const child = spawn(command, args, {
      env: {
        ...process.env,
        SERVER_DIR: server.dir,
        SERVER_POLICY: policy,
        ...(drains && { SERVER_DRAINS: "1" }),
        ...(collector && { SERVER_COLLECTOR: collector }),
      },
      // `unshare` complains when it cannot end by the signal that ended the server.
      stdio: ["ignore", "inherit", isInit ? "ignore" : "inherit", "ipc"],
    });
    server.#child = child;
    server.gone = once(child, "exit");
    const { port } = await server.#answer();
    server.url = `http://127.0.0.1:${port}`;
    server.pid = isInit ? childOf(child.pid) : child.pid;
    return server;
  }

  /** The counters of the exporter, and the number of generations that the server has ended. */
  async counts() {
    this.#child.send("counts");
    return await this.#answer();
  }

  async #answer() {
    const limit = setTimeout(() => this.kill(), answerMillis);
    const given = new AbortController();
    try {
      const ended = this.gone.then(([code, signal]) => {
        throw new Error(`the server ended with ${code ?? signal}, or did not answer in ${answerMillis} ms`);
      });
      const [answer] = await Promise.race([once(this.#child, "message", given), ended]);
      return answer;
    } finally {
      clearTimeout(limit);
      given.abort();
    }
  }

  /** What the server holds now. */
  async held() {
    const { stats } = await this.counts();
    const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"));
    return {
      openSessions: stats.openSessions,
      descriptors: readdirSync(`/proc/${this.pid}/fd`).length,
      megabytes: Number(kilobytes) / 1024,
      files: this.files.length,
    };
  }

  get files() {
    return existsSync(this.dir) ? readdirSync(this.dir) : [];
  }

  /** Its documents by session, and the names of other files. */
  get left() {
    const documents = new Map();
    const others = [];
    for (const file of this.files) {
      if (file.endsWith(".json"))
        documents.set(file.slice(0, -5), JSON.parse(readFileSync(join(this.dir, file), "utf8")));
      else others.push(file);
    }
    return { documents, others };
  }

  signal(name) {
    process.kill(this.pid, name);
  }

  kill() {
    this.#child.kill("SIGKILL");
  }
}

/** The process that `unshare` made. */
function childOf(pid) {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
}
