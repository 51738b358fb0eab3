/**
 * Spans that did not arrive, counted by why.
 */

/** Reasons that are told apart; the names of a host's errors could be any number. */
const maxTypes = 30;

export class LostSpans {
  total = 0;
  readonly #byType = new Map<string, number>();

  /** `type`: what the metrics call `error.type`. */
  add(type: string, spans: number): void {
    const kind = this.#byType.has(type) || this.#byType.size < maxTypes ? type : "_OTHER";
    this.total += spans;
    this.#byType.set(kind, (this.#byType.get(kind) ?? 0) + spans);
  }

  /** A snapshot. */
  get byType(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#byType);
  }
}

/** An error in one word (semantic conventions, `error.type`): its name, as other processors and exporters say it. */
export function errorTypeOf(error: unknown): string {
  try {
    const { name } = error as Error;
    if (error instanceof Error && typeof name === "string" && name !== "") return name.slice(0, 100);
  } catch {
    // No name, then.
  }
  return "_OTHER";
}
