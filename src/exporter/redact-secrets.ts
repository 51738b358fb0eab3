/**
 * A redactor for secrets of common shapes. A secret without a known shape, and without a name that marks it, is not found.
 */
import { setOwn, toJsonValue } from "../format/json-value.js";
import { invalidOption } from "../platform/errors.js";
import { rejectUnknownOptions } from "../platform/options.js";
import type { Redact } from "./content-filter.js";
import { isSecretOption } from "./secret-arguments.js";
import {
  isSecretNumber,
  isSecretValue,
  namesIn,
  redactNamed,
  redactText,
  type SecretPattern,
  type Suspicion,
  suspicionOf,
} from "./secret-patterns.js";
import { redacted } from "./secret-tokens.js";

/** Options of {@link redactSecrets}. */
export interface RedactSecretsOptions {
  /**
   * More shapes. A match becomes `[redacted:custom]`, or `[redacted:<name>]` if a name is given. An expression runs on the
   * thread of the program, so it should take linear time.
   */
  readonly patterns?: readonly (RegExp | { readonly name: string; readonly pattern: RegExp })[] | undefined;
  /** More names of members with secret values: texts, compared without case, `_`, `-` and `.`; or expressions. */
  readonly keys?: readonly (string | RegExp)[] | undefined;
}

/** Deeper values are replaced by a marker, because they are not searched. */
const maxDepth = 64;
/** Further values are replaced by a marker, because they are not searched. */
const maxNodes = 100_000;

const component = "redactSecrets";
const plainName = (name: string): string => name.replace(/[_.\s-]/g, "").toLowerCase();

/**
 * Makes a `redact` that replaces secrets by `[redacted:<what>]`: keys and tokens of cloud and AI providers, code hosts and
 * similar services, JWTs, `Authorization` of any scheme, private keys (truncated ones included), passwords in connection
 * strings and command lines, and values with a secret name: members (`password`, `apiKey`, `authorization`), numbers from 1,000 on
 * included, pairs (`{ name: "password", value: "…" }`), variables (`export API_KEY=…`), and JSON inside of texts, up to six
 * levels deep.
 *
 * It does not find a secret that looks like other text: a password in a sentence, an encoded key, a key that was split in
 * two, names of members and attributes, file names. It takes 3 to 14 µs per KB of text, linear in the size, and changes no
 * value that it receives.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the option, its value and what is allowed
 */
export function redactSecrets(options: RedactSecretsOptions = {}): Redact {
  rejectUnknownOptions(component, options, ["patterns", "keys"]);
  const patterns = patternsOf(options?.patterns);
  const keys = keysOf(options?.keys);
  const { isKnown } = keys;
  const suspicion = (name: string): Suspicion => (isKnown(name) ? "strong" : suspicionOf(name));
  return (value, field) => {
    const name = /^(?:attributes|metadata)\.(.*)/s.exec(field)?.[1] ?? "";
    return new Walk(patterns, suspicion, keys.inText).visit(value, suspicion(name), 0);
  };
}

/** The search of one value and its members. */
class Walk {
  readonly #patterns: readonly SecretPattern[];
  readonly #suspicionOf: (name: string) => Suspicion;
  readonly #names: RegExp | undefined;
  #nodes = 0;

  /** `names`: names of the program, for {@link redactNamed}. */
  constructor(
    patterns: readonly SecretPattern[],
    suspicion: (name: string) => Suspicion,
    names: RegExp | undefined,
  ) {
    this.#patterns = patterns;
    this.#suspicionOf = suspicion;
    this.#names = names;
  }

  #text(text: string): string {
    const shown = redactText(text, this.#patterns);
    return this.#names ? redactNamed(shown, this.#names) : shown;
  }

