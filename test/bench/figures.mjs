/** From samples to figures: medians, and medians of ratios to the floor of the same round. */
import { median } from "./meter.mjs";

/** Figures from which the application's own share is subtracted. */
const withoutApplication = ["main", "processor", "wall", "memory", "heap"];

/** Samples of a contender with the application's own share taken off, by round. */
function netSamples(result, name) {
  const alone = result.samples.alone ?? [];
  const usual = Object.fromEntries(withoutApplication.map((key) => [key, middle(alone, key)]));
  return (result.samples[name] ?? []).map((sample) => {
    const net = { ...sample };
    for (const key of withoutApplication) {
      if (!(key in sample) || Number.isNaN(usual[key])) continue;
      // The wall time is that of the whole run: a contender with a smaller share has a smaller run.
      const share = key === "wall" ? sample.spans / alone[0].spans : 1;
      net[key] = Math.max(0, sample[key] - usual[key] * share);
    }
    return net;
  });
}

const middle = (samples, key) => median(samples.map((sample) => sample[key]).filter(Number.isFinite));

/** Median of a figure, the application's own share taken off. */
export const figureOf = (result, name, key) => (result ? middle(netSamples(result, name), key) : Number.NaN);

/** Median, over the rounds, of a contender's figure over that of another in the same round. */
export function ratioOf(result, name, key, base = "floor", baseKey = key) {
  if (!result) return Number.NaN;
  const bases = new Map(netSamples(result, base).map((sample) => [sample.round, sample[baseKey]]));
  // A contender with fewer runs is compared with the other's median.
  const usual = median([...bases.values()].filter(Number.isFinite));
  const ratios = netSamples(result, name).map((sample) => sample[key] / (bases.get(sample.round) || usual));
  return median(ratios.filter(Number.isFinite));
}

/** The smallest part of the spans that is found after a SIGKILL in the turn of the last span. */
export function survivingOf(result, name) {
  const runs = result?.survivors[name] ?? [];
  return runs.length === 0 ? Number.NaN : Math.min(...runs.map(({ survivors, spans }) => survivors / spans));
}

/** Bytes written over bytes kept. */
export const amplificationOf = (result, name) =>
  middle(
    (result?.samples[name] ?? []).map(({ written, kept }) => ({ ratio: written / kept })),
    "ratio",
  );
