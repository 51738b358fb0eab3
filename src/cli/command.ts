/** What a command is: its help, its options with the types of their values, and what it does. */
import type { Terminal } from "./terminal.js";

/** How a command ended. `verify` and its like give 1 and 2 meanings of their own. */
export type ExitCode = 0 | 1 | 2 | 130;

/** A mistake in the command line: exit code 2. The message is for people, and names what would be right. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Something that the command was asked for and cannot do: exit code 1. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

/** An option. Without `value` it is a switch. */
export interface Option {
  readonly short?: string;
  /** What the help shows for the value. */
  readonly value?: string;
  /** Turns the text into a value; throws UsageError. Without it, the value is the text. */
  readonly parse?: (text: string) => unknown;
  readonly help: string;
}

export type Options = Readonly<Record<string, Option>>;

type ValueOf<O extends Option> = "value" extends keyof O
  ? "parse" extends keyof O
    ? O["parse"] extends (text: string) => infer T
      ? T | undefined
      : never
    : string | undefined
  : boolean;

/** The values of options, by name. */
type Values<O extends Options> = { readonly [Name in keyof O]: ValueOf<O[Name]> };

/** Options that every command has. */
export const commonOptions = {
  dir: { value: "<directory>", help: "directory of traces; else CRASH_SAFE_FILE_DIR, else ./traces" },
  json: { help: "JSON for programs" },
  "no-color": { help: "no colours; NO_COLOR does the same" },
  help: { short: "h", help: "this help" },
} as const satisfies Options;

/** One call of a command. */
interface Call<O extends Options> {
  readonly terminal: Terminal;
  /** Directory of traces, absolute. */
  readonly dir: string;
  readonly json: boolean;
  /** Arguments that are no options. */
  readonly args: readonly string[];
  readonly values: Values<O>;
}

/** A command. */
export interface Command<O extends Options = Options> {
  /** What follows the name of the command in its usage line. */
  readonly usage: string;
  /** One or two sentences. */
  readonly about: string;
  /** Each with what it does. The help begins with them. */
  readonly examples: readonly (readonly [example: string, does: string])[];
  readonly options: O;
  /** Most arguments that are no options; default 1. */
  readonly maxArgs?: number;
  run(call: Call<O>): Promise<ExitCode>;
}

/** Checks a command, whose `run` gets the values of its own options; callers know commands without those types. */
export const defineCommand = <O extends Options>(command: Command<O>): Command =>
  command as unknown as Command;

/** A whole number from `least`. */
export const wholeNumber =
  (least: number) =>
  (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value) || value < least)
      throw new UsageError(`${JSON.stringify(text)} is not a whole number of at least ${least}`);
    return value;
  };

const unitMillis: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

/** A duration such as `90s`, `15m`, `2h`, `7d`, in milliseconds. */
export function durationMillis(text: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/.exec(text) ?? [];
  const factor = unitMillis[unit];
  if (factor === undefined)
    throw new UsageError(`${JSON.stringify(text)} is not a duration such as 500ms, 90s, 15m, 2h or 7d`);
  return Number(number) * factor;
}

/** A time as a function of now. */
export function timeOrDuration(text: string): (now: number) => number {
  const date = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(date)) return () => date;
  try {
    const millis = durationMillis(text);
    return (now) => now - millis;
  } catch {
    throw new UsageError(
      `${JSON.stringify(text)} is neither a duration such as 2h or 7d nor a date such as 2026-01-31`,
    );
  }
}

const unitBytes: Readonly<Record<string, number>> = { "": 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 };

/** A size such as `500KB`, `100MB` or `2GB`, in bytes. Units are powers of 1,024. */
export function byteSize(text: string): number {
  const [, number = "", unit = "none"] = /^(\d+(?:\.\d+)?)\s*([kmg]?)b?$/i.exec(text) ?? [];
  const factor = unitBytes[unit.toLowerCase()];
  if (factor === undefined)
    throw new UsageError(`${JSON.stringify(text)} is not a size such as 500KB, 100MB or 2GB`);
  return Math.floor(Number(number) * factor);
}

/** One of a few words. */
export const oneOf =
  <const Word extends string>(...words: readonly Word[]) =>
  (text: string): Word => {
    const word = words.find((known) => known === text);
    if (word === undefined) throw new UsageError(`${JSON.stringify(text)} is none of ${words.join(", ")}`);
    return word;
  };

/** Several of a few words, separated by commas. */
export const someOf =
  <const Word extends string>(...words: readonly Word[]) =>
  (text: string): ReadonlySet<Word> =>
    new Set(text.split(",").map((word) => oneOf(...words)(word.trim())));
