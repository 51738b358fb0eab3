/** Finds a text in everything that a span holds. */

/** The first place of a text in a span. */
export interface TextMatch {
  /** Path of the member: `input.command`, for example. */
  readonly field: string;
  /** The text around the match. */
  readonly snippet: string;
  /** Where in the snippet the match begins. */
  readonly at: number;
}

const around = { before: 40, after: 80 } as const;
/** A value of more members is searched so far. */
const maxNodes = 200_000;

/** The first match in a value, without regard to case; members in their order. `wanted` is in lower case. */
export function findText(value: unknown, wanted: string): TextMatch | undefined {
  const left: { readonly field: string; readonly value: unknown }[] = [{ field: "", value }];
  for (let seen = 0; seen < maxNodes; seen++) {
    const next = left.pop();
    if (!next) return undefined;
    if (typeof next.value === "object" && next.value !== null) {
      const members = Object.entries(next.value).reverse();
      for (const [key, member] of members)
        left.push({ field: next.field ? `${next.field}.${key}` : key, value: member });
      continue;
    }
    const text = typeof next.value === "string" ? next.value : String(next.value ?? "");
    const at = text.toLowerCase().indexOf(wanted);
    if (at < 0) continue;
    const from = Math.max(0, at - around.before);
    return {
      field: next.field.slice(0, 200),
      snippet: text.slice(from, at + wanted.length + around.after),
      at: at - from,
    };
  }
  return undefined;
}
