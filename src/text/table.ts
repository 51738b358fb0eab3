/** Rows in aligned columns, without borders. The widest cells of the last flexible column give way to the terminal. */
import { cut, padEnd, padStart, widthOf } from "./display-text.js";

export interface Column {
  readonly title: string;
  readonly align?: "right";
  /** Cut where the terminal is too narrow, to no fewer columns than these while another can be left out. */
  readonly fewest?: number;
  /** Left out where the terminal is too narrow: the highest number first. */
  readonly dropOrder?: number;
}

/** Turns a cut and padded cell into what is shown: colours. */
export type Style = (text: string, row: number) => string;

const gap = 2;

/** `rows` hold plain text. `columns`: of the terminal. */
export function tableLines(
  header: readonly Column[],
  rows: readonly (readonly string[])[],
  columns: number,
  styles: readonly (Style | undefined)[],
  headerStyle: (text: string) => string,
): string[] {
  const natural = header.map(({ title }, at) =>
    rows.reduce((most, row) => Math.max(most, widthOf(row[at] ?? "")), widthOf(title)),
  );
  const shown = new Set(header.map((_, at) => at).filter((at) => rows.some((row) => row[at] !== "")));
  const needed = () =>
    [...shown].reduce((sum, at) => {
      const width = natural[at] as number;
      return sum + gap + Math.min(width, header[at]?.fewest ?? width);
    }, -gap);
  const droppable = header
    .map(({ dropOrder }, at) => ({ dropOrder, at }))
    .filter(({ dropOrder }) => dropOrder !== undefined)
    .sort((a, b) => (b.dropOrder ?? 0) - (a.dropOrder ?? 0));
  for (const { at } of droppable) {
    if (needed() <= columns) break;
    shown.delete(at);
  }
  const widths = fittedWidths(header, natural, shown, columns);
  const at = [...shown];
  const line = (cells: readonly string[], style: (text: string, column: number) => string) =>
    at
      .map((column, place) => {
        const width = widths[column] as number;
        const text = cut(cells[column] ?? "", width);
        const isLast = place === at.length - 1;
        const aligned =
          header[column]?.align === "right" ? padStart(text, width) : isLast ? text : padEnd(text, width);
        return style(aligned, column);
      })
      .join(" ".repeat(gap))
      .trimEnd();
  const titles = header.map(({ title }) => title);
  return [
    headerStyle(line(titles, (text) => text)),
    ...rows.map((row, index) => line(row, (text, column) => styles[column]?.(text, index) ?? text)),
  ];
}

/** Flexible columns share what the others leave; one that needs less than its share leaves the rest to the others. */
function fittedWidths(
  header: readonly Column[],
  natural: readonly number[],
  shown: ReadonlySet<number>,
  columns: number,
): number[] {
  const widths = [...natural];
  const flexible = [...shown].filter((at) => header[at]?.fewest !== undefined);
  const fixed = [...shown].filter((at) => header[at]?.fewest === undefined);
  let room = columns - gap * (shown.size - 1) - fixed.reduce((sum, at) => sum + (natural[at] as number), 0);
  let left = flexible.length;
  for (const at of flexible.sort((a, b) => (natural[a] as number) - (natural[b] as number))) {
    const share = Math.max(1, Math.floor(room / left));
    widths[at] = Math.min(natural[at] as number, share);
    room -= widths[at];
    left--;
  }
  return widths;
}
