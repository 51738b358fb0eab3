import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isPlainAttribute, toJsonValue } from "../../src/format/json-value.js";

/** A Proxy whose every trap throws. */
function hostileProxy(target: object): object {
  const trap = () => {
    throw new Error("trapped");
  };
  return new Proxy(
    target,
    Object.fromEntries(
      ["get", "has", "ownKeys", "getOwnPropertyDescriptor", "getPrototypeOf"].map((name) => [name, trap]),
    ),
  );
}

function nested(levels: number): unknown {
  let value: unknown = "bottom";
  for (let level = 0; level < levels; level++) value = { in: value };
  return value;
}

class Refusing {
  toJSON(): never {
    throw new Error("no");
  }
}

describe("toJsonValue", () => {
  test.each<[string, unknown, unknown]>([
    ["a string", "text", "text"],
    ["null", null, null],
    ["undefined", undefined, undefined],
    ["NaN", Number.NaN, null],
    ["Infinity", Number.NEGATIVE_INFINITY, null],
    ["a BigInt", 12345678901234567890n, "12345678901234567890"],
    ["a symbol", Symbol("s"), "Symbol(s)"],
    ["a function", function run() {}, "[function run]"],
    ["an array of primitives", ["a", 1, null, Number.NaN], ["a", 1, null, null]],
    ["undefined in an array", [undefined, 1], [null, 1]],
    ["undefined in an object", { a: undefined, b: 1 }, { b: 1 }],
    ["a Date", new Date(0), "1970-01-01T00:00:00.000Z"],
    ["an invalid Date", new Date(Number.NaN), null],
    ["bytes", new Uint8Array([1, 2, 255]), "AQL/"],
    ["a view into a buffer", new Uint8Array([9, 1, 2, 255]).subarray(1), "AQL/"],
    ["a Buffer", Buffer.from([1, 2, 255]), "AQL/"],
    ["an ArrayBuffer", new Uint8Array([1, 2, 255]).buffer, "AQL/"],
    ["a Float32Array", new Float32Array([0.5, Number.NaN]), [0.5, null]],
    ["a BigInt64Array", new BigInt64Array([5n]), ["5"]],
    ["a Map with text keys", new Map([["a", { b: 1n }]]), { a: { b: "1" } }],
    ["a Map with other keys", new Map([[1, "one"]]), [[1, "one"]]],
    ["a Set", new Set(["a", 1n]), ["a", "1"]],
    ["a boxed number", Object(5), 5],
    ["a URL", new URL("https://example.com/a"), "https://example.com/a"],
    ["toJSON that gives an object", { toJSON: () => ({ a: 1n }) }, { a: "1" }],
    ["toJSON that gives nothing", { toJSON: () => undefined }, undefined],
  ])("converts %s", (_, value, expected) => {
    expect(toJsonValue(value)).toEqual(expected);
  });

  test("honours toJSON once", () => {
    const value = {
      toJSON() {
        return { again: true, toJSON: () => "twice" };
      },
    };
    expect(toJsonValue(value)).toEqual({ again: true, toJSON: "[function toJSON]" });
    const itself = { kept: 1, toJSON: () => itself };
    expect(toJsonValue(itself)).toEqual({ kept: 1, toJSON: "[function toJSON]" });
  });

  test("keeps an Error's name, message, stack and cause", () => {
    const error = new TypeError("outer", { cause: new Error("inner") });
    expect(toJsonValue(error)).toMatchObject({
      name: "TypeError",
      message: "outer",
      stack: expect.stringContaining("TypeError: outer"),
      cause: { name: "Error", message: "inner" },
    });
  });

  test("marks a circle, and writes a repeated object twice", () => {
    const circular: Record<string, unknown> = { a: 1 };
    circular.self = { up: circular };
    expect(toJsonValue(circular)).toEqual({ a: 1, self: { up: "[circular]" } });
    const shared = { s: 1 };
    expect(toJsonValue([shared, shared])).toEqual([{ s: 1 }, { s: 1 }]);
  });

  test("cuts at 32 levels and at 10,000 values, visibly", () => {
    expect(JSON.stringify(toJsonValue(nested(31)))).toContain('"bottom"');
    expect(JSON.stringify(toJsonValue(nested(100_000)))).toContain("[truncated: deeper than 32 levels]");
    const wide = toJsonValue(Array.from({ length: 50_000 }, () => ({}))) as unknown[];
    expect(wide).toHaveLength(10_000);
    expect(wide.at(-1)).toBe("[truncated: more than 10000 values]");
    const many = toJsonValue(Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`k${i}`, i])));
    expect(Object.values(many as object).at(-1)).toBe("[truncated: more than 10000 values]");
  });

  test("keeps an embedding vector whole", () => {
    const vector = Array.from({ length: 12_288 }, (_, i) => i / 7);
    expect(toJsonValue(vector)).toEqual(vector);
    expect(toJsonValue(Float64Array.from(vector))).toEqual(vector);
  });

  test("P6 a bad value loses itself, not its neighbours", () => {
    const value = {
      before: 1,
      get broken() {
        throw new Error("no luck");
      },
      refusing: new Refusing(),
      list: [1, hostileProxy({}), 3],
      detached: hostileProxy(new Uint8Array(2)),
      after: 2,
    };
    expect(toJsonValue(value)).toEqual({
      before: 1,
      broken: "[unreadable: no luck]",
      refusing: "[unreadable: no]",
      list: [1, "[unreadable: trapped]", 3],
      detached: "[unreadable: trapped]",
      after: 2,
    });
  });

  test.each<[string, () => unknown, string]>([
    ["null", () => null, "[unreadable: null]"],
    ["a Proxy", () => hostileProxy({}), "[unreadable: unknown]"],
    [
      "an Error with no readable message",
      () => Object.defineProperty(new Error(), "message", { get: () => hostileProxy({}) }),
      "[unreadable: unknown]",
    ],
    ["a megabyte", () => "x".repeat(1e6), `[unreadable: ${"x".repeat(200)}]`],
  ])("P6 a getter may throw %s", (_, thrown, expected) => {
    const value = {
      get broken() {
        throw thrown();
      },
    };
    expect(toJsonValue(value)).toEqual({ broken: expected });
  });

  test("P6 elements, length or iterator of an array may be hostile", () => {
    const list = [1, 2, 3];
    Object.defineProperty(list, 1, {
      get: () => {
        throw new Error("hole");
      },
    });
    Object.defineProperty(list, Symbol.iterator, { value: hostileProxy(() => {}) });
    expect(toJsonValue(list)).toEqual([1, "[unreadable: hole]", 3]);
    const endless = new Proxy([], { get: (_, key) => (key === "length" ? 2 ** 32 - 1 : 7) });
    expect(toJsonValue(endless)).toHaveLength(10_000);
    const { proxy, revoke } = Proxy.revocable([], {});
    revoke();
    expect(toJsonValue(proxy)).toMatch(/^\[unreadable: /);
  });

  test("P6 a value that changes between two reads is read once", () => {
    let reads = 0;
    const list = ["first"];
    Object.defineProperty(list, 0, { enumerable: true, get: () => (reads++ === 0 ? "first" : 1n) });
    expect(JSON.stringify(toJsonValue(list))).toBe('["first"]');
  });

  test("P6 __proto__ stays data and reaches no prototype", () => {
    const value = JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}');
    const result = toJsonValue(value) as object;
    expect(JSON.stringify(result)).toBe(JSON.stringify(value));
    expect(Object.getPrototypeOf(result)).toBe(Object.prototype);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test("returns 5 MB of text without copying it", () => {
    const text = "x".repeat(5_000_000);
    const started = performance.now();
    for (let time = 0; time < 1000; time++) toJsonValue({ text });
    expect(performance.now() - started).toBeLessThan(500);
    expect((toJsonValue({ text }) as { text: string }).text).toBe(text);
  });

  test("P6 JSON.stringify never throws on the result, and equals its output for plain values", () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withSet: true,
          withTypedArray: true,
          withSparseArray: true,
          withNullPrototype: true,
          withBoxedValues: true,
        }),
        (value) => {
          JSON.stringify(toJsonValue(value));
        },
      ),
    );
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        expect(JSON.stringify(toJsonValue(value))).toBe(JSON.stringify(value));
      }),
    );
  });
});

describe("isPlainAttribute", () => {
  test("accepts values that JSON.stringify writes unchanged", () => {
    for (const value of ["text", Number.NaN, false, null, ["a", 1, null], []]) {
      expect(isPlainAttribute(value)).toBe(true);
    }
  });

  test("P6 refuses everything else, and does not throw", () => {
    const refused = [undefined, 1n, Symbol("s"), () => {}, {}, new Date(), [["nested"]], [undefined]];
    for (const value of [...refused, Object.assign([1], { toJSON: () => 1n }), hostileProxy([])]) {
      expect(isPlainAttribute(value)).toBe(false);
    }
  });
});
