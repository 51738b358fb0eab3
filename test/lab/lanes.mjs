/** Runs many trials, two at a time, or a random part of them. */
import { availableParallelism } from "node:os";

/** Runs `work` on each of the items, a few at once, and returns the results. */
export async function inLanes(items, work, lanes = Math.min(4, availableParallelism())) {
  const results = new Array(items.length);
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index], index);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}

/** Numbers in [0, 1), equal for equal seeds. */
export function randomOf(seed) {
  let state = seed | 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 0) / 4_294_967_296;
  };
}

/** At most this many of the items, chosen at random, in a random order. */
export function sampled(items, most, seed) {
  const random = randomOf(seed);
  const shuffled = items.map((item) => ({ item, key: random() })).sort((a, b) => a.key - b.key);
  return shuffled.slice(0, most).map(({ item }) => item);
}

/** At most this many of the items, in a random order: one of each group, then another of each, and so on. */
export function spread(items, groupOf, most, seed) {
  const counts = new Map();
  return sampled(items, Number.POSITIVE_INFINITY, seed)
    .map((item) => {
      const group = groupOf(item);
      const round = counts.get(group) ?? 0;
      counts.set(group, round + 1);
      return { item, round };
    })
    .sort((a, b) => a.round - b.round)
    .slice(0, most)
    .map(({ item }) => item);
}
