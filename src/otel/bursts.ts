/**
 * What happens again and again, told as little as will do: the first at once, since nothing else may happen for long;
 * how many there were since at the end of ever longer windows; and, if somebody wants to know, that it is over.
 */
import type { Clock, Timer } from "../platform/clock.js";

/**
 * Windows grow up to this, so that what lasts is a line a minute. A burst is over after as long without news, and not
 * before: what comes every few seconds would be told each time.
 */
const longestWindowMillis = 60_000;

/** Kinds that are told apart; a program has a handful, and one that names them anew each time is not followed. */
const maxKinds = 100;

/** What is said of a burst. */
interface Telling {
  first(): void;
  /** `count` since the last time it was told. */
  more?(count: number): void;
  /** Nothing for a minute; `total` in all. */
  over?(total: number): void;
}

interface Burst {
  readonly telling: Telling;
  total: number;
  untold: number;
  /** What the window that runs has seen: `quiet` is the last one, and a whole minute. */
  window: "news" | "no news" | "quiet";
  windowMillis: number;
  timer: Timer | undefined;
}

export class Bursts {
  readonly #bursts = new Map<string, Burst>();

  constructor(
    private readonly clock: Clock,
    private readonly firstWindowMillis: number,
  ) {}

  /** It has happened, to `count` of what is counted. The first of a burst says what is told of all of it. */
  add(kind: string, count: number, telling: Telling): void {
    const known = this.#bursts.get(kind);
    if (known) {
      known.total += count;
      known.untold += count;
      known.window = "news";
      return;
    }
    if (this.#bursts.size >= maxKinds) return;
    const windowMillis = Math.min(this.firstWindowMillis, longestWindowMillis);
    const burst: Burst = {
      telling,
      total: count,
      untold: 0,
      window: "no news",
      windowMillis,
      timer: undefined,
    };
    this.#bursts.set(kind, burst);
    this.#await(kind, burst);
    telling.first();
  }

  /** Tells now what was not told yet. */
  tell(): void {
    for (const burst of this.#bursts.values()) tellMore(burst);
  }

  /** The same, and forgets: what comes after it is a new burst. */
  end(): void {
    const bursts = [...this.#bursts.values()];
    this.#bursts.clear();
    for (const burst of bursts) {
      burst.timer?.cancel();
      tellMore(burst);
    }
  }

  #await(kind: string, burst: Burst): void {
    burst.timer = this.clock.after(burst.windowMillis, () => this.#windowOver(kind, burst));
  }

  #windowOver(kind: string, burst: Burst): void {
    if (burst.window === "quiet") {
      this.#bursts.delete(kind);
      burst.telling.over?.(burst.total);
      return;
    }
    const isNews = burst.window === "news";
    burst.window = isNews ? "no news" : "quiet";
    burst.windowMillis = isNews ? Math.min(2 * burst.windowMillis, longestWindowMillis) : longestWindowMillis;
    this.#await(kind, burst);
    tellMore(burst);
  }
}

function tellMore(burst: Burst): void {
  const { untold } = burst;
  burst.untold = 0;
  if (untold > 0) burst.telling.more?.(untold);
}
