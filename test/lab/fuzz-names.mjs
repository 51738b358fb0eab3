/** Directories with unexpected entries: odd names, links, pipes, directories in the place of files. */
import { execFileSync } from "node:child_process";
import { existsSync, linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  brief,
  changesOf,
  contentsOf,
  lineIds,
  must,
  mustBePlain,
  mustKeep,
  soundIds,
} from "./fuzz-model.mjs";
import { goOn } from "./fuzz-resume.mjs";

const id = "ses_f";
const kinds = ["file", "file", "file", "file", "directory", "link", "pipe", "hard link"];
const pieces = [
  id,
  "other",
  "..",
  ".json",
  ".json",
  ".json.tmp.",
  ".json.lock",
  ".json.replayed",
  ".json.damaged.",
  ".open",
  ".live",
  ".1",
  "-recovery",
  "TOKEN",
  "TOKEN",
  "gp6-gp6-1h35p-5unan6mt-1smw8qzo",
  "zzzzzzzzzzzzzzzzzzzz-1-0-0-0",
  "1-1-0-0-0",
  "-",
  "__proto__",
  "constructor",
  " ",
  "\n",
  "é",
  "\u{1f9a9}",
  "x".repeat(120),
];
/** The files that writers make. */
const shapes = [
  [`${id}.json`],
  [`${id}.json.TOKEN.open`],
  [`${id}.json.TOKEN.live`],
  [`${id}.json.TOKEN-recovery.open`],
  [`${id}.json.tmp.TOKEN.1`],
  [`${id}.json.lock`],
  [`${id}.json.lock`, "/TOKEN"],
  [`${id}.json.replayed`],
  [`${id}.json.damaged.TOKEN`],
];

export const seedsOf = ({ killed, documents }) => [
  {
    files: { json: documents[0], open: killed[0].open, live: killed[0].live, marker: documents.at(-1) },
    entries: shapes.map((name, index) => ({ name: name.join(""), kind: "file", content: contentOf(index) })),
    way: 0,
  },
  ...kinds.slice(3).flatMap((kind) =>
    shapes.map((name, index) => ({
      files: { json: documents[0], open: killed[0].open, live: killed[0].live, marker: documents.at(-1) },
      entries: [
        { name: name.join(""), kind, content: contentOf(index) },
        { name: `${id}.json.TOKEN2.live`, kind: "file", content: "live" },
      ],
      way: index,
    })),
  ),
];

const contentOf = (index) =>
  ["json", "open", "live", "open", "json", "marker", "marker", "marker", "json"][index];

export function mutate({ files, entries }, mutations) {
  const some = entries.filter(() => !mutations.chance(4));
  for (let count = mutations.below(4); count > 0; count--) {
    const name = mutations.chance(2)
      ? mutations.pick(shapes).join("")
      : Array.from({ length: 1 + mutations.below(4) }, () => mutations.pick(pieces)).join("");
    const content = mutations.pick(Object.keys(files));
    some.push({
      name: mutations.chance(6) ? cut(name, mutations) : name,
      kind: mutations.pick(kinds),
      content,
    });
  }
  return { files, entries: some, way: mutations.below(4) };
}

const cut = (name, mutations) => name.slice(0, 1 + mutations.below(name.length));

export async function run({ files, entries, way }, { dir: root, load, deadToken }) {
  const [dir, outside] = [join(root, "traces"), join(root, "outside")];
  for (const made of [dir, outside]) mkdirSync(made);
  writeFileSync(join(outside, "target.json"), files.json);
  writeFileSync(join(outside, "target.live"), files.live);
  for (const entry of entries) make(dir, outside, entry, files, deadToken);
  const before = contentsOf(dir);
  const { listTraces, readTrace, recoverTraces } = await load("reader.js");
  const { Trace } = await load("altimate.js");
  for (const name of before.keys()) {
    await readTrace(join(dir, name)).catch(({ name: error, code }) => {
      must(error === "CrashSafeFileError", `${JSON.stringify(name)}: readTrace threw ${error} ${code}`);
    });
  }
  mustBePlain("a listing", await listTraces(dir));
  await recoverTraces(dir, { dryRun: true });
  must(changesOf(before, contentsOf(dir)).length === 0, "reading wrote something");
  // The drop-in completes the dead sessions that it lists, in the background.
  for (const name of before.keys()) {
    await Trace.loadTrace(name, dir);
    await Trace.loadTrace(name.replace(/\.json$/, ""), dir);
  }
  mustBePlain("a listing of the drop-in", await Trace.listTraces(dir));
  await recoverTraces(dir);
  const recovered = contentsOf(dir);
  for (const [name, bytes] of before) {
    if (recovered.has(name) || !Buffer.isBuffer(bytes) || !/\.(json|open)$/.test(name)) continue;
    mustKeep(
      `recovered, ${name}`,
      bytes,
      name.endsWith(".open") ? lineIds(bytes) : (soundIds(bytes) ?? []),
      recovered,
    );
  }
  await resume(dir, way, load, before);
  await prune(dir, load);
  must(existsSync(dir), "the directory is gone");
  const canary = readFileSync(join(outside, "target.json"));
  must(canary.equals(files.json) && contentsOf(outside).size === 2, "a file outside was changed");
}

function make(dir, outside, { name, kind, content }, files, deadToken) {
  const real = name.replaceAll("TOKEN2", deadToken(1)).replaceAll("TOKEN", deadToken(0));
  const path = join(dir, real);
  // No program can have made these.
  if (!path.startsWith(`${dir}/`) || path.includes("\0")) return;
  try {
    if (path.slice(dir.length + 1).includes("/")) mkdirSync(join(path, ".."), { recursive: true });
    if (kind === "file") writeFileSync(path, files[content], { flag: "wx" });
    if (kind === "directory") mkdirSync(path);
    if (kind === "link") symlinkSync(join(outside, "target.json"), path);
    if (kind === "hard link") linkSync(join(outside, "target.live"), path);
    if (kind === "pipe" && !existsSync(path)) execFileSync("mkfifo", [path], { stdio: "ignore" });
  } catch (error) {
    if (
      !["EEXIST", "EISDIR", "ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(error.code) &&
      error.status === undefined
    )
      throw error;
  }
}

/** A permanent obstacle may prevent a session's document. Then no promise holds for it. */
async function resume(dir, way, load, before) {
  const stands = [...before].some(
    ([name, content]) =>
      name.startsWith(`${id}.json`) && (!Buffer.isBuffer(content) || name.endsWith(".lock")),
  );
  await goOn({ dir, id, way, load }).catch((error) => {
    if (!stands) throw error;
  });
}

async function prune(dir, load) {
  const { prune: plan } = await load("recovery/retention.js");
  const { runAsync } = await load("platform/gensync.js");
  const { nodeFileSystem } = await load("platform/file-system.js");
  const { SystemLiveness } = await load("platform/liveness.js");
  const { systemClock } = await load("platform/clock.js");
  const ports = {
    fileSystem: nodeFileSystem,
    liveness: new SystemLiveness(nodeFileSystem.sync),
    clock: systemClock,
  };
  const { parseEntry } = await load("format/file-names.js");
  const others = () => new Map([...contentsOf(dir)].filter(([name]) => parseEntry(name).type === "other"));
  const before = others();
  await runAsync(nodeFileSystem, plan(ports, dir, 1));
  const taken = changesOf(before, others());
  must(taken.length === 0, () => `retention took ${brief(taken)}`);
}
