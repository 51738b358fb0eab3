/**
 * The tool calls of a session: those that run, the last one, and those that are known when they are told again.
 */

import type { SessionHistory } from "../format/history.js";
import { RecentMap } from "../platform/recent-map.js";
import { maxKnownCalls } from "../storage/session-history.js";
import type { SessionSpan } from "./session-span.js";
import type { ToolCall } from "./tool-call.js";

/** What the next step is told of results: more than this many are counted, not quoted. */
const maxResults = 1_000;

/** Beginnings that are known of one call id, for hosts that use one again and again. */
const maxBeginnings = 16;

export class SessionTools {
  /** The call that was told of last, running or ended. */
  last: SessionSpan | undefined;
  readonly #running = new Map<string, SessionSpan>();
  readonly #nameless: SessionSpan[] = [];
  /** When calls that have ended began, by their id: one that is made again begins again. */
  readonly #ended = new RecentMap<string, number | readonly number[]>(maxKnownCalls);
  #results: string[] = [];
  #unquoted = 0;

  constructor(history: SessionHistory) {
    for (const { callId, startTime } of history.calls) this.#know(callId, startTime);
  }

  /** Whether this very call has ended before: hosts that compact their history tell it again. */
  isKnown({ callId, startTime, hasStartTime }: ToolCall): boolean {
    if (callId === undefined || !hasStartTime) return false;
    const began = this.#ended.get(callId);
    return typeof began === "object" ? began.includes(startTime) : began === startTime;
  }

  running(callId: string | undefined): SessionSpan | undefined {
    return callId === undefined ? undefined : this.#running.get(callId);
  }

  get newestRunning(): SessionSpan | undefined {
    return [...this.#running.values()].at(-1);
  }

  /** All that the end of their session has to end. */
  allRunning(): SessionSpan[] {
    return [...this.#running.values(), ...this.#nameless];
  }

  /** A call without an id is never told of again: nothing runs in it, and it ends with its session. */
  start({ callId }: ToolCall, span: SessionSpan): void {
    if (callId !== undefined) this.#running.set(callId, span);
    else this.#nameless.push(span);
    this.last = span;
  }

  end({ callId, startTime, hasStartTime }: ToolCall, span: SessionSpan, summary: string): void {
    if (callId !== undefined) {
      this.#running.delete(callId);
      if (hasStartTime) this.#know(callId, startTime);
    }
    this.last = span;
    if (this.#results.length < maxResults) this.#results.push(summary);
    else this.#unquoted++;
  }

  /** Results since the last time, a line each. */
  takeResults(): string | undefined {
    if (this.#results.length === 0) return undefined;
    const more = this.#unquoted > 0 ? [`… and ${this.#unquoted} more`] : [];
    const text = [...this.#results, ...more].join("\n");
    this.#results = [];
    this.#unquoted = 0;
    return text;
  }

  #know(callId: string, startTime: number): void {
    const began = this.#ended.get(callId);
    this.#ended.set(
      callId,
      began === undefined ? startTime : [began, startTime].flat().slice(-maxBeginnings),
    );
  }
}
