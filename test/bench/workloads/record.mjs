/** One span of 5 KB, from the call of `onEnd` to its return, with few and with many spans behind it. */
import { contenderNamed } from "../contenders.mjs";
import { median } from "../meter.mjs";
import { SpanMaker } from "../spans.mjs";

const rounds = 40;
const perRound = 50;
const nextTurn = () => new Promise(setImmediate);

async function run({ contender: name, dir, behind }) {
  const [few, many] = await Promise.all(
    ["few", "many"].map(async (id) => {
      const maker = new SpanMaker("tools", [id]);
      return { id, maker, next: 0, starts: [], ends: [] };
    }),
  );
  // One file for all sessions, or one for each, as the contender does it.
  const contender = await contenderNamed(name).open({ dir });
  const one = (session, isTimed) => {
    const { maker, starts, ends } = session;
    const number = session.next++;
    const span = maker.start(number);
    const t0 = performance.now();
    contender.start?.(span);
    const t1 = performance.now();
    maker.end(span, number);
    const given = contender.prepare?.(span) ?? span;
    const t2 = performance.now();
    contender.end(given);
    const t3 = performance.now();
    if (!isTimed) return;
    starts.push(t1 - t0);
    ends.push(t3 - t2);
  };
  for (const [session, count] of [
    [few, 100],
    [many, behind],
  ]) {
    while (session.next < count) {
      one(session, false);
      if (session.next % 500 === 0) await nextTurn();
    }
  }
  // From here on no copy is due for a long time. Otherwise the thread pool would be measured.
  await contender.flush();
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < perRound; i++) {
      one(few, true);
      one(many, true);
    }
    await nextTurn();
  }
  const micros = (values) => median(values) * 1000;
  return {
    few: micros(few.ends),
    many: micros(many.ends),
    start: micros(few.starts),
    flat: median(many.ends) / median(few.ends),
  };
}

export default {
  name: "record",
  title: "one 5 KB span with 100 spans behind it, and with 100,000",
  kind: "record",
  contenders: ["floor", "ours", "append", "boom-sync"],
  run,
  settings: (isQuick) => ({ behind: isQuick ? 10_000 : 100_000 }),
};
