/** Trees of text: each row with the branches that lead to it. */

/** An item of a tree, and what stands before its name: `│ └ `. */
export interface TreeRow<Item> {
  readonly item: Item;
  readonly branch: string;
}

/** Deeper branches than so many columns are not drawn. */
const deepest = 60;

/** The rows of a tree, from top to bottom. The roots have no branches, and the rows below them are not indented. */
export function treeRows<Item>(
  roots: readonly Item[],
  childrenOf: (item: Item) => readonly Item[],
): TreeRow<Item>[] {
  const rows: TreeRow<Item>[] = [];
  // A stack of its own: a chain of 20,000 items would exhaust that of the program.
  const stack = [...roots].reverse().map((item) => ({ item, before: "", branch: "" }));
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { item, before, branch } = next;
    rows.push({ item, branch: before + branch });
    const inner = childrenOf(item);
    const isTop = branch === "" && before === "";
    const indent = isTop || before.length > deepest ? before : before + (branch === "└ " ? "  " : "│ ");
    for (let at = inner.length - 1; at >= 0; at--)
      stack.push({ item: inner[at] as Item, before: indent, branch: at === inner.length - 1 ? "└ " : "├ " });
  }
  return rows;
}
