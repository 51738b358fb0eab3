/** The keys. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

const keys: readonly (readonly [keys: string, does: string])[] = [
  ["j k", "next and previous row"],
  ["l h", "open and close a row, go in and out"],
  ["Enter", "the span at the side"],
  ["n N", "next and previous match; without a search, error"],
  ["/", "search everything"],
  ["1 2 3 4", "overview, timeline, chat, log"],
  ["+ - 0", "zoom in, out, all"],
  ["[ ]", "move in time"],
  ["z", "zoom to the span"],
  ["f", "fold gaps"],
  ["c", "critical path"],
  ["p", "pause and go on"],
  ["Esc", "close, then clear the search"],
];

export function KeyHelp({ close }: { close(): void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="help" aria-label="Keys" onClose={close}>
      <h2>Keys</h2>
      <dl>
        {keys.map(([names, does]) => (
          <div>
            <dt>
              {names.split(" ").map((name) => (
                <kbd>{name}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <p class="note">Ctrl and the wheel zoom, Shift and the wheel move; a double click zooms to a span.</p>
      <button type="button" class="chip" onClick={close}>
        Close
      </button>
    </dialog>
  );
}
