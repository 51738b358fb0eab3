/**
 * The first inputs of the fuzzer: documents of this and older releases, of the earlier tracer, and of a killed
 * writer.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { realigned } from "./fuzz-mutations.mjs";
import { dieWithLab } from "./interruption.mjs";

const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url));
const victim = fileURLToPath(new URL("programs/fuzz-victim.mjs", import.meta.url));

/** Files as base64 text, for the plan of a child process. */
export async function gatherSeeds(build, dir) {
  const child = dieWithLab(
    spawn(process.execPath, [victim, build, dir], { stdio: ["ignore", "pipe", "inherit"] }),
  );
  await Promise.race([once(child.stdout, "data"), once(child, "close")]);
  child.kill("SIGKILL");
  if (child.exitCode === null && child.signalCode === null) await once(child, "close");
  const killed = [dir, join(dir, "other")].map(sideFilesIn);
  const documents = ["documents", "old-tracer", "released/0.1.0"].flatMap((group) =>
    readdirSync(join(fixtures, group))
      .filter((file) => file.endsWith(".json"))
      .map((file) => renamed(readFileSync(join(fixtures, group, file)))),
  );
  const oneLine = documents.slice(0, 2).map((bytes) => Buffer.from(JSON.stringify(JSON.parse(bytes))));
  // Inputs that once broke a parser of the library.
  const hostile = ['"__proto__":{"polluted":1}', '"agent":{"toString":1},"model":5', '"tags":5'].map(
    (members) => {
      const text = documents[0].toString("utf8");
      const withMembers = text.replace(/\},"(?:resources|summary)":\{/, (end) => `,${members}${end}`);
      return realigned(Buffer.from(withMembers));
    },
  );
  const all = [...killed.map(({ json }) => json), ...documents, ...oneLine, ...hostile];
  const base64 = (bytes) => bytes.toString("base64");
  return {
    killed: killed.map(({ open, live, json }) => ({
      open: base64(open),
      live: base64(live),
      json: base64(json),
    })),
    documents: all.map(base64),
  };
}

function sideFilesIn(dir) {
  const read = (end) =>
    readFileSync(
      join(
        dir,
        readdirSync(dir).find((file) => file.endsWith(end)),
      ),
    );
  return { open: read(".open"), live: read(".live"), json: read(".json") };
}

/** The files of one session, which is resumed. */
function renamed(bytes) {
  const text = bytes.toString("utf8");
  const { id, sessionId } = JSON.parse(text);
  const other = text.replaceAll(JSON.stringify(id ?? sessionId), '"ses_f"');
  return realigned(Buffer.from(other.replaceAll(JSON.stringify(sessionId), '"ses_f"')));
}
