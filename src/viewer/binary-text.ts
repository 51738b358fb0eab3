/** Base64 in texts: recognised by its beginning, so that a page shows "image, 2 MB" and not two million letters. */

export interface BinaryText {
  /** Media type; `undefined` for bytes of no known kind. */
  readonly mediaType: string | undefined;
  readonly bytes: number;
  /** The base64 itself. */
  readonly data: string;
}

/** The first bytes of formats, in base64. */
const beginnings: readonly (readonly [beginning: string, mediaType: string])[] = [
  ["iVBORw0KGgo", "image/png"],
  ["/9j/", "image/jpeg"],
  ["R0lGOD", "image/gif"],
  ["UklGR", "image/webp"],
  ["JVBERi0", "application/pdf"],
  ["UEsDB", "application/zip"],
];

/** Media types that a browser shows as an image, without scripts: SVG is none of them. */
const imageTypes: readonly string[] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

export const isImage = ({ mediaType }: BinaryText): boolean => imageTypes.includes(mediaType ?? "");

/** Shorter texts are as readable as their description. */
const shortest = 200;

export function binaryText(text: string): BinaryText | undefined {
  if (text.length < shortest) return undefined;
  const [prefix = "", declared] =
    /^data:([\w.+-]+\/[\w.+-]+)?(?:;[\w.+=-]+)*;base64,/.exec(text.slice(0, 200)) ?? [];
  const data = text.slice(prefix.length);
  // Text without spaces and lines is rare, other than base64. A cut value ends in a marker.
  const sample = data.slice(0, 2_000);
  if (!/^[A-Za-z0-9+/_-]+=*/.test(sample) || /[^A-Za-z0-9+/=_\-[\]… :]/.test(sample)) return undefined;
  const [, known] = beginnings.find(([beginning]) => data.startsWith(beginning)) ?? [];
  const mediaType = known ?? declared;
  if (mediaType === undefined && !isMixed(sample)) return undefined;
  return { mediaType, bytes: Math.floor((data.length * 3) / 4), data };
}

/** Random bytes have digits, small and capital letters in any part; words and hexadecimal digits have not. */
const isMixed = (sample: string): boolean =>
  sample.length >= shortest &&
  !/\s/.test(sample.slice(0, shortest)) &&
  [/[A-Z].*[A-Z].*[A-Z]/, /[a-z].*[a-z].*[a-z]/, /[0-9].*[0-9].*[0-9]/].every((some) =>
    some.test(sample.slice(0, shortest)),
  );

/** The bytes, as far as they are base64. */
export function bytesIn({ data }: BinaryText): Uint8Array<ArrayBuffer> | undefined {
  const [whole = ""] = /^[A-Za-z0-9+/_-]*/.exec(data) ?? [];
  const usable = whole.slice(0, whole.length - (whole.length % 4 === 1 ? 1 : 0));
  try {
    return Uint8Array.from(atob(usable.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  } catch {
    return undefined;
  }
}
