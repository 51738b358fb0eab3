/** The number of trials of a randomised test, and its seeds. */

/** `npm run test:torture` sets it. */
export const isTorture: boolean = process.env.TORTURE === "1";
/** `npm run test:matrix -- --ci` sets it: the same tests have run on another runtime. */
const isFew = process.env.TRIALS === "few";

/** Trials of a test: few enough for every push, or as many as a torture run allows. */
export const trials = (ci: number, torture: number): number =>
  isTorture ? torture : isFew ? Math.ceil(ci / 4) : ci;

/** The seed of a whole run. `SEED=123` repeats one, and failures print it. */
export const runSeed: number = Number(process.env.SEED) || Math.floor(Math.random() * 0x7fff_ffff) + 1;

/** A small generator of random numbers (mulberry32), so that a seed repeats a trial. */
export function randomOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
