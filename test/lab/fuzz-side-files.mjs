/** Files of writers that died: read, recovered, recovered again, and resumed. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  brief,
  changesOf,
  contentsOf,
  faultOf,
  idsInDocuments,
  lineIds,
  liveIds,
  must,
  mustBePlain,
  mustHave,
  mustKeep,
  soundIds,
} from "./fuzz-model.mjs";
import { goOn } from "./fuzz-resume.mjs";

const id = "ses_f";
const name = `${id}.json`;

/** The names are chosen when the files are written: `open`, `live`, and `open 2` of another owner. */
export const seedsOf = ({ killed, documents }) => [
  ...killed.map((files) => ({ files, way: 0 })),
  ...killed.map(({ open, live }) => ({ files: { open, live }, way: 1 })),
  ...killed.map(({ open }) => ({ files: { open }, way: 2 })),
  ...killed.map(({ live }) => ({ files: { live }, way: 3 })),
  { files: { ...killed[0], "open 2": killed[1].open, "live 2": killed[1].live }, way: 0 },
  // Finalized, and the commit is missing.
  ...documents.map((open) => ({ files: { open, live: killed[0].live }, way: 0 })),
  ...documents.map((open) => ({ files: { open }, way: 1 })),
  ...documents.map((json) => ({ files: { json, open: killed[0].open, live: killed[0].live }, way: 2 })),
];

export function mutate({ files }, mutations) {
  const mutated = { ...files };
  for (let rounds = 1 + mutations.below(2); rounds > 0; rounds--) {
    const part = mutations.pick(Object.keys(mutated));
    mutated[part] = mutations.mutate(mutated[part]);
  }
  return { files: mutated, way: mutations.below(4) };
}

export async function run({ files, way }, { dir, load, deadToken }) {
  const tokens = [deadToken(0), deadToken(1)];
  const nameOf = (part) => {
    const [kind, number = 1] = part.split(" ");
    return kind === "json" ? name : `${name}.${tokens[number - 1]}.${kind}`;
  };
  for (const [part, bytes] of Object.entries(files)) writeFileSync(join(dir, nameOf(part)), bytes);
  const before = contentsOf(dir);
  const seen = await look(dir, load);
  must(changesOf(before, contentsOf(dir)).length === 0, "reading wrote something");
  const { recoverTraces } = await load("reader.js");
  const { failures, sessions } = await recoverTraces(dir);
  if (failures.length > 0) throw failures[0].error;
  const recovered = contentsOf(dir);
  for (const [file, bytes] of recovered) {
    if (file.includes(".damaged.")) continue;
    must(file.endsWith(".json"), `recovery left ${file}`);
    const isOld = Buffer.isBuffer(before.get(file)) && before.get(file).equals(bytes);
    const fault = isOld ? undefined : faultOf(bytes);
    must(!fault, `recovered, ${file} ${fault}`);
  }
  for (const [part, bytes] of Object.entries(files)) {
    if (part === "json") mustKeep(`recovered, ${part}`, bytes, soundIds(bytes), recovered);
    else mustHave(`recovered, ${part}`, part.startsWith("open") ? lineIds(bytes) : liveIds(bytes), recovered);
  }
  // A file that stayed unchanged may be corrupt, as a reader reports.
  const isNew = changesOf(before, recovered).includes(name);
  if (seen && sessions.length === 1 && isNew) {
    const there = idsInDocuments(recovered);
    const lost = seen.filter((spanId) => !there.has(spanId));
    must(lost.length === 0, () => `a recovery lost what readTrace had: ${brief(lost)}`);
  }
  const again = await recoverTraces(dir);
  must(again.failures.length === 0 && again.sessions.length === 0, "a second recovery found something to do");
  const changed = changesOf(recovered, contentsOf(dir));
  must(changed.length === 0, () => `a second recovery changed ${changed}`);
  await goOn({ dir, id, way, load });
  for (const [file, bytes] of contentsOf(dir)) {
    if (!file.endsWith(".json") || recovered.get(file)?.equals(bytes)) continue;
    const fault = faultOf(bytes);
    must(!fault, `recovered and resumed, ${file} ${fault}`);
  }
}

/** Ids that a reader returns. Empty, where it finds nothing. */
async function look(dir, load) {
  const { listTraces, readTrace, recoverTraces } = await load("reader.js");
  let ids;
  for (const file of contentsOf(dir).keys()) {
    if (file.endsWith(".live")) continue;
    try {
      const read = await readTrace(join(dir, file));
      mustBePlain("what was read", read);
      if (file === name) ids = read.trace.spans.map(({ spanId }) => spanId);
    } catch (error) {
      if (!["NOT_A_TRACE", "READ_FAILED"].includes(error.code) || error.cause) throw error;
    }
  }
  if (!existsSync(join(dir, name)))
    ids = await readTrace(join(dir, name)).then(
      ({ trace }) => trace.spans.map(({ spanId }) => spanId),
      () => undefined,
    );
  mustBePlain("a listing", await listTraces(dir));
  const dry = await recoverTraces(dir, { dryRun: true });
  if (dry.failures.length > 0) throw dry.failures[0].error;
  return ids;
}
