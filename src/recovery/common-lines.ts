/**
 * Lines that two files begin with alike: a published document is a copy of what its writer's open document held then,
 * and what is compared need not be parsed, which costs some ten times as much.
 */

import type { Gensync } from "../platform/gensync.js";
import { chunkBytes, type LineRange, readRange } from "../storage/lines.js";

const newline = 0x0a;

/** How many bytes both begin with, in whole lines. */
export function* commonLines(a: LineRange, b: LineRange): Gensync<number> {
  const most = Math.min(a.to - a.from, b.to - b.from);
  let whole = 0;
  for (let done = 0; done < most; ) {
    const wanted = Math.min(chunkBytes, most - done);
    const ours = yield* readRange(a.fd, a.from + done, a.from + done + wanted);
    const theirs = yield* readRange(b.fd, b.from + done, b.from + done + wanted);
    const alike = commonBytes(ours, theirs);
    const end = alike === 0 ? -1 : ours.lastIndexOf(newline, alike - 1);
    if (end >= 0) whole = done + end + 1;
    done += alike;
    if (alike < wanted) break;
  }
  return whole;
}

/** How many bytes both begin with. */
function commonBytes(a: Buffer, b: Buffer): number {
  const most = Math.min(a.length, b.length);
  if (a.subarray(0, most).equals(b.subarray(0, most))) return most;
  // Halving: each comparison is one of memory.
  let [same, different] = [0, most];
  while (different - same > 1) {
    const middle = (same + different) >> 1;
    if (a.subarray(same, middle).equals(b.subarray(same, middle))) same = middle;
    else different = middle;
  }
  return same;
}
