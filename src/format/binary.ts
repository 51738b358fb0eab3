/** Binary data among the values of attributes. */

/** Fewer numbers under consecutive keys are an object like any other. */
const MIN_BYTES = 64;

/**
 * The bytes of a value that is binary data: a buffer or a view of bytes, a `Buffer` that went through JSON, and an object
 * with bytes under the keys 0, 1, 2 and so on, which is a `Uint8Array` that went through JSON. Other typed arrays are
 * numbers.
 */
export function bytesOf(value: object): Uint8Array | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  // Most values are arrays and plain objects: with the views first, each call of a model took 1 µs more.
  if (prototype === Array.prototype) return undefined;
  if (prototype !== Object.prototype && prototype !== null) return bytesIn(value);
  const { 0: first, type, data } = value as { 0?: unknown; type?: unknown; data?: unknown };
  if ((type !== "Buffer" && !isByte(first)) || !isPlainObject(value)) return undefined;
  if (type === "Buffer" && Array.isArray(data) && Object.keys(value).length === 2)
    return byteList(data, data.length);
  if (!isByte(first)) return undefined;
  const numbered = value as Record<number, unknown>;
  let length = 0;
  while (isByte(numbered[length])) length++;
  if (length < MIN_BYTES || length in value) return undefined;
  return Object.keys(value).length === length ? byteList(numbered, length) : undefined;
}

/** The bytes of a buffer, or of a view of bytes. */
function bytesIn(value: object): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (value instanceof Uint8ClampedArray || value instanceof DataView)
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (typeof SharedArrayBuffer === "function" && value instanceof SharedArrayBuffer)
    return new Uint8Array(value);
  return undefined;
}

function byteList(numbers: Readonly<Record<number, unknown>>, length: number): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) {
    const number = numbers[index];
    if (!isByte(number)) return undefined;
    bytes[index] = number;
  }
  return bytes;
}

const isByte = (value: unknown): value is number =>
  typeof value === "number" && value >= 0 && value <= 255 && Number.isInteger(value);

/** Bytes as base64. */
export const base64 = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString("base64");

/** Whether an object has no class, and no JSON of its own. */
export function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === Object.prototype || prototype === null;
  return isPlain && typeof (value as { toJSON?: unknown }).toJSON !== "function";
}
