/** The same content under two keys: what an attribute has that no other attribute of the span has. */
import { isRecord } from "../format/json-value.js";
import { decode } from "./content.js";
import { langChainMessage } from "./messages.js";

/** A longer text is the same wherever it is; a shorter value must have the same name, too. */
const longEnough = 24;
/** A longer attribute is not compared: it is kept twice. */
const maxCompared = 1_000_000;

/** Names of members that hold a text. */
const textNames: ReadonlySet<string> = new Set([
  "text",
  "content",
  "value",
  "thinking",
  "reasoning",
  "output",
]);

const named = (name: string, value: unknown): string =>
  `${textNames.has(name) ? "text" : name} ${typeof value} ${value}`;

/** The texts and numbers of attributes, JSON text included. */
export class Leaves {
  readonly #long = new Set<string>();
  readonly #named = new Set<string>();

  /** `left`: keys of attributes that do not count. */
  constructor(attributes: ReadonlyMap<string, unknown>, left: readonly string[]) {
    for (const [key, value] of attributes) {
      if (left.includes(key)) continue;
      const name = key.slice(key.lastIndexOf(".") + 1);
      this.#add(name, value);
      const structure = isComparable(value) ? decode(value, "structure") : value;
      if (structure !== value) this.#add(name, structure);
    }
  }

  #add(name: string, value: unknown): void {
    if (typeof value === "string" && value.length > longEnough) this.#long.add(value);
    else if (Array.isArray(value)) for (const one of value) this.#add(name, one);
    else if (isRecord(value)) for (const [key, one] of Object.entries(value)) this.#add(key, one);
    else if (value !== undefined) this.#named.add(named(name, value));
  }

  has(name: string, value: unknown): boolean {
    if (value === null || value === undefined || value === "") return true;
    if (typeof value === "string" && value.length > longEnough) return this.#long.has(value);
    return this.#named.has(named(name, value));
  }
}

const isComparable = (value: unknown): value is string =>
  typeof value === "string" && value.length <= maxCompared;

/** The part of a text, or of its JSON, that the leaves do not have; `undefined` if they have all of it. */
export function unlike(leaves: Leaves, text: unknown): unknown {
  if (!isComparable(text)) return text;
  const value = decode(text, "structure");
  const rest = without(value, "text", leaves);
  return rest === undefined || typeof rest === "string" ? rest : JSON.stringify(rest);
}

function without(value: unknown, name: string, leaves: Leaves): unknown {
  if (Array.isArray(value)) {
    const rest = value.map((one) => without(one, name, leaves)).filter((one) => one !== undefined);
    return rest.length > 0 ? rest : undefined;
  }
  if (!isRecord(value)) return leaves.has(name, value) ? undefined : value;
  const members = langChainMessage(value) ?? value;
  const rest = Object.entries(members).flatMap(([key, member]) => {
    // A position in a list says nothing that the list does not say.
    const left = key === "index" ? undefined : without(member, key, leaves);
    return left === undefined ? [] : [[key, left]];
  });
  // The type of a message or a part whose content others have says nothing more.
  return rest.some(([key]) => key !== "type") ? Object.fromEntries(rest) : undefined;
}
