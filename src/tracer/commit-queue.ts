/**
 * Spans that have ended and are not handed out yet: the last tool call, which may still get attributes, and behind
 * it what ended after it, since a document has its spans in order of completion.
 */
import type { SessionSpan } from "./session-span.js";

/** Behind a tool call that no other follows. Whoever sets attributes on it after so many spans comes too late. */
const maxWaiting = 64;

export class CommitQueue {
  readonly #waiting: SessionSpan[] = [];
  readonly #onWait: (span: SessionSpan) => void;

  /** `onWait` is told of each span that has ended and waits. */
  constructor(onWait: (span: SessionSpan) => void) {
    this.#onWait = onWait;
  }

  /** A tool call has ended: those before it go, and it waits. */
  hold(tool: SessionSpan): void {
    this.flush();
    this.#waiting.push(tool);
  }

  /** Another span has ended: it goes at once, or behind the tool call that waits. */
  end(span: SessionSpan): void {
    if (this.#waiting.length === 0) {
      span.commit();
      return;
    }
    this.#waiting.push(span);
    if (this.#waiting.length > maxWaiting) this.flush();
    else this.#onWait(span);
  }

  /** Whether the span waits. */
  has(span: SessionSpan): boolean {
    return this.#waiting.includes(span);
  }

  /** All go, in order. */
  flush(): void {
    for (const span of this.#waiting.splice(0)) span.commit();
  }
}
