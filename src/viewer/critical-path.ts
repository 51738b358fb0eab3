/** The spans that a session waited for: without one of them it would have ended earlier. */
import type { ViewRow } from "../cli/session-view.js";
import type { SessionRows } from "./session-rows.js";

/**
 * Numbers of the rows on the critical path. From the end of a span backwards: the child that ended last is on the path,
 * then the one that ended last before that child began, and so on down the tree.
 */
export function criticalPath({ head, roots, childrenOf }: SessionRows): ReadonlySet<number> {
  const path = new Set<number>();
  const left: { readonly children: readonly ViewRow[]; readonly until: number }[] = [
    { children: roots, until: head.to },
  ];
  for (let next = left.pop(); next; next = left.pop()) {
    let until = next.until;
    const endOf = (row: ViewRow) => Math.min(row.end ?? head.to, next.until);
    const byEnd = [...next.children].sort((a, b) => endOf(b) - endOf(a) || b.start - a.start);
    for (const row of byEnd) {
      if (row.start >= until && row.end !== row.start) continue;
      if (endOf(row) > until) continue;
      path.add(row.n);
      left.push({ children: childrenOf.get(row.n) ?? [], until: endOf(row) });
      until = Math.min(until, row.start);
    }
  }
  return path;
}
