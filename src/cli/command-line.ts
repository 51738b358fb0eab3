/** Finds the command and its options, shows help, and turns errors into messages and exit codes. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { variableOf } from "../platform/environment.js";
import { shownValue } from "../platform/errors.js";
import { errorCode } from "../platform/file-system.js";
import { nearestName } from "../platform/options.js";
import { pathOf } from "../platform/paths.js";
import { padEnd, safeText } from "../text/display-text.js";
import {
  type Command,
  CommandError,
  commonOptions,
  type ExitCode,
  type Option,
  type Options,
  UsageError,
} from "./command.js";
import { commands } from "./commands.js";
import { Terminal, type TerminalPorts } from "./terminal.js";

const program = "crash-safe-file";

/** Set by the build (`scripts/build.mjs`). */
declare const packageVersion: string | undefined;

/** Runs one command line, without the names of Node and the program. Never rejects. */
export async function runCommandLine(args: readonly string[], ports: TerminalPorts): Promise<ExitCode> {
  const terminal = new Terminal(ports);
  try {
    return await dispatch(args, terminal);
  } catch (error) {
    if (ports.signal.aborted) return ports.signal.reason === "SIGINT" ? 130 : 0;
    terminal.note(`${terminal.colors.red("error:")} ${safeText(messageOf(error))}`);
    return error instanceof UsageError ? 2 : 1;
  }
}

/** A stack trace helps only where the error is a fault of this program. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isExpected = error instanceof UsageError || error instanceof CommandError || errorCode(error);
  return isExpected ? error.message : `${error.stack ?? error.message}\nPlease report this as a bug.`;
}

async function dispatch(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const [first, ...rest] = args;
  if (first === "--version" || first === "-V") {
    terminal.print(typeof packageVersion === "string" ? packageVersion : "unreleased");
    return 0;
  }
  if (first === undefined || first === "--help" || first === "-h" || (first === "help" && !rest[0])) {
    // Without a command the help is an answer to a mistake.
    if (first === undefined) terminal.note(overview(terminal));
    else terminal.print(overview(terminal));
    return first === undefined ? 2 : 0;
  }
  const name = first === "help" ? (rest[0] as string) : first;
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!entry) throw unknown("command", name, Object.keys(commands), `${program} --help lists them`);
  const command = await entry.load();
  const { values, positionals } = parse(name, command, first === "help" ? ["--help"] : rest);
  if (values["no-color"]) terminal.withoutColors();
  if (values.help) {
    terminal.print(commandHelp(name, command, terminal));
    return 0;
  }
  const most = command.maxArgs ?? 1;
  if (positionals.length > most)
    throw new UsageError(`${name} takes ${allowedArgs(most)}, and there are ${positionals.length}`);
  const dir = (values.dir as string | undefined) ?? variableOf(terminal.env, "CRASH_SAFE_FILE_DIR");
  const path = pathOf(dir ?? "traces");
  if (path === undefined) throw new UsageError(`the directory is ${shownValue(dir)}, and must be a path`);
  return command.run({
    terminal,
    dir: resolve(terminal.cwd, path),
    json: values.json === true,
    args: positionals,
    values: values as never,
  });
}

function parse(
  name: string,
  command: Command,
  args: readonly string[],
): { values: Record<string, unknown>; positionals: string[] } {
  const options: Options = { ...command.options, ...commonOptions };
  const config = Object.fromEntries(
    Object.entries(options).map(([option, { short, value }]) => [
      option,
      { type: value === undefined ? ("boolean" as const) : ("string" as const), ...(short && { short }) },
    ]),
  );
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...args], options: config, allowPositionals: true, strict: true });
  } catch (error) {
    throw mistakeIn(name, args, options, error);
  }
  const values: Record<string, unknown> = {};
  for (const [option, { value, parse: read }] of Object.entries(options)) {
    const given = parsed.values[option];
    if (value === undefined) values[option] = given === true;
    else if (typeof given === "string") values[option] = read ? readValue(option, given, read) : given;
  }
  return { values, positionals: parsed.positionals };
}

function readValue(option: string, text: string, read: (text: string) => unknown): unknown {
  try {
    return read(text);
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`--${option}: ${error.message}`) : error;
  }
}

function mistakeIn(name: string, args: readonly string[], options: Options, error: unknown): Error {
  const names = Object.keys(options).map((option) => `--${option}`);
  const shorts = Object.values(options).flatMap(({ short }) => (short ? [`-${short}`] : []));
  const known = new Set([...names, ...shorts]);
  const code = errorCode(error);
  const given = args.map((arg) => (arg.startsWith("--") ? (arg.split("=")[0] as string) : arg));
  const wrong = given.find((arg) => arg.startsWith("-") && arg !== "-" && arg !== "--" && !known.has(arg));
  if (code === "ERR_PARSE_ARGS_UNKNOWN_OPTION" && wrong !== undefined)
    return unknown("option", wrong, names, `${program} ${name} --help lists them`);
  if (code === "ERR_PARSE_ARGS_INVALID_OPTION_VALUE") checkValues(args, options);
  const message = error instanceof Error ? error.message : String(error);
  return new UsageError(message.split("\n")[0] ?? message);
}

/** An option that takes a value and is followed by none: a negative number begins with a dash as an option does. */
function checkValues(args: readonly string[], options: Options): void {
  for (const [option, { short, value, parse: read = String }] of Object.entries(options)) {
    const at = args.findIndex((arg) => arg === `--${option}` || (short && arg === `-${short}`));
    const next = args[at + 1] ?? "-";
    if (value === undefined || at < 0 || !next.startsWith("-")) continue;
    if (/^-\.?\d/.test(next)) readValue(option, next, read);
    throw new UsageError(`--${option} needs a value: --${option} ${value}`);
  }
}

