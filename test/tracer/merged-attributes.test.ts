/** Attributes are merged at a constant cost: only they are journaled, and recovery merges them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { replayJournal } from "../../src/format/journal.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import type { SpanTarget } from "../../src/tracer/input-types.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { SessionTracerStage } from "../support/session-tracer-stage.js";

const targets: readonly SpanTarget[] = ["tool", "generation", "session"];
const kinds = { tool: "tool", generation: "generation", session: "session" } as const;

let stage: SessionTracerStage;
beforeEach(() => {
  stage = new SessionTracerStage();
});
afterEach(() => stage.remove());

function start(status: string, options: Parameters<SessionTracerStage["process"]>[0] = {}): SessionTracer {
  const tracer = stage.process(options).newTracer();
  tracer.startTrace("ses_1");
  tracer.logStepStart({ id: "g" });
  tracer.logToolCall({ tool: "ls", callID: "c", state: { status, time: { start: 1, end: 2 } } });
  return tracer;
}

async function recovered(target: SpanTarget): Promise<Record<string, unknown> | undefined> {
  stage.kill();
  await recoverDirectory(
    { fileSystem: nodeFileSystem, liveness: stage.liveness, clock: systemClock },
    stage.dir,
  );
  expect(stage.files).toEqual(["ses_1.json"]);
  return stage.document("ses_1").spans.find(({ kind }) => kind === kinds[target])?.attributes;
}

const journal = (): Buffer =>
  readFileSync(join(stage.dir, readdirSync(stage.dir).find((name) => name.endsWith(".live")) as string));

describe.each(["running", "completed"])("with a %s tool", (status) => {
  test.each(targets)("P2 all attributes of the %s survive a kill that follows the call", async (target) => {
    const tracer = start(status);
    const expected: Record<string, unknown> = JSON.parse('{"key.0":0,"last":0,"nested":0,"__proto__":299}');
    for (let n = 0; n < 300; n++) {
      const attributes = { [`key.${n}`]: n, last: n, nested: { n: [n] }, ["__proto__"]: n };
      tracer.setSpanAttributes(attributes, target);
      Object.assign(expected, { [`key.${n}`]: n, last: n, nested: { n: [n] } });
    }
    expect(JSON.stringify(await recovered(target))).toBe(JSON.stringify(expected));
  });

  test.each(targets)(
    "P2 attributes of the %s survive a publish between them, and a rewritten journal",
    async (target) => {
      const tracer = start(status);
      tracer.setSpanAttributes({ before: true, both: 1 }, target);
      await tracer.flush();
      for (let n = 0; n < 20; n++) tracer.setSpanAttributes({ [`long.${n}`]: "x".repeat(100_000) }, target);
      tracer.setSpanAttributes({ after: true, both: 2 }, target);
      const attributes = await recovered(target);
      expect(attributes).toMatchObject({ before: true, both: 2, after: true });
      expect(Object.keys(attributes ?? {}).filter((key) => key.startsWith("long"))).toHaveLength(20);
    },
  );
});

test.each(targets)("P8 the journal grows by the new attributes of the %s only", (target) => {
  const tracer = start("completed");
  const sizes: number[] = [];
  for (let n = 0; n < 1_000; n++) {
    const before = journal().length;
    tracer.setSpanAttributes({ [`key.${1_000 + n}`]: "value" }, target);
    sizes.push(journal().length - before);
  }
  expect(Math.max(...sizes)).toBeLessThan(200);
});

test.each(targets)("P9 the journal has attributes of the %s redacted", async (target) => {
  const redact = (value: unknown, field: string) => (field === "attributes.key" ? "[gone]" : value);
  const tracer = start("completed", { redact });
  tracer.setSpanAttributes({ key: "secret" }, target);
  expect(journal().toString()).not.toContain("secret");
  expect(await recovered(target)).toEqual({ key: "[gone]" });
});

test("the session's attributes are those of each turn that ends after them", async () => {
  const process = stage.process();
  const tracer = process.newTracer();
  tracer.startTrace("ses_1");
  tracer.logUserMessage("one");
  tracer.setSpanAttributes({ a: 1, b: { c: 1 } }, "session");
  tracer.setSpanAttributes({ d: { e: 1 } }, "session");
  tracer.logUserMessage("two");
  await tracer.endTrace();
  const turns = process.memory.getFinishedSpans().filter(({ name }) => name === "invoke_agent");
  expect(turns).toHaveLength(2);
  for (const { attributes } of turns) expect(attributes).toMatchObject({ a: 1, b: '{"c":1}', d: '{"e":1}' });
});

test("a journal line of attributes is one of an owner for release 0.1.0, which reads on", () => {
  const tracer = start("running");
  tracer.setSpanAttributes({ a: 1 }, "tool");
  const lines = journal().toString().trimEnd().split("\n");
  expect(Object.keys(JSON.parse(lines.at(-1) as string))).toEqual(["owner", "of", "attributes"]);
});

test("a journal line of attributes for an unknown span has no effect", () => {
  const line = { owner: null, of: { spanId: "0123456789abcdef" }, attributes: { a: 1 } };
  const state = replayJournal(Buffer.from(`${JSON.stringify(line)}\n`));
  expect(state).toMatchObject({ session: undefined, corruptLines: 0, tornBytes: 0 });
  expect(state.spans.size).toBe(0);
});
