/** Filters that hide: kinds, states, durations. */
import type { JSX } from "preact";
import { kindWords, stateWords } from "./row-signs.js";
import { isFiltering, noFilter } from "./session-rows.js";
import { useViewer } from "./viewer-state.js";

const kinds = ["generation", "tool", "user-message", "span"] as const;
const states = ["failed", "cut", "running"] as const;
const durations = [0, 100, 1_000, 10_000, 60_000] as const;
const durationWords: Readonly<Record<number, string>> = {
  0: "any duration",
  100: "≥ 100 ms",
  1000: "≥ 1 s",
  10000: "≥ 10 s",
  60000: "≥ 1 min",
};

const toggled = (set: ReadonlySet<string>, word: string): ReadonlySet<string> =>
  set.has(word) ? new Set([...set].filter((one) => one !== word)) : new Set([...set, word]);

export function FilterBar(): JSX.Element {
  const { filter, setFilter } = useViewer();
  return (
    <div class="filters" role="group" aria-label="Filters">
      {kinds.map((kind) => (
        <button
          type="button"
          class="chip"
          aria-pressed={filter.kinds.has(kind)}
          onClick={() => setFilter({ kinds: toggled(filter.kinds, kind) })}
        >
          <span class={`kind ${kind}`} aria-hidden="true" />
          {kindWords[kind]}
        </button>
      ))}
      <span class="divider" aria-hidden="true" />
      {states.map((state) => (
        <button
          type="button"
          class="chip"
          aria-pressed={filter.states.has(state)}
          onClick={() => setFilter({ states: toggled(filter.states, state) })}
        >
          {stateWords[state]}
        </button>
      ))}
      <select
        aria-label="Shortest duration"
        value={String(filter.minMs)}
        onChange={({ currentTarget }) => setFilter({ minMs: Number(currentTarget.value) })}
      >
        {durations.map((ms) => (
          <option value={String(ms)}>{durationWords[ms]}</option>
        ))}
      </select>
      {isFiltering({ ...filter, text: "" }) && (
        <button
          type="button"
          class="chip plain"
          onClick={() => setFilter({ ...noFilter, text: filter.text })}
        >
          clear
        </button>
      )}
    </div>
  );
}