const allowedArgs = (most: number): string =>
  most === 0 ? "no argument" : most === 1 ? "one argument" : `${most} arguments`;

function unknown(what: string, name: string, names: readonly string[], otherwise: string): UsageError {
  const near = nearestName(name, names);
  const hint = near === undefined ? otherwise : `did you mean ${near}?`;
  return new UsageError(`there is no ${what} ${safeText(name)}; ${hint}`);
}

function overview({ colors }: Terminal): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const examples = [
    ["list", "all sessions, newest first"],
    ["show latest", "the newest one as a tree"],
    ["postmortem latest --md", "a report to paste into an issue"],
  ] as const;
  return [
    "Looks at the traces that opentelemetry-exporter-crash-safe-file wrote.",
    "",
    ...exampleLines(examples, colors),
    "",
    `${colors.bold("Usage")}  ${program} <command> [session] [options]`,
    "",
    colors.bold("Commands"),
    ...Object.entries(commands).map(([name, { summary }]) => `  ${padEnd(name, width)}  ${summary}`),
    "",
    "A session is an id, the beginning of an id, a path, or latest. The directory is --dir, else",
    "CRASH_SAFE_FILE_DIR, else ./traces.",
    `${program} <command> --help describes a command.`,
  ].join("\n");
}

function exampleLines(examples: Command["examples"], colors: Terminal["colors"]): string[] {
  const lines = examples.map(([example, does]) => ({ text: `  ${program} ${example}`, does }));
  const width = Math.max(...lines.map(({ text }) => text.length));
  return [
    colors.bold("Examples"),
    ...lines.map(({ text, does }) => `${padEnd(text, width)}  ${colors.dim(does)}`),
  ];
}

function commandHelp(name: string, command: Command, { colors }: Terminal): string {
  const option = ([long, { short, value }]: [string, Option]) =>
    `  ${short ? `-${short}, ` : ""}--${long}${value ? ` ${value}` : ""}`;
  const all = Object.entries({ ...command.options, ...commonOptions });
  const width = Math.max(...all.map((one) => option(one).length));
  return [
    ...exampleLines(command.examples, colors),
    "",
    `${colors.bold("Usage")}  ${[program, name, command.usage, "[options]"].filter(Boolean).join(" ")}`,
    "",
    command.about,
    "",
    colors.bold("Options"),
    ...all.map((one) => `${padEnd(option(one), width)}  ${one[1].help}`),
  ].join("\n");
}
