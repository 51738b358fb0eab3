/**
 * Values of spans that are nested thousands of levels deep. `JSON.parse` reads them, and `JSON.stringify` exceeds the call
 * stack at some thousand levels, as every function does that visits members by calling itself.
 */
import type { TraceSpan } from "../format/trace-file.js";

/** Sessions of this package have 32 levels at most (`format/json-value.ts`). */
const maxDepth = 500;
const marker = `[truncated: deeper than ${maxDepth} levels]`;

/** Replaces what is deeper, in place: the spans were just parsed, and belong to the caller alone. */
export function cutDeepValues(spans: readonly TraceSpan[]): void {
  let level: object[] = [...spans];
  for (let depth = 0; level.length > 0; depth++) {
    const next: object[] = [];
    for (const holder of level as Record<string, unknown>[]) {
      for (const key in holder) {
        const value = holder[key];
        if (typeof value !== "object" || value === null) continue;
        if (depth < maxDepth) next.push(value);
        else holder[key] = marker;
      }
    }
    level = next;
  }
}
