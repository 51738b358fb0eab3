/**
 * Sessions with fixed calls, and their documents, byte by byte: the document that readers get does not change
 * unnoticed.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { firstTurn, manyCalls, openTurn, options, secondTurn } from "../programs/golden-session.mjs";
import { expectGolden, fixture } from "../support/golden-documents.js";
import { begin, SessionTracerStage } from "../support/session-tracer-stage.js";
import { orphansOf } from "../support/span-lines.js";

const id = "ses_golden";
let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

const at = (millis: number) => stage.at(millis);
const text = () => readFileSync(join(stage.dir, `${id}.json`), "utf8");
const started = (): SessionTracer => stage.start(id, options);

test("completed.json: several turns, with errors, a loop and concurrent generations, ended normally", async () => {
  const tracer = started();
  firstTurn(tracer, at);
  secondTurn(tracer, at);
  openTurn(tracer, at);
  await tracer.endTrace();
  expectGolden("documents/completed.json", text());
});

test("finalizeSync writes the same document", () => {
  const tracer = started();
  firstTurn(tracer, at);
  secondTurn(tracer, at);
  openTurn(tracer, at);
  tracer.finalizeSync();
  expectGolden("documents/completed.json", text());
});

test("error.json: ended with an error", async () => {
  const tracer = started();
  firstTurn(tracer, at);
  await tracer.endTrace("Budget exceeded: $0.25");
  expectGolden("documents/error.json", text());
});

test("P3 crashed.json: fenced in the middle of a tool call", () => {
  const tracer = started();
  firstTurn(tracer, at);
  secondTurn(tracer, at);
  openTurn(tracer, at);
  tracer.flushSync("Process received SIGTERM");
  expectGolden("documents/crashed.json", text());
});

test("P2 recovered.json: killed in the middle of a tool call", async () => {
  const program = fileURLToPath(new URL("../programs/golden-session.mjs", import.meta.url));
  const child = spawn(process.execPath, [program, stage.dir, id, String(begin)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "close");
  // From these times, recovery knows when the process died.
  const left = readdirSync(stage.dir).filter((name) => /\.(open|live)$/.test(name));
  expect(left).toHaveLength(2);
  for (const name of left)
    utimesSync(join(stage.dir, name), (begin + 5_000) / 1_000, (begin + 5_000) / 1_000);
  vi.useRealTimers();
  await recoverTraces(stage.dir);
  expectGolden("documents/recovered.json", text());
});

test("resumed.json: fenced, and continued by another process", async () => {
  const first = started();
  firstTurn(first, at);
  openTurn(first, at);
  first.flushSync();
  const second = stage.process().newTracer();
  at(10_000);
  expect(await second.rehydrateFromFile(id)).toBe(true);
  secondTurn(second, (millis) => at(10_000 + millis));
  await second.endTrace();
  expectGolden("documents/resumed.json", text());
});

test("D14 running.json: flushed in the middle of a tool call", async () => {
  const tracer = started();
  firstTurn(tracer, at);
  openTurn(tracer, at);
  await tracer.flush();
  expectGolden("documents/running.json", text());
});

test("D7 capped.json: more spans than are kept", async () => {
  const tracer = stage.process({ maxSpans: 20 }).newTracer();
  tracer.startTrace(id, options);
  manyCalls(tracer, at);
  await tracer.endTrace();
  expectGolden("documents/capped.json", text());
});

const names = ["completed", "error", "crashed", "recovered", "resumed", "running", "capped"];

test.each(names)(
  "%s.json is whole: its tail is where the layout points to, and every span has a parent",
  (name) => {
    const golden = Buffer.from(fixture(`documents/${name}.json`));
    const document: TraceFile = JSON.parse(golden.toString());
    const tailStart = document.layout?.tailStart as number;
    expect(golden[tailStart - 1]).toBe(0x0a);
    expect(golden.subarray(tailStart).toString()).toMatch(/^,?\{"spanId":.*"layout":\{.*\}\}\n?$/);
    // A cap leaves out parents, too.
    if (name !== "capped") expect(orphansOf(document)).toEqual([]);
  },
);
