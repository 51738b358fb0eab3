/**
 * Options and environment variables: which names exist, and which values are allowed.
 */
import { type Environment, numberIn, variableOf } from "./environment.js";
import { CrashSafeFileError, invalidOption } from "./errors.js";

/** Which values are allowed. */
export interface OptionCheck<T> {
  /** For messages: `<option> is <value>, and must be <allowed>`. */
  readonly allowed: string;
  readonly accepts: (value: unknown) => value is T;
}

/** An option: its type and check, its default, and its variable. */
export interface OptionSpec<T> extends OptionCheck<T> {
  /** Absent if the option is required. */
  readonly default?: T;
  /** For messages: how a required option is given. */
  readonly required?: string;
  readonly variable?: OptionVariable;
}

/** The environment variable of an option. */
export interface OptionVariable {
  readonly name: string;
  /** The value that a text stands for, or the text itself if it stands for none. Default: the text. */
  readonly parse?: (text: string) => unknown;
  /** For messages, if a variable allows less than the option. */
  readonly allowed?: string;
}

/** Whole numbers from `least` to `most`. */
export const wholeNumber = (least: number, most = Number.MAX_SAFE_INTEGER): OptionCheck<number> => ({
  allowed: `a whole number of at least ${least}`,
  accepts: (value): value is number => isWhole(value, least, most),
});

/** An option without a value of its own where it is not given. */
export const optional = <T>({ allowed, accepts }: OptionCheck<T>): OptionCheck<T | undefined> => ({
  allowed,
  accepts: (value): value is T | undefined => value === undefined || accepts(value),
});

/** Whole numbers of at least `least`, and 0, which stands for no limit. */
export const limitOrZero = (least: number): OptionCheck<number> => ({
  allowed: `a whole number of at least ${least}, or 0: no limit`,
  accepts: (value): value is number => value === 0 || isWhole(value, least, Number.MAX_SAFE_INTEGER),
});

/** Whole numbers of a range. */
export const integer = (least: number, most: number): OptionCheck<number> => ({
  allowed: `an integer from ${least} to ${most}`,
  accepts: (value): value is number => isWhole(value, least, most),
});

/** Beyond this Node's timers fire after 1 ms. */
export const longestTimerMillis = 2 ** 31 - 1;

/** Whether a value is `true` or `false`. */
export const isBoolean: OptionCheck<boolean> = {
  allowed: "true or false",
  accepts: (value): value is boolean => typeof value === "boolean",
};

function isWhole(value: unknown, least: number, most: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most;
}

/** Whether an object has all these methods. */
export function hasMethods(value: unknown, ...methods: string[]): boolean {
  const object = value as Record<string, unknown> | null | undefined;
  return methods.every((method) => typeof object?.[method] === "function");
}

/**
 * The value, checked.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming component, option, value and what is allowed
 */
export function checked<T>(component: string, name: string, value: unknown, check: OptionCheck<T>): T {
  if (check.accepts(value)) return value;
  // Beyond it, a whole number is not exact.
  const isTooLarge = typeof value === "number" && value > Number.MAX_SAFE_INTEGER && Number.isFinite(value);
  const most = isTooLarge ? `, and at most ${Number.MAX_SAFE_INTEGER}` : "";
  throw invalidOption(component, name, value, `${check.allowed}${most}`);
}

/**
 * The value that the program gives, else that of the variable, else the default.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming component, option or variable, value and what is allowed
 */
export function resolveOption<T>(
  component: string,
  name: string,
  spec: OptionSpec<T>,
  given: unknown,
  env: Environment,
): T {
  const { variable } = spec;
  if (given !== undefined) return checked(component, name, given, spec);
  const text = variable && variableOf(env, variable.name);
  if (variable && text !== undefined) {
    const { parse = (text) => text, allowed = spec.allowed } = variable;
    return checked(component, variable.name, parse(text), { allowed, accepts: spec.accepts });
  }
  const how = spec.required ? `: ${spec.required}` : "";
  return checked(component, name, spec.default, { allowed: spec.allowed + how, accepts: spec.accepts });
}

/** {@link OptionVariable} of a number. */
export const numberVariable = (name: string): OptionVariable => ({ name, parse: numberIn });

/**
 * Refuses options with a name that does not exist: an option that has no effect would be noticed only when it is needed.
 * Only own enumerable members count. A known name may have the value `undefined`.
 *
 * @param names the names that exist
 * @param excluded names that exist elsewhere, with the reason why they do not exist here
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the component, the option and the nearest name
 */
export function rejectUnknownOptions(
  component: string,
  options: unknown,
  names: readonly string[],
  excluded: Readonly<Record<string, string>> = {},
): void {
  if (options === undefined || options === null) return;
  if (typeof options !== "object") throw invalidOption(component, "options", options, "an object");
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    const near = nearestName(name, names);
    const reason = Object.hasOwn(excluded, name)
      ? `: ${excluded[name]}`
      : near === undefined
        ? `; the options are ${names.join(", ")}`
        : `; did you mean ${near}?`;
    throw new CrashSafeFileError("INVALID_OPTION", `${component}: there is no option ${name}${reason}`);
  }
}

/** The known name that a mistyped name most likely stands for, if any is near. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  let nearest: string | undefined;
  // A third of the letters may differ, which takes in a forgotten word of a long name, such as `maxAgeMillis`.
  let least = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const known of names) {
    const distance = editDistance(name.toLowerCase(), known.toLowerCase());
    if (distance >= least) continue;
    least = distance;
    nearest = known;
  }
  return nearest;
}

/** Letters to insert, remove or replace (Levenshtein). */
function editDistance(from: string, to: string): number {
  // Names of options are short; a longer text is none of them and would cost quadratic time.
  if (Math.abs(from.length - to.length) > 64) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let line = 1; line <= from.length; line++) {
    const next = [line];
    for (let column = 1; column <= to.length; column++) {
      const replaced = (row[column - 1] as number) + (from[line - 1] === to[column - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[column] as number) + 1, (next[column - 1] as number) + 1));
    }
    row = next;
  }
  return row[to.length] as number;
}
