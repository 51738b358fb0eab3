/**
 * What ended writers of a session that were under way, while the session went on. Pure functions.
 */
import type { DocumentTail } from "./document.js";
import { isRecord } from "./json-value.js";

/**
 * Detectors, the last one last: of the writer that is gone under `""`, and those of process hooks under the tokens of their
 * writers, which take them back if their processes live on. A peer writer hands such a detector on: when the process is gone, no
 * file but the document has it.
 */
export type LostWriters = ReadonlyMap<string, string>;

/** The key of a writer that is gone. */
export const gone = "";

/** Entries in `layout.lost` of a document. */
const maxLost = 16;

/** Reads them from a document, whose layout another program may have written. */
export function readLost({ summary, layout }: Pick<DocumentTail, "summary" | "layout">): Map<string, string> {
  const listed: unknown = layout.lost;
  if (isRecord(listed)) {
    const entries = Object.entries(listed);
    return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
  }
  const { detector } = summary;
  return new Map(detector === undefined ? [] : [[layout.provisional ?? gone, detector]]);
}

/** With one more, the last. */
export function withLost(lost: LostWriters, key: string, detector: string | undefined): LostWriters {
  if (detector === undefined) return lost;
  return new Map([...[...lost].filter(([known]) => known !== key), [key, detector]]);
}

/** Without those of these writers, whose process went on. */
export const withoutLost = (lost: LostWriters, tokens: readonly string[] = []): LostWriters =>
  new Map([...lost].filter(([key]) => !tokens.includes(key)));

/** The last of them; without `isDead` also where the process may take it back. */
export const lastLost = (lost: LostWriters, isDead?: (token: string) => boolean): string | undefined =>
  [...lost].filter(([key]) => key === gone || !isDead || isDead(key)).at(-1)?.[1];

/** `layout.lost`. */
export const lostOf = (lost: LostWriters): Pick<DocumentTail["layout"], "lost"> =>
  lost.size > 0 ? { lost: Object.fromEntries([...lost].slice(-maxLost)) } : {};
