/** How long a span took, in words. Of a span whose process died unseen, only the least is known. */
import { isEndUnseen } from "../format/session-end.js";
import type { TraceSpan } from "../format/trace-file.js";
import { timeInColumn } from "../text/display-text.js";
import { durationOf } from "./analysis.js";

/** For a column: `1.4s`, `≥1.4s`, `?`. */
export const spanTime = (span: TraceSpan, to: number): string =>
  timeInColumn(durationOf(span, to), isEndUnseen(span));
