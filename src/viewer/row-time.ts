/** How long a span took, as a row or a step shows it. */
import { timeInColumn } from "../text/display-text.js";

/** `1.4s`; `≥1.4s` or `?` where the time of its end is not known. */
export const rowTime = ({ ms, isLeast }: { readonly ms: number | null; readonly isLeast?: true }): string =>
  timeInColumn(ms, isLeast);
