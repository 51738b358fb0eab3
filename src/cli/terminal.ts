/** Where a command writes: data to stdout, messages to stderr, with colours where the terminal shows them. */
import { type Environment, environment } from "../platform/environment.js";
import { errorCode } from "../platform/file-system.js";
import { meter } from "../text/bars.js";
import { columnsOf, type Palette, paletteOf, plainPalette, type Screen } from "../text/palette.js";

/** A stream of the process, or a test's. */
interface Output extends Screen {
  write(text: string): boolean;
  once?(event: "drain", listener: () => void): unknown;
}

/** Everything that a command takes from its surroundings. */
export interface TerminalPorts {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Environment;
  /** Relative paths begin here. */
  readonly cwd: string;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Aborted by Ctrl-C, or by a reader of stdout that has gone. */
  readonly signal: AbortSignal;
}

export class Terminal {
  readonly #ports: TerminalPorts;
  #colors: Palette;

  constructor(ports: TerminalPorts) {
    this.#ports = ports;
    this.#colors = paletteOf(ports.stdout, ports.env);
  }

  get env(): Environment {
    return this.#ports.env;
  }

  get cwd(): string {
    return this.#ports.cwd;
  }

  get signal(): AbortSignal {
    return this.#ports.signal;
  }

  /** Colours, or functions that return their text where colours are off. */
  get colors(): Palette {
    return this.#colors;
  }

  /** Columns of the terminal; where stdout is none, those of `COLUMNS`. */
  get columns(): number {
    return columnsOf(this.#ports.stdout, this.#ports.env);
  }

  /** Whether a person reads stdout. */
  get isInteractive(): boolean {
    return this.#ports.stdout.isTTY === true;
  }

  now(): number {
    return this.#ports.now();
  }

  withoutColors(): void {
    this.#colors = plainPalette();
  }

  /** Writes lines of data to stdout. */
  print(...lines: readonly string[]): void {
    if (lines.length > 0) this.#ports.stdout.write(`${lines.join("\n")}\n`);
  }

  /** As {@link print}; resolves when stdout takes more: a long export does not collect in memory. */
  async printAll(text: string): Promise<void> {
    const { stdout, signal } = this.#ports;
    if (stdout.write(text) || !stdout.once || signal.aborted) return;
    await new Promise<void>((resolve) => {
      stdout.once?.("drain", resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  /** One JSON value for programs; its member `schema` names its shape and version. */
  printJson(schema: string, value: object): void {
    this.print(JSON.stringify({ schema: `crash-safe-file/${schema}`, ...value }, null, 2));
  }

  /** As {@link printJson}, with a list as its last member. An item is made when it is written: all together may be long. */
  async printJsonList(
    schema: string,
    value: object,
    name: string,
    items: readonly (() => object)[],
  ): Promise<void> {
    const head = JSON.stringify({ schema: `crash-safe-file/${schema}`, ...value }, null, 2);
    await this.printAll(`${head.slice(0, -2)},\n  ${JSON.stringify(name)}: [`);
    for (const [at, item] of items.entries()) {
      const text = JSON.stringify(item(), null, 2).replaceAll("\n", "\n    ");
      await this.printAll(`${at === 0 ? "" : ","}\n    ${text}`);
      if (this.signal.aborted) return;
    }
    await this.printAll(items.length > 0 ? "\n  ]\n}\n" : "]\n}\n");
  }

  /** One JSON value in one line, of a stream of them. */
  printJsonLine(schema: string, value: object): void {
    this.print(JSON.stringify({ schema: `crash-safe-file/${schema}`, ...value }));
  }

  /** Writes a message for people to stderr. */
  note(message: string): void {
    this.#ports.stderr.write(`${message}\n`);
  }

  /**
   * Shows how far a piece of work is, once it has taken a second, where stderr is a terminal. Call the result when the
   * work has ended.
   */
  progress(what: string, total: number): { step(by?: number): void; end(): void } {
    const { stderr, now } = this.#ports;
    if (!stderr.isTTY) return { step() {}, end() {} };
    const begun = now();
    let done = 0;
    let shown = 0;
    return {
      step(by = 1) {
        done = Math.min(total, done + by);
        const at = now();
        if (at - begun < 1_000 || at - shown < 100) return;
        shown = at;
        stderr.write(`\r${what} ${meter(done, total)}`);
      },
      end() {
        if (shown > 0) stderr.write("\r\x1b[2K");
      },
    };
  }
}

/**
 * The terminal of this process. A reader of stdout that goes away, such as `head`, ends the command without a message;
 * Ctrl-C ends a command that follows a session, and any other command at once.
 */
export function processTerminal(): TerminalPorts {
  const abort = new AbortController();
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error) => {
      if (errorCode(error) !== "EPIPE") throw error;
      abort.abort("EPIPE");
      process.exit();
    });
  }
  process.once("SIGINT", () => {
    abort.abort("SIGINT");
    process.exit(130);
  });
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    env: environment(),
    cwd: process.cwd(),
    now: Date.now,
    signal: abort.signal,
  };
}
