/** The spans of a session that have ended, and whose lines wait. The journal has all of them. */
import { textLength } from "../format/long-json.js";
import type { SessionSpan } from "./session-span.js";

/** What is held at most. Beyond it, spans are committed in order of completion. */
const maxHeld = 64;
const maxHeldChars = 1_000_000;

/** A span that waits, and the length of its texts, which are nearly all of its line. */
interface HeldSpan {
  readonly span: SessionSpan;
  readonly chars: number;
}

/**
 * Commits spans in order of completion, but for two: a tool call waits for its generation, whose line comes first, and the
 * last tool call waits for late attributes.
 */
export class CommitQueue {
  /** In the order of their lines. */
  #held: HeldSpan[] = [];
  #chars = 0;
  /** The tool call that may still get attributes. */
  #last: SessionSpan | undefined;
  /** Open generations for which no tool call waits any more: their tool calls were too many, or too large. */
  readonly #overtaken = new Set<SessionSpan>();
  readonly #onHold: (span: SessionSpan) => void;

  /** `onHold` is called for each span that is held behind the last tool call. */
  constructor(onHold: (span: SessionSpan) => void) {
    this.#onHold = onHold;
  }

  /** A tool call has ended: the tool call before it gets no attributes any more. */
  endTool(tool: SessionSpan): void {
    this.#last = tool;
    this.#insert(tool, this.#held.length);
    this.#commitReady();
  }

  /** Another span has ended: a generation comes before its tool calls, any other span behind the last tool call. */
  end(span: SessionSpan): void {
    const at = this.#overtaken.delete(span) ? -1 : this.#held.findIndex((one) => one.span.parent === span);
    if (this.#insert(span, at < 0 ? this.#held.length : at)) this.#last = undefined;
    this.#commitReady();
    if (this.#held.some((one) => one.span === span)) this.#onHold(span);
  }

  /** Whether the span is the last tool call, and may still get attributes. */
  isLast(span: SessionSpan): boolean {
    return this.#last === span;
  }

  /** Commits every span that waits for no open generation. */
  endTurn(): void {
    this.#last = undefined;
    this.#commitReady();
  }

  /** Returns whether the queue was full: then no tool call of the open generations waits for them any more. */
  #insert(span: SessionSpan, at: number): boolean {
    const { input, output } = span.record;
    const chars = textLength(input) + textLength(output);
    this.#held.splice(at, 0, { span, chars });
    this.#chars += chars;
    if (this.#held.length <= maxHeld && this.#chars <= maxHeldChars) return false;
    for (const { parent } of this.#held.map((one) => one.span))
      if (parent && !parent.hasEnded) this.#overtaken.add(parent);
    return true;
  }

  #commitReady(): void {
    const ready: SessionSpan[] = [];
    const kept: HeldSpan[] = [];
    let isBehindLast = false;
    for (const held of this.#held) {
      const { span, chars } = held;
      const { parent } = span;
      const isEarly = parent !== undefined && !parent.hasEnded && !this.#overtaken.has(parent);
      // A tool call that waits for its generation keeps no other span back.
      if (span === this.#last && !isEarly) isBehindLast = true;
      if (isEarly || isBehindLast) {
        kept.push(held);
        continue;
      }
      ready.push(span);
      this.#chars -= chars;
    }
    // Before the commits, which run code of the host.
    this.#held = kept;
    for (const span of ready) span.commit();
  }
}
