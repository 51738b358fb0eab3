/** Rows of one height. The page contains only the visible rows, and keeps their place when rows are added above them. */
import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

/** Rows beyond the edges: a fast scroll shows no blank. */
const overscan = 10;

interface Props<Item> {
  readonly items: readonly Item[];
  readonly rowHeight: number;
  keyOf(item: Item): string | number;
  render(item: Item, index: number): ComponentChildren;
  /** The row that is kept in sight. */
  readonly active: number;
  /** Follows the last row while it is in sight. */
  readonly sticks?: boolean;
  readonly attributes: JSX.HTMLAttributes<HTMLDivElement>;
  readonly children?: ComponentChildren;
}

export function VirtualRows<Item>(props: Props<Item>): JSX.Element {
  const { items, rowHeight, keyOf, render, active, sticks = false, attributes, children } = props;
  const box = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState({ top: 0, height: 800 });
  const anchor = useRef<{ key: string | number; index: number; offset: number; isAtEnd: boolean }>();

  const first = Math.max(0, Math.floor(place.top / rowHeight) - overscan);
  const last = Math.min(items.length, Math.ceil((place.top + place.height) / rowHeight) + overscan);

  const look = () => {
    const element = box.current;
    if (!element) return;
    const { scrollTop: top, clientHeight: height } = element;
    const index = Math.min(items.length - 1, Math.floor(top / rowHeight));
    const item = items[index];
    if (item !== undefined)
      anchor.current = {
        key: keyOf(item),
        index,
        offset: top - index * rowHeight,
        isAtEnd: top + height >= items.length * rowHeight - 2,
      };
    setPlace((known) => (known.top === top && known.height === height ? known : { top, height }));
  };

  // What is in sight stays when rows come or go above it.
  useLayoutEffect(() => {
    const element = box.current;
    const known = anchor.current;
    if (element && known) {
      if (sticks && known.isAtEnd) element.scrollTop = items.length * rowHeight;
      else if (known.index > 0) {
        const index = nearIndex(items, known.index, (item) => keyOf(item) === known.key);
        if (index !== undefined && index !== known.index)
          element.scrollTop = index * rowHeight + known.offset;
      }
    }
    look();
  }, [items]);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element || active < 0) return;
    const top = active * rowHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight > element.scrollTop + element.clientHeight)
      element.scrollTop = top + rowHeight - element.clientHeight;
    look();
  }, [active]);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  return (
    <div {...attributes} ref={box} onScroll={look}>
      {children}
      <div class="rows" role="presentation" style={{ height: `${items.length * rowHeight}px` }}>
        {items.slice(first, last).map((item, offset) => (
          <div
            key={keyOf(item)}
            class="slot"
            role="presentation"
            style={{ transform: `translateY(${(first + offset) * rowHeight}px)`, height: `${rowHeight}px` }}
          >
            {render(item, first + offset)}
          </div>
        ))}
      </div>
    </div>
  );
}

/** The index of an item: near to where it was, in most cases. */
function nearIndex<Item>(
  items: readonly Item[],
  index: number,
  isWanted: (item: Item) => boolean,
): number | undefined {
  for (let distance = 0; distance < items.length; distance++) {
    for (const at of [index + distance, index - distance]) {
      const item = items[at];
      if (item !== undefined && isWanted(item)) return at;
    }
  }
  return undefined;
}
