/** The text output of the lab, the benches and the runners of tests: that of the command, from the build. */
import {
  byteCount,
  groupedNumber,
  paletteOf,
  plural,
  shortDuration,
  tableLines,
} from "../../build/text/text-output.js";

export { byteCount, groupedNumber, plural, shortDuration };

/** The colours of this program's output. */
export const colors = paletteOf(process.stdout, process.env);

/**
 * Lines of a table. A column is its title, `{ title, align: "right" }` for numbers. A cell may have colours; no cell is cut,
 * since logs have no width.
 */
export const table = (columns, rows) =>
  tableLines(
    columns.map((column) => (typeof column === "string" ? { title: column } : column)),
    rows.map((cells) => cells.map((cell) => String(cell ?? ""))),
    Number.POSITIVE_INFINITY,
    [],
    colors.bold,
  );

/** A column of numbers. */
export const right = (title) => ({ title, align: "right" });

export const printTable = (columns, rows) => console.log(table(columns, rows).join("\n"));
