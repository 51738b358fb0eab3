/** What must be flat in a soak and is not. `scenarios/soak.mjs` has the reasons and the limits. */

/** A session has an append log, a journal and its last published document. */
const descriptorsOfSession = 3;
/** Files in the thread pool at this moment. */
const mostInFlight = 6;
/** Writers of sessions that have ended a moment ago. */
const mostEnding = 4;
/**
 * The growth of memory that is allowed: the memory of the last ten thousand traces, and the noise of the collector.
 * In the first seconds nothing has warmed up. Resident memory includes pages that the allocator keeps.
 */
const noises = {
  full: { heap: { bytes: 2_000_000, share: 0.05 }, rss: { bytes: 16_000_000, share: 0.15 } },
  ci: { heap: { bytes: 5_000_000, share: 0.05 }, rss: { bytes: 32_000_000, share: 0.15 } },
};
/**
 * Two for each writer of a session, and some sessions have two writers; files of dead processes; locks and copies.
 */
const mostOthers = (sessions) => 5 * sessions + 20;

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** Fewer samples prove nothing. */
const fewest = 9;

/** Medians of the second and of the last third. */
function thirds(samples, read) {
  if (samples.length < fewest) return [0, 0];
  const third = Math.floor(samples.length / 3);
  const of = (from, to) => median(samples.slice(from, to).map(read));
  return [of(third, 2 * third), of(2 * third, samples.length)];
}

/** Problems of one process. @param samples the first of them from before its first session */
export function processProblems([base, ...samples], size) {
  const problems = [];
  for (const { descriptors, open, writers, held } of samples) {
    const most = base.descriptors + descriptorsOfSession * open + mostInFlight;
    if (descriptors > most)
      problems.push(
        `has ${descriptors} descriptors with ${open} sessions, and had ${base.descriptors} with none`,
      );
    if (writers > held + mostEnding) problems.push(`keeps ${writers} writers for ${held} sessions`);
  }
  for (const [what, noise] of Object.entries(noises[size])) {
    const [before, after] = thirds(samples, (sample) => sample[what]);
    if (after > before + Math.max(noise.bytes, noise.share * before))
      problems.push(`has a ${what} that grew from ${megabytes(before)} to ${megabytes(after)}`);
  }
  return problems;
}

/** Problems of the directory. */
export function directoryProblems(samples, sessions) {
  const problems = [];
  const [before, after] = thirds(samples, ({ others }) => others);
  if (after > mostOthers(sessions) || after > 1.5 * before + 20)
    problems.push(`${after} files besides the documents, after ${before}, for ${sessions} sessions`);
  const [bytesBefore, bytesAfter] = thirds(
    samples,
    ({ otherBytes, documentBytes }) => otherBytes / documentBytes,
  );
  if (bytesAfter > 2 * bytesBefore + 1)
    problems.push(
      `${bytesAfter.toFixed(1)} bytes besides the documents, for each byte of them, after ${bytesBefore.toFixed(1)}`,
    );
  return problems;
}

/** A process as one line. */
export function processNote(name, [base, ...samples]) {
  if (samples.length < fewest) return `${name}: only ${samples.length} samples`;
  const [before, after] = thirds(samples, ({ heap }) => heap);
  const { descriptors, open, ended } = samples.at(-1);
  const fixed = descriptors - descriptorsOfSession * open;
  return (
    `${name}: heap ${megabytes(before)}, then ${megabytes(after)}; ${base.descriptors} descriptors, then ${fixed} ` +
    `and 3 for each of ${open} sessions; ${ended} sessions had ended`
  );
}

/** The directory as one line. */
export function directoryNote(samples) {
  if (samples.length < fewest) return `directory: only ${samples.length} samples`;
  const [before, after] = thirds(samples, ({ others }) => others);
  const [small, large] = thirds(samples, ({ documentBytes, otherBytes }) => documentBytes + otherBytes);
  return `directory: ${megabytes(small)}, then ${megabytes(large)}; ${before} files besides documents, then ${after}`;
}
