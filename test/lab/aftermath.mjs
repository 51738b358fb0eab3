/** A directory whose writers are dead: after a recovery it holds what they acknowledged, and only documents. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { problemOf, Reader } from "./reader.mjs";

/**
 * Reads, recovers, compares with what was acknowledged, and recovers again, which must change nothing. Returns the
 * problems as text.
 */
export async function recoverAndCheck(build, dir, acknowledged, { mayDrop = false } = {}) {
  const { recoverTraces } = await import(pathToFileURL(`${build}/index.js`));
  const reader = new Reader(dir, { mayDrop });
  const problems = acknowledged.problemsOfFlush(reader.look());
  reader.watch();
  const first = await recoverTraces(dir);
  reader.stop();
  problems.push(...reader.problems);
  problems.push(...first.failures.map(({ path, error }) => `recovery of ${path} failed: ${error}`));
  if (first.running > 0) problems.push(`recovery takes ${first.running} dead writers for alive`);
  const before = contentsOf(dir);
  problems.push(...acknowledged.problemsIn(readDocuments(before, problems)));
  const second = await recoverTraces(dir);
  if (second.sessions.length > 0) problems.push("a second recovery found something to do");
  const after = contentsOf(dir);
  const isUnchanged =
    before.size === after.size && [...before].every(([name, text]) => after.get(name) === text);
  if (!isUnchanged) problems.push("a second recovery changed the directory");
  return problems;
}

function contentsOf(dir) {
  const names = existsSync(dir) ? readdirSync(dir).sort() : [];
  return new Map(
    names.map((name) => {
      const path = join(dir, name);
      return [name, statSync(path).isFile() ? readFileSync(path, "utf8") : ""];
    }),
  );
}

function readDocuments(contents, problems) {
  const documents = [];
  for (const [name, text] of contents) {
    if (!name.endsWith(".json")) {
      problems.push(`${name} is left over`);
      continue;
    }
    const problem = problemOf(text);
    if (problem) problems.push(`${name} ${problem}`);
    else documents.push(JSON.parse(text));
  }
  return documents;
}
