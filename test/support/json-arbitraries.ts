/**
 * Arbitrary JSON, with keys that the JSON.parse of the runtime at hand reads as they were written.
 *
 * V8 13.6, in Node 24.21, reads `\n`, `\"` and their like as the key `\` where an object that began alike had that key:
 * `JSON.parse('{"p":1,"\\\\":2}'); JSON.parse('{"p":1,"\\n":3}')` gives `{ p: 1, "\\": 3 }`. No text with such keys can
 * be read correctly there, so there no key has a backslash. Node 20 and 22 and Bun read all of them.
 */
import fc from "fast-check";

const read = ['{"a key to ask with":1,"\\\\":2}', '{"a key to ask with":1,"\\n":3}'].map((text) =>
  JSON.stringify(JSON.parse(text)),
);
const misreadsKeys = read[1]?.includes("\\\\") ?? false;

/** The key as this runtime can read it. */
export const readableKey = (key: string): string => (misreadsKeys ? key.replaceAll("\\", "/") : key);

function withReadableKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withReadableKeys);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [readableKey(key), withReadableKeys(one)]),
  );
}

export const anyJson: fc.Arbitrary<unknown> = fc
  .jsonValue()
  .map((value) => (misreadsKeys ? withReadableKeys(value) : value));

export const anyJsonText: fc.Arbitrary<string> = anyJson.map((value) => JSON.stringify(value));
