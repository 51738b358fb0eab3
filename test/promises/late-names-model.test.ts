/**
 * Random programs that name their sessions at any time, flush, are fenced, die and go on in another process: each span is
 * in one document, once, in a session that the model allows, and nothing is left over.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverDirectory, untilRecovered } from "../../src/recovery/recover-directory.js";
import { danglingIn } from "../support/dangling-spans.js";
import { allowedSessions, ProgramRun, programs, type Step } from "../support/late-names-program.js";
import { isTorture, runSeed, trials } from "../support/trials.js";

let root: string;
beforeAll(() => {
  root = fs.mkdtempSync(join(os.tmpdir(), "late-names-"));
});
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

/** A span in a document. */
interface Place {
  readonly session: string;
  readonly span: TraceSpan;
  readonly parent: TraceSpan | undefined;
}

function placesOf(documents: readonly TraceFile[]): Map<string, Place[]> {
  const places = new Map<string, Place[]>();
  for (const { id = "", traceId, spans } of documents) {
    const keyOf = (spanId: string | null, of: string | undefined) => `${of ?? traceId} ${spanId}`;
    const byKey = new Map(spans.map((span) => [keyOf(span.spanId, span.traceId), span]));
    const session = spans.find(({ kind }) => kind === "session");
    for (const span of spans) {
      if (span.kind === "session") continue;
      const isTop = span.parentSpanId === session?.spanId;
      const parent = isTop ? session : byKey.get(keyOf(span.parentSpanId, span.traceId));
      places.set(span.name, [...(places.get(span.name) ?? []), { session: id, span, parent }]);
    }
  }
  return places;
}

/** Every span that ended in this process is found by a reader. */
async function expectFlushed(dir: string, run: ProgramRun): Promise<void> {
  const { traces } = await listTraces(dir, { limit: 1_000 });
  const documents = await Promise.all(traces.map(async ({ path }) => (await readTrace(path)).trace));
  const places = placesOf(documents);
  for (const { name } of run.endedSpans)
    expect({ name, found: places.get(name)?.some(({ span }) => span.endTime !== undefined) }).toEqual({
      name,
      found: true,
    });
}

async function runProgram(steps: readonly Step[], isStock: boolean): Promise<void> {
  const dir = fs.mkdtempSync(join(root, "run-"));
  const run = new ProgramRun(dir, isStock);
  for (const step of steps) {
    await run.step(step);
    if (step.do === "flush") await expectFlushed(dir, run);
    // Other readers look at the files as they are, at any time.
    expect(danglingIn(dir)).toEqual({});
  }
  await run.end();
  // Waits for what an exporter still recovers in the background.
  const ports = { fileSystem: nodeFileSystem, clock: systemClock, liveness: run.liveness };
  expect((await recoverDirectory(ports, dir, untilRecovered)).failures).toEqual([]);
  const files = fs.readdirSync(dir).sort();
  expect(files.filter((name) => !name.endsWith(".json"))).toEqual([]);
  const documents = files.map((name): TraceFile => JSON.parse(fs.readFileSync(join(dir, name), "utf8")));
  const places = placesOf(documents);
  const spans = run.traces.flatMap((one) => one.spans).filter(({ isEnded }) => isEnded || !isStock);
  expect([...places.keys()].sort()).toEqual(spans.map(({ name }) => name).sort());
  for (const one of spans) {
    const { name, isEnded, parent } = one;
    const found = places.get(name) ?? [];
    expect({ name, times: found.length }).toEqual({ name, times: 1 });
    const [place] = found as [Place];
    expect({ name, in: allowedSessions(one) }).toEqual({ name, in: expect.arrayContaining([place.session]) });
    expect({ name, interrupted: place.span.interrupted === true }).toEqual({ name, interrupted: !isEnded });
    // A parent that is in another document, or in none, is no parent here.
    const parentPlace = parent && places.get(parent.name)?.[0];
    const expected = parentPlace?.session === place.session ? parent?.name : "session";
    const { kind, name: parentName } = place.parent ?? { kind: "", name: "missing" };
    expect({ name, parent: kind === "session" ? kind : parentName }).toEqual({ name, parent: expected });
  }
  // A document of a session without spans is a ghost.
  expect(documents.filter((one) => one.spans.length === 1).map(({ id }) => id)).toEqual([]);
  for (const { id, summary } of documents)
    expect({ id, status: summary.status }).not.toMatchObject({ status: "running" });
  fs.rmSync(dir, { recursive: true, force: true });
}

describe("P2 P7 P11 programs that name their sessions late", () => {
  it.each([false, true])(
    "P2 P7 P11 agree with the model (stock processor: %s)",
    async (isStock) => {
      const property = fc.asyncProperty(programs, (steps) => runProgram(steps, isStock));
      await fc.assert(property, { numRuns: trials(100, 5_000), seed: isTorture ? runSeed : 15 });
    },
    isTorture ? 3_600_000 : 600_000,
  );
});
