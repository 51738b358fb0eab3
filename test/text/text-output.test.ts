/** The design of all text output: tables, trees, bars, numbers and colours, at several widths. */
import { describe, expect, test } from "vitest";
import {
  columnsOf,
  cut,
  meter,
  padEnd,
  paletteOf,
  plural,
  shortDuration,
  shortNumber,
  TimeBars,
  tableLines,
  treeRows,
  widthOf,
  wrap,
} from "../../src/text/text-output.js";

const tool = { name: "run_tests", children: [] };
const roots = [
  {
    name: "session",
    children: [
      { name: "model claude", children: [{ name: "read 読み取り 📖", children: [] }, tool] },
      { name: "user مرحبا", children: [] },
    ],
  },
];
interface Item {
  readonly name: string;
  readonly children: readonly Item[];
}

const rows = [
  ["✓ completed", "3m ago", "1.2s", "12.3k", "ses_1", "Fix the flaky test of the login page"],
  [
    "✗ crashed",
    "2h ago",
    "1h04m",
    "1.2M",
    "ses_with_a_long_name",
    "データベースを移行する 👩‍👩‍👧 again and again",
  ],
  ["▶ running", "just now", "", "", "ses_3", "e\u0301te\u0301 \u05e9\u05dc\u05d5\u05dd"],
];
const header = [
  { title: "STATUS" },
  { title: "ACTIVE", dropOrder: 2 },
  { title: "DURATION", align: "right", dropOrder: 3 },
  { title: "TOKENS", align: "right", dropOrder: 4 },
  { title: "SESSION", fewest: 8 },
  { title: "TITLE", fewest: 12, dropOrder: 1 },
] as const;

/** One page of all parts. */
function page(columns: number, env: Record<string, string>): string {
  const colors = paletteOf({ isTTY: true, columns }, env);
  const bars = new TimeBars(0, 90_000, columns - 30);
  const bar = (name: string, { before, bar }: ReturnType<TimeBars["bar"]>) =>
    `${padEnd(cut(name, 28), 28)}  ${before}${colors.cyan(bar)}`;
  return [
    ...tableLines(header, rows, columns, [(text, row) => (row === 1 ? colors.red(text) : text)], colors.dim),
    "",
    ...treeRows<Item>(roots, ({ children }) => children).map(({ item, branch }) => `${branch}${item.name}`),
    "",
    `${" ".repeat(30)}${colors.dim(bars.axis())}`,
    bar("the whole", bars.bar(0, 90_000, "━")),
    bar("from the middle, interrupted", bars.bar(45_000, 90_000, "!")),
    bar("a moment", bars.point(30_000, "·")),
    "",
    meter(58, 100),
    [0, 950, 1_249, 59_949].map(shortDuration).join(" "),
    [59_950, 125_000, 11_520_000, 187_200_000].map(shortDuration).join(" "),
    [834, 12_345, 999_949, 1_234_567, 0.25].map(shortNumber).join(" "),
    [0, 1, 1_000].map((count) => plural(count, "error")).join(", "),
    "",
    ...wrap(
      "A long sentence is broken at its spaces, and 長い言葉 by columns: ABCDEFGHIJKLMNOPQRSTUVWXYZ.",
      24,
    ),
  ].join("\n");
}

describe("text output", () => {
  test.each([40, 80, 120])("at %i columns, without colours", async (columns) => {
    const text = page(columns, { NO_COLOR: "1" });
    await expect(text).toMatchFileSnapshot(`text-output-${columns}.txt`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what it looks for
    expect(text).not.toMatch(/\u001b/);
    for (const line of text.split("\n")) expect(widthOf(line), line).toBeLessThanOrEqual(columns);
  });

  test("colours change no column, and say nothing that the text does not", () => {
    const coloured = page(80, { FORCE_COLOR: "1" });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what it looks for
    const stripped = coloured.replace(/\u001b\[\d+m/g, "");
    expect(coloured).not.toBe(stripped);
    expect(stripped).toBe(page(80, { NO_COLOR: "1" }));
  });

  test("a terminal has colours unless it is dumb or NO_COLOR is set; a pipe has none unless FORCE_COLOR is set", () => {
    const isColoured = (isTTY: boolean, env: Record<string, string>) =>
      paletteOf({ isTTY }, env).red("x") !== "x";
    expect(isColoured(true, {})).toBe(true);
    expect(isColoured(true, { TERM: "dumb" })).toBe(false);
    expect(isColoured(true, { NO_COLOR: "1", FORCE_COLOR: "1" })).toBe(false);
    expect(isColoured(true, { FORCE_COLOR: "0" })).toBe(false);
    expect(isColoured(false, {})).toBe(false);
    expect(isColoured(false, { FORCE_COLOR: "1" })).toBe(true);
  });

  test("the width is that of the terminal, else of COLUMNS, else 100, and at least 40", () => {
    expect(columnsOf({ isTTY: true, columns: 72 }, { COLUMNS: "99" })).toBe(72);
    expect(columnsOf({ isTTY: false, columns: 72 }, { COLUMNS: "99" })).toBe(99);
    expect(columnsOf({}, {})).toBe(100);
    expect(columnsOf({ isTTY: true, columns: 10 }, {})).toBe(40);
    expect(columnsOf({}, { COLUMNS: "many" })).toBe(100);
  });

  test("P8 a chain of 20,000 items is drawn without its depth on the stack", () => {
    let chain: Item = { name: "last", children: [] };
    for (let depth = 0; depth < 20_000; depth++) chain = { name: "one", children: [chain] };
    const drawn = treeRows<Item>([chain], ({ children }) => children);
    expect(drawn).toHaveLength(20_001);
    expect(Math.max(...drawn.map(({ branch }) => branch.length))).toBeLessThan(70);
  });
});
