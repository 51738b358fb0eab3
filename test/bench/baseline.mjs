/**
 * The regression check: ratios of this package, never absolute times, against the committed ratios. Smaller is
 * better for all of them.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { amplificationOf, figureOf, ratioOf } from "./figures.mjs";

const path = fileURLToPath(new URL("baseline.json", import.meta.url));

/** A ratio larger than the committed one by this factor is a regression. */
export const tolerance = 1.5;

const spans = (result) => ({
  "call / floor": ratioOf(result, "ours", "call"),
  "main thread / floor": ratioOf(result, "ours", "main"),
  "bytes written / kept": amplificationOf(result, "ours"),
});
const documents = (result) => ({
  "recover / plain parse": ratioOf(result, "ours", "recover", "ours", "plainRead"),
  "read / plain parse": ratioOf(result, "ours", "read", "ours", "plainRead"),
  "resume / plain parse": ratioOf(result, "ours", "resume", "ours", "plainRead"),
  "publish / plain copy": ratioOf(result, "ours", "publish", "ours", "plainCopy"),
  "fence / plain write": ratioOf(result, "ours", "fence", "ours", "plainWrite"),
});

const ratios = {
  record: (result) => ({
    "few / floor": ratioOf(result, "ours", "few"),
    "many / floor": ratioOf(result, "ours", "many"),
    "many / few": figureOf(result, "ours", "flat"),
  }),
  burst: spans,
  turns: spans,
  small: spans,
  huge: spans,
  sessions: spans,
  "tool-call": (result) => ({
    "call / floor": ratioOf(result, "ours", "toolCall", "ours", "plainRecord"),
    "many / few": figureOf(result, "ours", "flat"),
    "attributes / floor": ratioOf(result, "ours", "attributes", "ours", "plainAttributes"),
    "attributes late / early": figureOf(result, "ours", "attributesFlat"),
  }),
  "document-25": documents,
  "document-100": documents,
  "document-500": documents,
  list: (result) => ({
    "list / parse all": ratioOf(result, "ours", "list", "ours", "plainParse"),
    "command / plain listing": ratioOf(result, "ours", "commandList", "ours", "plainList"),
    "start of the command / bare start": ratioOf(result, "ours", "commandStart", "ours", "bareStart"),
  }),
};

/** Ratios of each workload that has some. */
function ratiosOf(results) {
  const found = {};
  for (const [name, result] of Object.entries(results)) {
    const all = ratios[name]?.(result) ?? {};
    const known = Object.entries(all).filter(([, value]) => Number.isFinite(value));
    if (known.length > 0)
      found[name] = Object.fromEntries(known.map(([what, value]) => [what, Number(value.toPrecision(3))]));
  }
  return found;
}

const read = () => (existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {});

/** Commits these ratios for this runtime and size. */
export function keepBaseline(key, results) {
  const all = read();
  all[key] = { ...all[key], ...ratiosOf(results) };
  writeFileSync(path, `${JSON.stringify(all, undefined, 2)}\n`);
}

/** Names of the workloads that are compared by default. */
export const baselineWorkloads = (key) => Object.keys(read()[key] ?? {});

/** Each committed ratio of a workload that has run, with the present one. */
export function compare(key, results) {
  const baseline = read()[key] ?? {};
  const now = ratiosOf(results);
  const rows = [];
  for (const [workload, kept] of Object.entries(baseline)) {
    if (!(workload in results)) continue;
    for (const [what, before] of Object.entries(kept)) {
      const value = now[workload]?.[what] ?? Number.NaN;
      rows.push({ workload, what, before, value, isKept: value <= tolerance * before });
    }
  }
  return rows;
}
