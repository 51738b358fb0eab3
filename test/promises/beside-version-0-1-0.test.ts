/**
 * P7 Version 0.1.0 and this version use one directory at once: nothing that either acknowledged is lost, and nothing is
 * doubled, whatever is killed at which moment. The new version also names sessions late, and survives signals.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { randomOf, trials } from "../support/trials.js";

const program = fileURLToPath(new URL("../programs/version-writer.mjs", import.meta.url));
/** `VERSIONS_BUILD` runs the test on another build, such as a deliberately broken one. */
const build = process.env.VERSIONS_BUILD ?? fileURLToPath(new URL("../../build", import.meta.url));
type Version = "old" | "new";
let root: string;
let dir: string;
let indexOf: Record<Version, string>;
let readerOf: Record<Version, string>;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "versions-"));
  const old = join(root, "node_modules/opentelemetry-exporter-crash-safe-file");
  mkdirSync(old, { recursive: true });
  const tarball = fileURLToPath(new URL("../fixtures/packages/0.1.0.tgz", import.meta.url));
  execFileSync("tar", ["-xzf", tarball, "-C", old, "--strip-components=1"]);
  symlinkSync(resolve("node_modules/@opentelemetry"), join(root, "node_modules/@opentelemetry"));
  indexOf = { old: join(old, "build/index.js"), new: join(build, "index.js") };
  readerOf = { old: join(old, "build/reader.js"), new: join(build, "reader.js") };
});
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "versions-traces-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface Acknowledged {
  /** The sessions in which the span may be: one, as soon as a call of the package has read the name. */
  sessions: readonly string[];
  isEnded: boolean;
}

/** Acknowledged spans by trace id and span id. */
type Spans = Map<string, Acknowledged>;

/** A writer process. Resolves `gone` when it has ended and all its lines were read. */
function startWriter(version: Version, seed: number, spans: Spans) {
  const child = spawn(process.execPath, [program, indexOf[version], dir, String(seed), version]);
  let errors = "";
  let count = 0;
  let onLine: () => void = () => {};
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    const [verb, traceId = "", spanId, session = ""] = line.split(" ");
    const key = `${traceId} ${spanId}`;
    if (verb !== "bye") {
      const known = spans.get(key) ?? { sessions: [], isEnded: false };
      known.sessions = session.endsWith("?") ? [traceId, session.slice(0, -1)] : [session];
      known.isEnded ||= verb === "e";
      spans.set(key, known);
    }
    count++;
    onLine();
  });
  const gone = new Promise<NodeJS.Signals | null>((done) =>
    child.on("close", (code, signal) => {
      expect(code === 0 || signal === "SIGKILL", `${version}: ${code} ${signal} ${errors}`).toBe(true);
      done(signal);
    }),
  );
  return {
    gone,
    kill: () => child.kill("SIGKILL"),
    end: () => child.stdin.write("end\n"),
    /** Resolves after so many lines. */
    async lines(wanted: number): Promise<void> {
      await Promise.race([
        gone,
        new Promise<void>((done) => {
          onLine = () => count >= wanted && done();
          onLine();
        }),
      ]);
    },
  };
}

function recover(version: Version): void {
  const script = `require(${JSON.stringify(readerOf[version])}).recoverTraces(${JSON.stringify(dir)})`;
  execFileSync(process.execPath, ["-e", script], { stdio: "pipe" });
}

function problemsOf(spans: Spans): string[] {
  const problems: string[] = [];
  const found = new Map<string, { session: string; interrupted: boolean }>();
  for (const name of existsSync(dir) ? readdirSync(dir) : []) {
    if (!name.endsWith(".json")) {
      problems.push(`${name} is left`);
      continue;
    }
    const document: TraceFile = JSON.parse(readFileSync(join(dir, name), "utf8"));
    if (document.summary.status === "running") problems.push(`${name} is running`);
    for (const span of document.spans) {
      if (span.kind === "session") continue;
      const key = `${span.traceId ?? document.traceId} ${span.spanId}`;
      if (found.has(key)) problems.push(`${key} is in ${found.get(key)?.session} and in ${document.id}`);
      found.set(key, { session: document.id ?? "", interrupted: span.interrupted === true });
    }
  }
  for (const [key, { sessions, isEnded }] of spans) {
    const span = found.get(key);
    const which = `${key} of ${sessions.join(" or ")}`;
    if (!span) problems.push(`${which} is lost`);
    else if (!sessions.includes(span.session)) problems.push(`${which} is in ${span.session}`);
    else if (isEnded && span.interrupted) problems.push(`${which} had ended, and is interrupted`);
  }
  return problems;
}

describe("P7 P2 beside version 0.1.0", () => {
  const seeds = Array.from({ length: trials(2, 40) }, (_, index) => index + 1);
  test.each(
    seeds.flatMap((seed) => [
      { seed, first: "old" as const, second: "new" as const },
      { seed, first: "new" as const, second: "old" as const },
    ]),
  )(
    "nothing is lost or doubled (seed $seed, $first starts first)",
    async ({ seed, first, second }) => {
      const spans: Spans = new Map();
      const random = randomOf(2 * seed + (first === "old" ? 0 : 1));
      // Two lives of each writer on one directory. In the first one both are killed, in the second one ends in order.
      for (const life of [1, 2]) {
        const writers = [];
        for (const version of [first, second]) {
          const writer = startWriter(version, Math.floor(random() * 1e9), spans);
          await writer.lines(1);
          writers.push(writer);
        }
        const killed = random() < 0.5 ? [...writers] : [...writers].reverse();
        for (const writer of killed) {
          await writer.lines(50 + Math.floor(random() * 400));
          if (life === 2 && writer === killed[1]) writer.end();
          else writer.kill();
          await writer.gone;
        }
      }
      for (const version of random() < 0.5 ? (["old", "new"] as const) : (["new", "old"] as const))
        recover(version);
      expect(problemsOf(spans)).toEqual([]);
      expect(spans.size).toBeGreaterThan(50);
    },
    240_000,
  );
});