  /** Returns `value` itself if it holds no secret. `suspicion` is that of the name of the value. */
  visit(value: unknown, suspicion: Suspicion, depth: number): unknown {
    if (typeof value === "string")
      return isSecretValue(suspicion, value) ? redacted("secret") : this.#text(value);
    if (typeof value === "number" || typeof value === "bigint")
      return isSecretNumber(suspicion, value) ? redacted("secret") : value;
    if (typeof value !== "object" || value === null) return value;
    if (depth > maxDepth || ++this.#nodes > maxNodes) return redacted("not looked at");
    const plain = isPlain(value) ? value : toJsonValue(value);
    if (Array.isArray(plain)) return this.#elements(plain, suspicion, depth);
    return typeof plain === "object" && plain !== null
      ? this.#members(plain, suspicion, depth)
      : this.visit(plain, suspicion, depth);
  }

  #elements(value: readonly unknown[], suspicion: Suspicion, depth: number): unknown {
    let copy: unknown[] | undefined;
    for (let index = 0; index < value.length; index++) {
      const isArgument = isSecretOption(value[index - 1]) && !isOption(value[index]);
      const shown = this.visit(value[index], isArgument ? "strong" : suspicion, depth + 1);
      if (shown === value[index]) continue;
      copy ??= value.slice();
      copy[index] = shown;
    }
    return copy ?? value;
  }

  #suspicionOfMember(key: string, named: Suspicion, ofWhole: Suspicion): Suspicion {
    if (named !== "none" && isValueKey(key)) return named;
    return ofWhole === "all" ? ofWhole : this.#suspicionOf(key);
  }

  /** `{ name: "password", value: "…" }`: how suspicious the value is. */
  #suspicionOfPair(members: readonly (readonly [string, unknown])[]): Suspicion {
    const name = members.find(([key]) => isNameKey(key))?.[1];
    return typeof name === "string" ? this.#suspicionOf(name) : "none";
  }

  /** `suspicion`: that of the name of the whole. */
  #members(value: object, suspicion: Suspicion, depth: number): unknown {
    let isChanged = false;
    const copy: Record<string, unknown> = {};
    const members = Object.entries(value);
    const named = this.#suspicionOfPair(members);
    for (const [key, member] of members) {
      // A shorter key has no room for a token.
      const shownKey = key.length < 16 ? key : redactText(key, this.#patterns);
      const shown = this.visit(member, this.#suspicionOfMember(key, named, suspicion), depth + 1);
      isChanged ||= shown !== member || shownKey !== key;
      setOwn(copy, shownKey, shown);
    }
    return isChanged ? copy : value;
  }
}

const isOption = (value: unknown): boolean => typeof value !== "string" || value.startsWith("-");

/** Keys of the two halves of a pair. */
const isNameKey = (key: string): boolean => /^(?:name|key|field|header)$/i.test(key);
const isValueKey = (key: string): boolean => /^val(?:ue)?$/i.test(key);

/** Whether `JSON.stringify` and `Object.entries` give the same members. */
function isPlain(value: object): boolean {
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return false;
  if (Array.isArray(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function patternsOf(given: RedactSecretsOptions["patterns"]): SecretPattern[] {
  if (given !== undefined && !Array.isArray(given))
    throw invalidOption(
      component,
      "patterns",
      given,
      "an array of regular expressions, or of { name, pattern }",
    );
  return (given ?? []).map((one) => {
    const { name, pattern } = one instanceof RegExp ? { name: "custom", pattern: one } : (one ?? {});
    if (!(pattern instanceof RegExp))
      throw invalidOption(component, "patterns", one, "regular expressions, or { name, pattern }");
    if (typeof name !== "string" || !/^[\w -]{1,40}$/.test(name))
      throw invalidOption(
        component,
        "patterns",
        name,
        "named with up to 40 letters, digits, spaces, _ and -",
      );
    return { name, pattern: new RegExp(pattern.source, `${pattern.flags.replace(/[gy]/g, "")}g`) };
  });
}

/** The names that the program adds. */
interface OwnNames {
  readonly isKnown: (name: string) => boolean;
  /** For {@link redactNamed}: those that are texts. */
  readonly inText: RegExp | undefined;
}

function keysOf(given: RedactSecretsOptions["keys"]): OwnNames {
  if (given !== undefined && !Array.isArray(given))
    throw invalidOption(component, "keys", given, "an array of names or regular expressions");
  const names = new Set<string>();
  const expressions: RegExp[] = [];
  for (const key of given ?? []) {
    if (key instanceof RegExp) expressions.push(new RegExp(key.source, key.flags.replace(/[gy]/g, "")));
    else if (typeof key === "string" && plainName(key) !== "") names.add(plainName(key));
    else throw invalidOption(component, "keys", key, "a name or a regular expression");
  }
  return {
    isKnown: (name) => names.has(plainName(name)) || expressions.some((expression) => expression.test(name)),
    inText: names.size > 0 ? namesIn([...names]) : undefined,
  };
}
