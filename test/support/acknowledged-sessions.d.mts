import type { TraceFile } from "../../src/format/trace-file.js";

/** A line of the writer. */
export type Word = readonly [string, ...unknown[]];

export class AcknowledgedSessions {
  take(word: Word): void;
  copy(): AcknowledgedSessions;
  died(): void;
  recovered(): void;
  problemsIn(documents: readonly TraceFile[]): string[];
  problemsOfFlush(documents: readonly TraceFile[]): string[];
  allowRemoval(id: string): void;
  get ends(): number;
  get starts(): number;
}
