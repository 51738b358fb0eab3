/**
 * A redactor for secrets of common shapes. A net with holes: what has no shape, and no name that gives it away, passes.
 */
import { setOwn, toJsonValue } from "../format/json-value.js";
import { invalidOption } from "../platform/errors.js";
import { rejectUnknownOptions } from "../platform/options.js";
import type { Redact } from "./content-filter.js";
import {
  isSecretValue,
  redacted,
  redactText,
  type SecretPattern,
  type Suspicion,
  suspicionOf,
} from "./secret-patterns.js";

/** Options of {@link redactSecrets}. */
export interface RedactSecretsOptions {
  /**
   * More shapes: what they match becomes `[redacted:custom]`, or has the name that is given. An expression that takes
   * more than linear time takes it from your program.
   */
  readonly patterns?: readonly (RegExp | { readonly name: string; readonly pattern: RegExp })[] | undefined;
  /** More names of members whose values are secrets: as they are but for case, `_`, `-` and `.`; or expressions. */
  readonly keys?: readonly (string | RegExp)[] | undefined;
}

/** Deeper values are left out: nobody has looked at them. */
const maxDepth = 64;
/** The same of what is beyond so many values. */
const maxNodes = 100_000;

const component = "redactSecrets";
const plainName = (name: string): string => name.replace(/[_.\s-]/g, "").toLowerCase();

/**
 * Makes a `redact` that puts `[redacted:<what>]` in the place of keys and tokens of cloud and AI providers, code hosts
 * and the like, JWTs, `Bearer` and `Basic` credentials, private keys (also cut off ones), passwords within connection
 * strings, and of values whose name says that they are secret: members (`password`, `apiKey`, `authorization`),
 * variables (`export API_KEY=…`), JSON within texts.
 *
 * It cannot know a secret that looks like any other text: a password in a sentence, a key in an encoding, one that was
 * cut in two, names of members and attributes, file names. Takes time linear in the size of the text, 2 to 7 µs for each
 * KB; sees the values that it is given, and changes none of them.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming the option, its value and what is allowed.
 */
export function redactSecrets(options: RedactSecretsOptions = {}): Redact {
  rejectUnknownOptions(component, options, ["patterns", "keys"]);
  const patterns = patternsOf(options?.patterns);
  const isKnown = keysOf(options?.keys);
  const suspicion = (name: string): Suspicion => (isKnown(name) ? "strong" : suspicionOf(name));
  return (value, field) => {
    const name = /^(?:attributes|metadata)\.(.*)/s.exec(field)?.[1] ?? "";
    return new Walk(patterns, suspicion).visit(value, suspicion(name), 0);
  };
}

/** One value, with what is in it. */
class Walk {
  readonly #patterns: readonly SecretPattern[];
  readonly #suspicionOf: (name: string) => Suspicion;
  #nodes = 0;

  constructor(patterns: readonly SecretPattern[], suspicion: (name: string) => Suspicion) {
    this.#patterns = patterns;
    this.#suspicionOf = suspicion;
  }

  /** The same value where there is nothing to redact; `suspicion` is of the name that it has. */
  visit(value: unknown, suspicion: Suspicion, depth: number): unknown {
    if (typeof value === "string")
      return isSecretValue(suspicion, value) ? redacted("secret") : redactText(value, this.#patterns);
    if (typeof value !== "object" || value === null) return value;
    if (depth > maxDepth || ++this.#nodes > maxNodes) return redacted("not looked at");
    const plain = isPlain(value) ? value : toJsonValue(value);
    if (Array.isArray(plain)) return this.#elements(plain, suspicion, depth);
    return typeof plain === "object" && plain !== null
      ? this.#members(plain, depth)
      : this.visit(plain, suspicion, depth);
  }

  #elements(value: readonly unknown[], suspicion: Suspicion, depth: number): unknown {
    let copy: unknown[] | undefined;
    for (let index = 0; index < value.length; index++) {
      const shown = this.visit(value[index], suspicion, depth + 1);
      if (shown === value[index]) continue;
      copy ??= value.slice();
      copy[index] = shown;
    }
    return copy ?? value;
  }

  #members(value: object, depth: number): unknown {
    let isChanged = false;
    const copy: Record<string, unknown> = {};
    for (const [key, member] of Object.entries(value)) {
      // Shorter ones have room for no token.
      const shownKey = key.length < 16 ? key : redactText(key, this.#patterns);
      const shown = this.visit(member, this.#suspicionOf(key), depth + 1);
      isChanged ||= shown !== member || shownKey !== key;
      setOwn(copy, shownKey, shown);
    }
    return isChanged ? copy : value;
  }
}

/** Whether `JSON.stringify` sees the members that we see. */
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

function keysOf(given: RedactSecretsOptions["keys"]): (name: string) => boolean {
  if (given !== undefined && !Array.isArray(given))
    throw invalidOption(component, "keys", given, "an array of names or regular expressions");
  const names = new Set<string>();
  const expressions: RegExp[] = [];
  for (const key of given ?? []) {
    if (key instanceof RegExp) expressions.push(new RegExp(key.source, key.flags.replace(/[gy]/g, "")));
    else if (typeof key === "string" && plainName(key) !== "") names.add(plainName(key));
    else throw invalidOption(component, "keys", key, "a name or a regular expression");
  }
  if (names.size === 0 && expressions.length === 0) return () => false;
  return (name) => names.has(plainName(name)) || expressions.some((expression) => expression.test(name));
}
