/** Bars of text: spans on a time axis, and how much of a work is done. */
import { isTime } from "../platform/epoch-time.js";
import { padStart, shortDuration } from "./display-text.js";

/** A time axis of so many columns. Times are epoch milliseconds. */
export class TimeBars {
  readonly #from: number;
  readonly #to: number;
  readonly #columns: number;

  constructor(from: number, to: number, columns: number) {
    this.#from = from;
    this.#to = to;
    this.#columns = Math.max(2, columns);
  }

  /** The header of the bars: `0` and the whole length. */
  axis(): string {
    const length = shortDuration(this.#to - this.#from);
    const hasZero = length.length + 2 <= this.#columns;
    return hasZero ? `0${padStart(length, this.#columns - 1)}` : padStart(length, this.#columns);
  }

  /** Spaces before a bar, and the bar; none of both for times that are not known. `end`: its last sign, which shows a state without colours. */
  bar(start: number, stop: number, end: string): { readonly before: string; readonly bar: string } {
    if (!isTime(start) || !isTime(stop)) return { before: "", bar: "" };
    const [begin, last] = [this.#place(start), this.#place(stop)];
    return { before: " ".repeat(begin), bar: `${"━".repeat(Math.max(0, last - begin))}${end}` };
  }

  /** A moment of the axis. */
  point(time: number, sign: string): { readonly before: string; readonly bar: string } {
    return { before: " ".repeat(this.#place(time)), bar: sign };
  }

  #place(time: number): number {
    const last = this.#columns - 1;
    return Math.max(
      0,
      Math.min(last, Math.round(((time - this.#from) / Math.max(1, this.#to - this.#from)) * last)),
    );
  }
}

/** `███████░░░░░ 58/100`: how much of a work is done. */
export function meter(done: number, total: number, columns = 20): string {
  const filled = Math.round((Math.min(done, total) / Math.max(1, total)) * columns);
  return `${"█".repeat(filled)}${"░".repeat(columns - filled)} ${Math.floor(done)}/${total}`;
}
