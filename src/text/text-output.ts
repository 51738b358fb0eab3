/** What the command, the demos, the lab, the benches and the runners of tests write text with. Names only. */
export { meter, TimeBars } from "./bars.js";
export {
  age,
  byteCount,
  cut,
  groupedNumber,
  money,
  padEnd,
  padStart,
  plural,
  shortDuration,
  shortNumber,
  widthOf,
  wrap,
} from "./display-text.js";
export { columnsOf, type Palette, paletteOf, type Screen } from "./palette.js";
export { type Column, type Style, tableLines } from "./table.js";
export { type TreeRow, treeRows } from "./tree.js";
