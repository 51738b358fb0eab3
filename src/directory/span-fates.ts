/**
 * What became of spans, as their processors know them, for those that come here again.
 */

/** `recorded`: it has its line, and may come through a second processor. `closed`: its session ended before it. */
type SpanFate = "recorded" | "closed";

export class SpanFates {
  readonly #fates = new WeakMap<object, SpanFate>();

  /** `undefined`: its end is news. */
  of(source: object): SpanFate | undefined {
    return this.#fates.get(source);
  }

  set(source: object, fate: SpanFate): void {
    this.#fates.set(source, fate);
  }
}
