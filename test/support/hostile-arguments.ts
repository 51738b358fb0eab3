/** Arguments that a caller may pass by mistake or with bad intent. */

const refuse = (): never => {
  throw new Error("refused");
};

/** Every trap throws. */
const throwingProxy = (): object =>
  new Proxy(() => {}, {
    get: refuse,
    has: refuse,
    ownKeys: refuse,
    getPrototypeOf: refuse,
    getOwnPropertyDescriptor: refuse,
    apply: refuse,
  });

/** An object or an array whose every use throws. */
function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

const refuseUnreadably = (): never => {
  throw revoked({});
};

function circular(): Record<string, unknown> {
  const value: Record<string, unknown> = { name: "circular" };
  value.self = value;
  return value;
}

/** Every member that the tracer reads throws. */
function throwingGetters(): object {
  const value = {};
  const keys = [
    "id",
    "messageID",
    "text",
    "tool",
    "callID",
    "state",
    "name",
    "startTime",
    "attributes",
    "tags",
  ];
  for (const key of [...keys, "title", "prompt", "modelID", "userId", "traceparent", "parent", "tokens"])
    Object.defineProperty(value, key, { enumerable: true, get: refuse });
  return value;
}

/** New values at each call, with their descriptions. */
export const hostileArguments = (): [what: string, value: unknown][] => [
  ["undefined", undefined],
  ["null", null],
  ["0", 0],
  ["-1", -1],
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["a bigint", 10n],
  ["true", true],
  ["false", false],
  ["an empty text", ""],
  ["a text", "text"],
  ["a lone surrogate", "\ud800 and \udfff"],
  ["line ends and NUL", "a\nb\r\u2028\u2029\u0000"],
  ["a huge text", "x".repeat(200_000)],
  ["a symbol", Symbol("s")],
  ["a function", () => 1],
  ["a class", class Thing {}],
  ["an empty object", {}],
  ["an object without a prototype", Object.create(null)],
  ["a list", [1, [2], null]],
  ["a list with holes", new Array(3)],
  ["a circular object", circular()],
  ["a date", new Date(0)],
  ["no date", new Date(Number.NaN)],
  ["a map", new Map([["a", 1]])],
  ["bytes", new Uint8Array([1, 2, 3])],
  ["an error", new Error("oh")],
  ["a throwing toString", { toString: refuse, valueOf: refuse }],
  ["a throwing toJSON", { toJSON: refuse }],
  ["a toJSON that throws what cannot be read", { toJSON: refuseUnreadably }],
  ["throwing getters", throwingGetters()],
  ["a throwing Proxy", throwingProxy()],
  ["a revoked object", revoked({})],
  ["a revoked list", revoked([])],
  ["a list of hostile members", [throwingProxy(), revoked({}), Symbol("t"), 1n, "tag"]],
  ["an object with __proto__", JSON.parse('{"__proto__":{"polluted":1},"constructor":"c"}')],
];
