/** Texts of a trace in Markdown: marks and HTML in them stay text. */
import { oneLine } from "../text/display-text.js";

export const escaped = (text: string): string => text.replace(/[\\`*_[\]<>#|~]/g, "\\$&");

/** Code in a line. */
export function inlineCode(text: string): string {
  const line = oneLine(text);
  const fence = "`".repeat(longestTicks(line) + 1);
  const space = line.startsWith("`") || line.endsWith("`") || line === "" ? " " : "";
  return `${fence}${space}${line}${space}${fence}`;
}

/** A block that the text cannot end. */
export function fenced(text: string): string[] {
  const fence = "`".repeat(Math.max(3, longestTicks(text) + 1));
  return [fence, text, fence];
}

const longestTicks = (text: string): number =>
  (text.match(/`+/g) ?? []).reduce((most, ticks) => Math.max(most, ticks.length), 0);
