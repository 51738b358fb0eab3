/** How long a span took, as a row or a step shows it. */
import { shortDuration, shortLeast } from "../text/display-text.js";

/** `1.4s`; `≥1.4s` or `?` where the time of its end is not known. */
export const rowTime = ({ ms, isLeast }: { readonly ms: number | null; readonly isLeast?: true }): string =>
  isLeast ? shortLeast(ms) : shortDuration(ms);
